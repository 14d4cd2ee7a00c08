"""Runs within ComfyUI's own Python: the host's inside half on ComfyUI's real modules. Prints {check: trouble} as JSON.

    python memory_cases.py COMFYUI PACK EMPTY_FOLDER

There is no GPU here. The "meta" device stands for one: what is moved to it is gone, but every operation still refuses
to mix it with the CPU, which is how a weight that was left behind shows.
"""

import gc
import importlib.util
import json
import sys
import traceback
import weakref
from pathlib import Path

COMFYUI, PACK, EMPTY = (Path(argument) for argument in sys.argv[1:4])
sys.argv[1:] = ["--cpu", "--base-directory", str(EMPTY)]
sys.path.insert(0, str(COMFYUI))
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.cli_args  # noqa: E402
import comfy.model_management as management  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.utils  # noqa: E402
import folder_paths  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

spec = importlib.util.spec_from_file_location("emo2", PACK / "__init__.py", submodule_search_locations=[str(PACK)])
sys.modules["emo2"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["emo2"])
from emo2.models.audio import encoder  # noqa: E402
from emo2.models.checkpoints.format import Header  # noqa: E402
from emo2.models.motion import Conditions, MotionConfig, MotionTransformer  # noqa: E402
from emo2.models.video import clip_vision, vae  # noqa: E402
from emo2.models.video.config import VideoConfig  # noqa: E402
from emo2.models.video.model import VideoModel  # noqa: E402
from emo2.nodes import host  # noqa: E402

CPU, AWAY = torch.device("cpu"), torch.device("meta")


