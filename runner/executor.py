"""Runs a workflow in this process, with no ComfyUI: validate everything, then each node once, in order."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..nodes import host
from . import inputs
from .definitions import LocalDefinitions, specs
from .folders import existing_folders, output_folder
from .order import consumers, feeds
from .overrides import apply_seed, apply_settings
from .problems import NodeFailed, WorkflowError, node_name
from .validate import plan, validate
from .workflow import Workflow, read_workflow

log = logging.getLogger("emo2")
Prompt = dict[str, dict[str, Any]]
MODELS = ("_MODEL", "_ENCODER", "_DETECTOR", "_HANDS", "VAE", "CLIP_VISION")
"""How the names of wires end that carry models, which take long to load and are the same each time."""


class RunResult(dict):
    """Output node id -> what it showed (ComfyUI's "ui" dict), with the files written and the warnings given."""

    def __init__(self, outputs: Mapping[str, Any], files: list[Path], warnings: list[str], kept: dict[str, tuple]):
        super().__init__(outputs)
        self.files, self.warnings, self.kept = files, warnings, kept


def run_workflow(
    workflow: str | Path | dict[str, Any] | Workflow,
    overrides: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
    models: Iterable[str | Path] = (),
    out: str | Path = "output",
    input_dirs: Iterable[str | Path] = (),
    seed: int | None = None,
    keep: Iterable[str] = (),
    on_node: Callable[[int, int, str, dict[str, Any]], None] | None = None,
    loaded: dict[str, Any] | None = None,
) -> RunResult:
    """Run a workflow file (or its parsed JSON, either form).

    overrides: {"TARGET.INPUT": value}, as --set. models: folders searched before the pack's weights. out: where results
    go (made when the first file is written). seed: for every seed that no wire feeds. keep: node ids whose outputs are
    returned in `.kept`. on_node(place, count, id, node) is called before each node. loaded: keeps the models of loaders
    from one run to the next; give the same dict to each.
    Raises EMO2Error and WorkflowError before any work, NodeFailed from a node.
    """
    source = workflow if isinstance(workflow, Workflow) else read_workflow(workflow)
    out = output_folder(out)
    model_folders, chosen = existing_folders(models, "--models"), existing_folders(input_dirs, "--input")
    folders = inputs.InputFolders.of(chosen, source.folder, out)
    settings = overrides.items() if isinstance(overrides, Mapping) else overrides
    with _Surroundings(model_folders, out, folders):
        prompt, order, definitions = prepare(source, settings, folders, seed)
        run = _Run(prompt, order, definitions, source.canvas, set(keep), loaded)
        try:
            with torch.inference_mode():
                run.all(on_node)
        finally:
            warnings = list(host.outside.warnings)
        return RunResult(run.shown, result_files(run.shown.values(), out), warnings, run.kept)


def prepare(
    source: Workflow, settings: Iterable[tuple[str, Any]], folders: inputs.InputFolders, seed: int | None = None
) -> tuple[Prompt, list[str], LocalDefinitions]:
    """The prompt with its settings, validated, and the order of its nodes."""
    definitions = LocalDefinitions()
    prompt = source.prompt(definitions)
    if seed is not None:
        apply_seed(prompt, seed, definitions)
    apply_settings(prompt, settings, definitions, folders)
    order = plan(prompt, definitions)
    problems = validate(prompt, order, definitions)
    if problems:
        raise WorkflowError(problems)
    # Files are opened first: a damaged one is said at once, not after minutes of sampling.
    order.sort(key=lambda node_id: bool(feeds(prompt[node_id])))
    return prompt, order, definitions


class _Surroundings:
    """Points the host and the loading nodes at the run's folders, and puts everything back afterwards."""

    def __init__(self, models: list[Path], out: Path, folders: inputs.InputFolders):
        self.wanted: dict[str, Any] = {"models": models, "output": out, "input": folders.folders[0], "warnings": []}
        self.wanted["find"] = folders.find
        self.folders = folders

    def __enter__(self) -> None:
        self.before = {name: getattr(host.outside, name) for name in self.wanted}
        for name, value in self.wanted.items():
            setattr(host.outside, name, value)
        self.folders_before = inputs.use(self.folders)

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            setattr(host.outside, name, value)
        inputs.use(self.folders_before)


class _Run:
    """One pass over the nodes. Every output slot holds a list of values, as in ComfyUI, one long for ordinary nodes."""

    def __init__(
        self,
        prompt: Prompt,
        order: list[str],
        definitions: LocalDefinitions,
        canvas: dict[str, Any] | None,
        keep: set[str],
        loaded: dict[str, Any] | None = None,
    ):
        self.prompt, self.order, self.definitions, self.keep = prompt, order, definitions, keep
        self.loaded = loaded
        self.hidden = {"PROMPT": prompt, "DYNPROMPT": None, "EXTRA_PNGINFO": {"workflow": canvas} if canvas else {}}
        self.results: dict[str, list[list[Any]]] = {}
        self.shown: dict[str, Any] = {}
        self.kept: dict[str, tuple] = {}

    def all(self, on_node: Callable[..., None] | None) -> None:
        left = consumers(self.prompt, self.order)
        for place, node_id in enumerate(self.order):
            node = self.prompt[node_id]
            if on_node:
                on_node(place + 1, len(self.order), node_id, node)
            log.debug("running %s", node_name(node_id, node))
            try:
                slots, shown = self.result_of(node_id, node)
            except Exception as error:
                raise NodeFailed(node_id, node, error) from error
            if left[node_id]:
                self.results[node_id] = slots
            if node_id in self.keep:
                self.kept[node_id] = tuple(slot[0] if len(slot) == 1 else slot for slot in slots)
            if self.definitions[node["class_type"]]["output_node"]:
                self.shown[node_id] = shown
            for feed in feeds(node):  # a result nobody needs any more may be gigabytes of frames
                left[feed] -= 1
                if left[feed] == 0:
                    self.results.pop(feed, None)

    def result_of(self, node_id: str, node: dict[str, Any]) -> tuple[list[list[Any]], dict[str, Any]]:
        """What a node gives: a loader's models from an earlier run, where they are kept."""
        types = self.definitions[node["class_type"]]["output"]
        if self.loaded is None or feeds(node) or not types or not all(t.endswith(MODELS) for t in types):
            return self.run_node(node_id, node)
        key = json.dumps([node["class_type"], node["inputs"]], sort_keys=True, default=str)
        if key not in self.loaded:
            self.loaded[key] = self.run_node(node_id, node)
        return self.loaded[key]

    def run_node(self, node_id: str, node: dict[str, Any]) -> tuple[list[list[Any]], dict[str, Any]]:
        cls = self.definitions.classes[node["class_type"]]
        arguments = self.arguments(node_id, node)
        instance = cls()
        function = getattr(instance, cls.FUNCTION)  # type: ignore[attr-defined]
        if getattr(cls, "INPUT_IS_LIST", False):
            calls = [arguments]
        else:
            count = max([len(values) for values in arguments.values()], default=1)
            calls = [{k: v[min(i, len(v) - 1)] for k, v in arguments.items()} for i in range(count)]
        slots: list[list[Any]] = [[] for _ in cls.RETURN_TYPES]  # type: ignore[attr-defined]
        as_list = getattr(cls, "OUTPUT_IS_LIST", [False] * len(slots))
        shown: dict[str, list[Any]] = {}
        for call in calls:
            answer = function(**call)
            if inspect.isawaitable(answer):
                answer = asyncio.run(_finished(answer))
            if isinstance(answer, dict):
                for key, values in answer.get("ui", {}).items():
                    shown.setdefault(key, []).extend(values)
                answer = answer.get("result", ())
            for slot, value, many in zip(slots, answer or (), as_list):
                slot.extend(value if many else [value])
        return slots, shown

    def arguments(self, node_id: str, node: dict[str, Any]) -> dict[str, list[Any]]:
        """Input name -> list of values; inputs that the node does not declare are left out."""
        given = node["inputs"]
        definition = self.definitions[node["class_type"]]
        found: dict[str, list[Any]] = {}
        for spec in specs(definition, given):
            if spec.name in given:
                value = given[spec.name]
                found[spec.name] = self.results[str(value[0])][value[1]] if isinstance(value, list) else [value]
        for name, kind in (definition["input"].get("hidden") or {}).items():
            kind = kind[0] if isinstance(kind, (list, tuple)) else kind
            found[name] = [node_id if kind == "UNIQUE_ID" else self.hidden.get(kind)]
        return found


async def _finished(awaitable: Any) -> Any:
    return await awaitable


def result_files(shown: Iterable[Mapping[str, Any]], out: Path) -> list[Path]:
    """The files that the nodes say they wrote, in order."""
    files = []
    for ui in shown:
        for values in ui.values():
            for item in values if isinstance(values, (list, tuple)) else ():
                if isinstance(item, Mapping) and "filename" in item:
                    path = out / item.get("subfolder", "") / item["filename"]
                    if path.is_file():
                        files.append(path)
    return list(dict.fromkeys(files))
