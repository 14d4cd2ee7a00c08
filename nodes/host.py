"""The seam to ComfyUI: folders, device, VRAM, progress, cancel, previews, warnings. The only file that talks to it.

Inside ComfyUI every call goes to its own managers, looked up when used; outside, plain PyTorch and tqdm serve.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from ..models.checkpoints.format import Header
from ..models.errors import EMO2Error
from ..models.video.video_file import VideoFile
from .model_folders import beside, kind_of, walk

log = logging.getLogger("emo2")
PACK = Path(__file__).resolve().parents[1]
WEIGHTS = PACK / "weights"
OWN_FOLDERS = {
    "emo2": {".safetensors"},
    "mano": {".pkl", ".npz"},
    "echomimic_v2": {".pth", ".safetensors"},
    "dwpose": {".onnx"},
}
"""Model folders that ComfyUI does not have by itself, with what it lists there; `register_folders` tells it."""
WARNING_EVENT = "emo2.warning"
"""The message that web/js/warnings.js and the command line's `emo2 queue` listen for."""


@dataclass
class Outside:
    """Where things are when there is no ComfyUI; the command line sets these."""

    models: list[Path] = field(default_factory=list)
    input: Path = field(default_factory=Path.cwd)
    output: Path = field(default_factory=lambda: Path.cwd() / "output")
    warnings: list[str] = field(default_factory=list)
    quiet: bool = False
    find: Callable[[str], Path | None] | None = None
    """Finds a named input file beyond `input`: paths given on the command line, samples."""


outside = Outside()


def inside() -> bool:
    """Whether this process is a ComfyUI server (its modules are loaded; a test may import them too)."""
    return "folder_paths" in sys.modules and "comfy.model_management" in sys.modules


def _comfy(name: str) -> Any:
    """A module of ComfyUI's, looked up when it is used."""
    return sys.modules.get(name) or importlib.import_module(name)


@dataclass
class ModelHandle:
    """A model on a wire: the module with what its checkpoint says, and ComfyUI's patcher around it, if any.

    sampling: further settings of whatever samples with it, chosen on the way.
    """

    module: nn.Module
    header: Header
    patcher: Any = None
    sampling: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        return self.header.config


# Folders -------------------------------------------------------------------------------------------------------------


def register_folders() -> None:
    """Tell ComfyUI about models/emo2, models/mano and the pack's own weights. No folder is made; calling twice is fine.

    Folders that extra_model_paths.yaml names come first, then ComfyUI's, then the pack's. Does nothing outside ComfyUI.
    """
    if not inside():
        return
    folder_paths = _comfy("folder_paths")
    for folder, suffixes in OWN_FOLDERS.items():
        folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))
        if folder == "emo2":
            folder_paths.add_model_folder_path(folder, str(WEIGHTS))
        paths, known = folder_paths.folder_names_and_paths[folder]
        if not suffixes <= set(known):  # a folder that is new to ComfyUI begins without any, and lists every file
            folder_paths.folder_names_and_paths[folder] = (paths, set(known) | suffixes)


def _roots(folder: str) -> list[tuple[Path, int | None]]:
    """Folders to look in, best first, each with how many levels deep (None: all)."""
    if inside():
        register_folders()
        folder_paths = _comfy("folder_paths")
        more = beside(folder, folder_paths.models_dir, folder_paths.get_folder_paths("custom_nodes"))
        with suppress(KeyError):
            more = [Path(path) for path in folder_paths.get_folder_paths(folder)] + more
        return [(path, None) for path in dict.fromkeys(more)]
    roots: list[tuple[Path, int | None]] = []
    for directory in outside.models:
        roots.append((Path(directory) / folder, None))
        if folder == "emo2":
            roots.append((Path(directory), 1))
    if folder == "emo2":
        roots.append((WEIGHTS, None))
    return roots


def model_files(
    folder: str = "emo2", kind: str | None = None, suffixes: Sequence[str] = (".safetensors",)
) -> list[str]:
    """Names of the model files in a ComfyUI model folder ("emo2", "vae", ...) and, for "emo2", in the pack's weights.

    With `kind`, only checkpoints of ours whose metadata names that kind (their headers are read and remembered); a
    damaged file is left out, and the log says so. The suffix "" stands for Hugging Face folders: folders that hold a
    config.json, listed by the folder's name (`kind` says nothing about them). Names are relative, with forward
    slashes.

    Outside ComfyUI the folders are those of `outside.models`: DIR/<folder>, and for "emo2" also what is in DIR
    itself.
    """
    wanted = tuple(suffix.lower() for suffix in suffixes if suffix)
    found: dict[str, None] = {}
    for root, depth in _roots(folder):
        for path, is_folder in walk(root, depth, "" in suffixes):
            fits = is_folder or (
                bool(wanted) and path.name.lower().endswith(wanted) and (kind is None or kind_of(path) == kind)
            )
            if fits:
                found.setdefault(path.relative_to(root).as_posix())
    return list(found)