def filled(module):
    """Random weights, none of them zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = noise / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 1 + 0.1 * noise
    return module.eval().requires_grad_(False)


def draw(*shape, where=CPU, dtype=torch.float32, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(where, dtype)


def motion():
    config = MotionConfig(width=64, depth=3, heads=4, audio_layers=3, audio_width=8, image_width=6, styles=("a", "b"))

    def use(model, where, dtype):
        like = {"where": where, "dtype": dtype}
        conditions = Conditions(
            audio=draw(1, 9, 3, 8, **like), style=torch.tensor([1], device=where), speed=draw(1, 2, **like).abs(),
            image=draw(1, 6, **like), mask=torch.ones(1, 9, 2, dtype=torch.bool, device=where),
            offset=draw(1, 9, 7, **like),
        )  # fmt: skip
        clean = (torch.arange(9, device=where) < 2)[None]
        return [model(draw(1, 9, 170, **like), torch.full((1,), 400.0, device=where), conditions, clean)]

    return "motion", MotionTransformer(config), use


def video():
    config = VideoConfig.tiny()

    def use(model, where, dtype):
        like = {"where": where, "dtype": dtype}
        size = (config.latent_channels, 8, 6)
        window = (1, 6, config.audio_window, config.audio_layers, config.audio_dim)
        conditions = model.prepare(
            reference=model.encode_reference(draw(1, *size, **like)),
            motion_frames=model.encode_motion_frames(draw(1, size[0], 2, *size[1:], **like)),
            audio=model.encode_audio(draw(*window, **like)),
            pose=model.encode_maps(draw(1, config.map_channels, 6, 64, 48, **like).sigmoid()),
        )
        return [model(draw(1, size[0], 6, *size[1:], **like), 600, conditions=conditions)]

    return "video", VideoModel(config), use


def audio():
    def use(model, where, dtype):
        return [model(draw(1, model.field + 320 * 20, where=where, dtype=dtype))]

    return "audio", encoder.build(encoder.TINY), use


def images():
    def use(model, where, dtype):
        latents = model.encode(draw(2, 3, 32, 32, where=where, dtype=dtype)).latent_dist.mode()
        return [latents, model.decode(latents).sample]

    return "vae", vae.build(vae.TINY), use


def eyes():
    def use(model, where, dtype):
        return list(model(draw(1, 3, model.size, model.size, where=where, dtype=dtype)))

    return "clip_vision", clip_vision.build(clip_vision.TINY), use


MODELS = (motion, video, audio, images, eyes)


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, but for copies and single numbers."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, torch.Tensor)]
        places = {tensor.device.type for tensor in tensors if tensor.ndim or tensor.device.type != "cpu"}
        copies = ("_to_copy", "copy_", "empty_like", "set_", "detach")
        assert len(places) < 2 or any(name in str(function) for name in copies), f"{function} on {places}"
        return function(*args, **(kwargs or {}))


def wrapped(make):
    kind, module, use = make()
    return host.wrap(filled(module), Header(Path(f"{kind}.safetensors"), kind, {})), use


def swapped(handle):
    return [part for part in handle.module.modules() if hasattr(part, "comfy_cast_weights")]


def same(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b))


def check_models_give_the_same_however_much_of_them_is_loaded():
    for make in MODELS:
        _, module, use = make()
        expected = use(filled(module), CPU, torch.float32)
        handle, use = wrapped(make)
        host.load(handle)
        assert same(use(handle.module, CPU, torch.float32), expected), f"{make.__name__} wrapped"
        for part in (0.7, 0.3, 0.0):
            handle.patcher.unpatch_model(CPU)
            handle.patcher.load(CPU, lowvram_model_memory=1 + int(part * handle.patcher.model_size()))
            host.settle(handle.module, CPU)
            assert same(use(handle.module, CPU, torch.float32), expected), f"{make.__name__}, {part} of it loaded"
        handle.patcher.unpatch_model(CPU)
        host.load(handle)
        assert same(use(handle.module, CPU, torch.float32), expected), f"{make.__name__} loaded again"


def check_no_weight_is_left_behind_when_only_a_part_fits():
    for make in MODELS:
        for part in (1.1, 0.5, 0.0):
            handle, use = wrapped(make)
            handle.patcher.load_device = AWAY
            handle.patcher.load(AWAY, lowvram_model_memory=1 + int(part * handle.patcher.model_size()))
            host.settle(handle.module, AWAY)
            here = sum(p.weight.numel() for p in swapped(handle) if p.weight.device == CPU)
            total = sum(p.weight.numel() for p in swapped(handle))
            wanted = (here == 0) if part > 1 else (0 < here < total) if part else (here == total)
            assert wanted, f"{make.__name__}: {here} of {total} weights stay with {part} loaded"
            with OneDevice():
                try:
                    made = use(handle.module, AWAY, torch.float32)
                except Exception as error:
                    raise AssertionError(f"{make.__name__} with {part} loaded: {error}") from error
            assert all(tensor.device == AWAY for tensor in made)


def photographs():
    """EchoMimicV2 at its published width. Its weights are memory that nobody has touched: they cost nothing."""
    config = VideoConfig.echomimic_v2()
    with torch.device("meta"):
        module = VideoModel(config).half()
    module.to_empty(device="cpu")

    def use(model, where, dtype):
        like = {"where": where, "dtype": dtype}
        window = (1, 2, config.audio_window, config.audio_layers, config.audio_dim)
        conditions = model.prepare(
            reference=model.encode_reference(draw(1, 4, 32, 32, **like)),
            audio=model.encode_audio(draw(*window, **like)),
            pose=model.encode_maps(draw(1, 3, 2, 256, 256, **like).sigmoid()),
        ).with_unconditional()
        time = torch.tensor(600.0, device=where)
        return [model(draw(2, 4, 2, 32, 32, **like), time, conditions=conditions)]

    return "video", module.eval().requires_grad_(False), use


def check_the_published_width_leaves_nothing_behind_when_only_a_part_fits():
    for part in (1.1, 0.6, 0.2, 0.0):
        kind, module, use = photographs()
        handle = host.wrap(module, Header(Path("echomimic.safetensors"), kind, {}))
        handle.patcher.load_device = AWAY
        handle.patcher.load(AWAY, lowvram_model_memory=1 + int(part * handle.patcher.model_size()))
        host.settle(handle.module, AWAY)
        here = sum(p.weight.numel() for p in swapped(handle) if p.weight.device == CPU)
        total = sum(p.weight.numel() for p in swapped(handle))
        assert total > 1.7e9 and ((here == 0) if part > 1 else (0 < here < total) if part else (here == total))
        with torch.no_grad(), OneDevice():
            made = use(handle.module, AWAY, torch.float16)
        assert all(tensor.device == AWAY for tensor in made)


def check_half_precision_stays_half():
    for make in (motion, video):
        handle, use = wrapped(make)
        host.load(handle)
        names = {part: name for name, part in handle.module.named_modules()}
        leaks = set()

        def look(part, given, names=names, leaks=leaks):
            if given[0].dtype != torch.bfloat16:
                leaks.add(names[part])

        for part in swapped(handle):
            if not isinstance(part, torch.nn.Embedding):
                part.register_forward_pre_hook(look)
        made = use(handle.module, CPU, torch.bfloat16)
        assert not leaks, f"{make.__name__}: {len(leaks)} layers get another dtype: {sorted(leaks)[:5]}"
        assert all(tensor.dtype == torch.bfloat16 and torch.isfinite(tensor).all() for tensor in made)


def check_weights_can_be_stored_in_half_the_memory():
    for make in (motion, video):
        _, module, use = make()
        expected = use(filled(module), CPU, torch.float32)
        _, half, _ = make()
        host._swap_leaves(filled(half), torch.float16)
        sizes = [sum(p.numel() * p.element_size() for p in net.parameters()) for net in (module, half)]
        assert sizes[1] < 0.6 * sizes[0]
        for a, b in zip(use(half, CPU, torch.float32), expected):
            assert a.dtype == torch.float32 and (a - b).abs().max() < 0.02 * b.abs().max(), make.__name__


def check_comfyui_counts_and_frees_the_models():
    handle, _ = wrapped(motion)
    host.load(handle)
    assert handle.patcher in [loaded.model for loaded in management.current_loaded_models]
    assert handle.patcher.loaded_size() == handle.patcher.model_size() > 0
    management.unload_all_models()
    assert not management.current_loaded_models and handle.patcher.loaded_size() == 0
    host.load(handle)
    gone = weakref.ref(handle.module)
    del handle
    gc.collect()
    management.cleanup_models()
    assert gone() is None and not management.current_loaded_models


def check_it_works_in_inference_mode():
    with torch.inference_mode():
        for make in MODELS:
            handle, use = wrapped(make)
            handle.patcher.load(CPU, lowvram_model_memory=1 + handle.patcher.model_size() // 2)
            host.load(handle)
            assert all(torch.isfinite(tensor).all() for tensor in use(handle.module, CPU, torch.float32))


def check_folders_are_merged_with_extra_model_paths():
    extra = EMPTY / "elsewhere"
    extra.mkdir()
    for name in ("theirs.safetensors", "notes.txt"):
        (extra / name).write_bytes(b"")
    folder_paths.folder_names_and_paths.pop("emo2", None)
    folder_paths.add_model_folder_path("emo2", str(extra))  # as extra_model_paths.yaml, read before the packs
    host.register_folders()
    host.register_folders()
    own = [str(extra), str(Path(folder_paths.models_dir) / "emo2"), str(PACK / "weights")]
    assert folder_paths.get_folder_paths("emo2") == own
    listed = folder_paths.get_filename_list("emo2")
    assert "theirs.safetensors" in listed and "emo2_motion_tiny.safetensors" in listed and "notes.txt" not in listed
    assert "emo2_motion_tiny.safetensors" in host.model_files("emo2", kind="motion")
    assert host.model_path("theirs.safetensors") == extra / "theirs.safetensors"
    assert not (Path(folder_paths.models_dir) / "emo2").exists(), "no folder is made"
    assert host.model_files("audio_encoders") == [] and host.model_files("no_such_folder") == []


def check_every_tick_looks_for_a_cancel():
    progress = host.Progress(1000)
    for _ in range(5):
        progress.tick()
    management.interrupt_current_processing(True)
    try:
        progress.tick()
    except management.InterruptProcessingException:
        pass
    else:
        raise AssertionError("the tick after a cancel did not raise")
    management.interrupt_current_processing(True)
    try:
        host.Progress(10)
    except management.InterruptProcessingException:
        return
    raise AssertionError("work began after a cancel")


def check_previews_are_made_only_when_somebody_looks():
    shown, made = [], []
    comfy.utils.set_progress_bar_global_hook(lambda value, total, preview, **_: shown.append((value, total, preview)))

    def picture():
        made.append(1)
        return Image.new("RGBA", (8, 6))

    methods = comfy.cli_args.LatentPreviewMethod
    for method in (methods.NoPreviews, methods.Latent2RGB):
        comfy.cli_args.args.preview_method = method
        with host.Progress(2) as progress:
            progress.tick(preview=picture)
            progress.tick(preview=lambda: None)
    assert len(made) == 1
    previews = [preview for _, _, preview in shown if preview]
    assert len(previews) == 1 and previews[0][0] == "JPEG" and previews[0][1].mode == "RGB" and previews[0][2] > 0
    assert shown[-1][:2] == (2, 2)


def check_a_finished_video_is_comfyuis_own():
    made = host.video_from_file(EMPTY / "some.mp4")
    assert type(made).__name__ == "VideoFromFile" and type(made).__module__.startswith("comfy_api")


results = {}
for name, check in list(globals().items()):
    if name.startswith("check_"):
        try:
            check()
            results[name] = None
        except BaseException:
            results[name] = traceback.format_exc()
print("RESULTS" + json.dumps(results))