def model_path(name: str, folder: str = "emo2", where: str = "model") -> Path:
    """The file (or HF folder) called `name`; an EMO2Error that names the folders searched when there is none.

    Names that leave the model folders (absolute ones, "..") are refused; a backslash in a name counts as a slash, so
    that workflows saved on Windows open elsewhere.
    """
    plain = str(name).replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if not parts or plain.startswith("/") or ".." in parts or PureWindowsPath(plain).drive or "\0" in plain:
        raise EMO2Error(
            where, f"a file name within the {folder} model folder", repr(name), "Choose a file from the list."
        )
    roots = [root for root, _ in _roots(folder)]
    for root in roots:
        path = root.joinpath(*parts)
        if os.path.exists(path):
            return path
    searched = ", ".join(str(root) for root in dict.fromkeys(roots)) or f"a folder {folder} that --models names"
    raise EMO2Error(
        where, f"a file in {searched}", f"{plain!r}, which is not there", "Put the file there, or choose another one."
    )


def input_directory() -> Path:
    """Where uploaded and sample inputs lie."""
    return Path(_comfy("folder_paths").get_input_directory()) if inside() else Path(outside.input)


def output_directory() -> Path:
    """Where results go. Whoever writes there makes the folder."""
    return Path(_comfy("folder_paths").get_output_directory()) if inside() else Path(outside.output)


_temporary: Path | None = None


def temp_directory() -> Path:
    """Scratch space for previews and long memory-mapped arrays; it exists, and is emptied when the process ends."""
    global _temporary
    if inside():
        # ComfyUI empties its folder at start and at the end.
        path = Path(_comfy("folder_paths").get_temp_directory())
        path.mkdir(parents=True, exist_ok=True)
        return path
    if _temporary is None or not _temporary.is_dir():
        _temporary = Path(tempfile.mkdtemp(prefix="emo2-"))
        atexit.register(shutil.rmtree, _temporary, ignore_errors=True)
    return _temporary


# Device and VRAM -----------------------------------------------------------------------------------------------------


def device() -> torch.device:
    """The device that models compute on."""
    if inside():
        return _comfy("comfy.model_management").get_torch_device()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def free_memory() -> int:
    """Bytes that are free on the device that models compute on; as much as can be told."""
    where = device()
    if inside():
        return int(_comfy("comfy.model_management").get_free_memory(where))
    if where.type == "cuda":
        return torch.cuda.mem_get_info(where)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on this system
        return 0


def dtype_for(module: nn.Module) -> torch.dtype:
    """The dtype to compute in: ComfyUI's choice for this device, float32 on a CPU and outside ComfyUI."""
    where = device()
    if where.type == "cpu" or not inside():
        return torch.float32
    management = _comfy("comfy.model_management")
    stored = _stored_dtype(module)
    choice = management.unet_manual_cast(stored, where) or stored
    return choice if choice in (torch.float16, torch.bfloat16) else torch.float32


def _stored_dtype(module: nn.Module) -> torch.dtype:
    """The dtype in which ComfyUI wants a diffusion model's weights to lie."""
    count = sum(parameter.numel() for parameter in module.parameters())
    choice = _comfy("comfy.model_management").unet_dtype(device=device(), model_params=count)
    return choice if choice in (torch.float16, torch.bfloat16) else torch.float32


class _Holder(nn.Module):
    """What the patcher holds. It writes attributes such as `.device`, which diffusers' models have read-only."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module


LEAVES = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.GroupNorm, nn.LayerNorm,
    nn.RMSNorm, nn.Embedding,
)  # fmt: skip


def _swap_leaves(module: nn.Module, dtype: torch.dtype) -> None:
    """Give every plain leaf layer ComfyUI's class of the same name, which fetches its weights from wherever they are.

    Subclasses (parametrised convolutions and the like) keep theirs: `settle` moves what belongs to them. The weights
    of the leaves are stored as `dtype`; each is cast to what comes in when it is used.
    """
    casting = _comfy("comfy.ops").manual_cast
    for leaf in module.modules():
        cast = getattr(casting, type(leaf).__name__, None)
        if type(leaf) not in LEAVES or cast is None or not issubclass(cast, type(leaf)) or leaf.weight is None:
            continue
        leaf.to(dtype)
        leaf.__class__ = cast
        if not hasattr(leaf, "bias"):
            leaf.bias = None  # ComfyUI's embeddings and RMS norms have one


def settle(module: nn.Module, where: torch.device) -> None:
    """Move the parameters and buffers that belong to no layer which ComfyUI moves by itself; needed after each load."""
    for part in module.modules():
        if not hasattr(part, "comfy_cast_weights"):
            for name, parameter in part.named_parameters(recurse=False):
                if parameter.device != where:
                    part._parameters[name] = nn.Parameter(parameter.detach().to(where), requires_grad=False)
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.device != where:
                part._buffers[name] = buffer.to(where)


def wrap(module: nn.Module, header: Header) -> ModelHandle:
    """A handle that ComfyUI's VRAM manager can load, offload and partially load."""
    module.eval().requires_grad_(False)
    if not inside():
        return ModelHandle(module.float(), header)  # files may hold half precision; outside all is computed in float32
    management, patching = _comfy("comfy.model_management"), _comfy("comfy.model_patcher")
    where = device()
    halved = header.kind in ("motion", "video") and where.type != "cpu"
    _swap_leaves(module, _stored_dtype(module) if halved else torch.float32)
    holder = type(type(module).__name__, (_Holder,), {})(module)  # ComfyUI's log shows the name
    if hasattr(management, "archive_model_dtypes"):
        management.archive_model_dtypes(holder)
    # Looked up now: new versions put another class there when they start.
    patcher = getattr(patching, "CoreModelPatcher", patching.ModelPatcher)
    patched = patcher(holder, load_device=where, offload_device=management.unet_offload_device())
    return ModelHandle(module, header, patched)


def load(*handles: ModelHandle, memory: int = 0) -> None:
    """Bring the models onto the device for work that needs `memory` more bytes; what does not fit stays offloaded."""
    patchers = [handle.patcher for handle in handles if handle.patcher is not None]
    if patchers:
        _comfy("comfy.model_management").load_models_gpu(patchers, memory_required=memory)
    for handle in handles:
        if handle.patcher is not None:
            settle(handle.module, handle.patcher.load_device)
        else:
            handle.module.to(device())


# Progress, cancel, warnings ------------------------------------------------------------------------------------------


def _preview_size() -> int:
    """Longest side of previews in pixels; 0 when they are switched off, which the user may do before every run."""
    arguments = _comfy("comfy.cli_args")
    wanted = arguments.args.preview_method != arguments.LatentPreviewMethod.NoPreviews
    return getattr(arguments.args, "preview_size", 512) if wanted else 0


class Progress:
    """Counts work; each tick raises ComfyUI's own exception when the user has cancelled. Also a context manager."""

    def __init__(self, total: int, label: str = ""):
        self.total, self.done = max(int(total), 1), 0
        self._bar: Any = None
        if inside():
            check_cancelled()
            self._bar = _comfy("comfy.utils").ProgressBar(self.total)
        else:
            self._bar = tqdm(total=self.total, desc=label or None, disable=outside.quiet, file=sys.stderr, leave=False)

    def tick(self, count: int = 1, preview: Callable[[], Any] | None = None) -> None:
        """Advance; `preview` makes a picture (PIL image) only when somebody will see it."""
        self.done += count
        if not inside():
            self._bar.update(count)
            return
        # New versions of the bar look for a cancel only now and then.
        check_cancelled()
        size = _preview_size() if preview is not None else 0
        picture = preview() if preview is not None and size else None
        shown = None if picture is None else ("JPEG", picture.convert("RGB"), size)
        self._bar.update_absolute(self.done, self.total, shown)

    def close(self) -> None:
        """The work is over, or given up."""
        if isinstance(self._bar, tqdm):
            self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_cancelled() -> None:
    """Raise when the user has cancelled."""
    if inside():
        _comfy("comfy.model_management").throw_exception_if_processing_interrupted()


def warn(message: str) -> None:
    """Tell the user without stopping: on the running node and in the log, or on the command line."""
    if not inside():
        if message not in outside.warnings:  # once a run is enough on the command line
            outside.warnings.append(message)
            log.warning("%s", message)
        return
    log.warning("%s", message)
    server = getattr(sys.modules.get("server"), "PromptServer", None)
    server = getattr(server, "instance", None)
    if server is None:  # ComfyUI's modules without its server: the log has it
        return
    context = _comfy("comfy_execution.utils").get_executing_context()
    node_id = context.node_id if context else server.last_node_id
    prompt_id = context.prompt_id if context else None
    # Not send_progress_text: the text that it puts on a node is saved into the workflow by older versions.
    server.send_sync(WARNING_EVENT, {"node": node_id, "prompt_id": prompt_id, "message": message}, server.client_id)


def video_from_file(path: Path) -> Any:
    """A finished video file as a VIDEO: ComfyUI's own inside ComfyUI, the plain one of models/video outside."""
    if inside():
        return _comfy("comfy_api.input_impl").VideoFromFile(str(path))
    return VideoFile(path)
