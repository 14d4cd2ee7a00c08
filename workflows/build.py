"""Writes the workflow files of this folder, so that a node's new input is added in one place and not in ten files.

    python workflows/build.py

A workflow is a list of stages; a stage is a titled group that stands as one column on the canvas, its nodes below
one another. Sockets, widgets and their order come from the node classes themselves; the API form comes from the
same conversion that the command line uses.
"""

from __future__ import annotations

import json
import os
from collections import ChainMap
from pathlib import Path
from typing import Any

from emo2.runner.canvas import to_api
from emo2.runner.definitions import LocalDefinitions, Spec, specs
from model_files import entries

HERE = Path(__file__).resolve().parent
COLUMN, GAP, TOP = 400, 40, 80
COLOURS = {
    "input": "#3f789e",
    "audio": "#8A8",
    "motion": "#b58b2a",
    "look": "#88A",
    "video": "#a1309b",
    "output": "#3f789e",
}
CORE = HERE / "core" / "comfyui.json"
"""ComfyUI's own nodes as a server describes them, where a workflow uses some that only a server has."""
DEFINITIONS = ChainMap(LocalDefinitions(), json.loads(CORE.read_text()))  # type: ignore[arg-type]
UPLOADS = {"LoadImage": ["image"], "LoadAudio": [None, None]}
"""What the canvas saves behind the widgets of a node with an upload button."""
TALL = {
    "LoadImage": 300,
    "PreviewImage": 280,
    "SaveImage": 300,
    "SaveVideo": 640,
    "LoadAudio": 120,
    "EMO2SampleVideo": 720,  # its preview while it works
    "EMO2StreamVideo": 1020,
    "EMO2LoadEchoMimicV2": 300,
    "CLIPTextEncode": 160,
    "EMO2DirectScript": 400,  # two boxes of text
    "KSampler": 320,
}
ONLY_NEW = {"CreateVideo": {"bit_depth"}}
"""Inputs that older ComfyUI versions do not have: the workflows leave them out."""


def sockets(class_id: str) -> tuple[list[tuple[str, str]], dict[str, Spec], list[tuple[str, str]]]:
    """(linked inputs, widgets, outputs) of a node class."""
    definition = DEFINITIONS[class_id]
    every = [spec for spec in specs(definition) if spec.name not in ONLY_NEW.get(class_id, ())]
    linked = [(spec.name, spec.kind) for spec in every if not spec.is_widget]
    return linked, {s.name: s for s in every if s.is_widget}, list(zip(definition["output_name"], definition["output"]))


class Node:
    """One node on the canvas; `node["motion"]` is its output of that name, to be given to another node's input."""

    def __init__(self, number: int, class_id: str, title: str | None, values: dict[str, Any]):
        self.number, self.class_id, self.title = number, class_id, title
        self.linked, self.widgets, self.outputs = sockets(class_id)
        known = {name for name, _ in self.linked} | set(self.widgets)
        assert set(values) <= known, f"{class_id} has no input {set(values) - known}"
        self.values = values
        self.position, self.links = (0, 0), {name: [] for name, _ in self.outputs}

    def __getitem__(self, name: str) -> tuple[Node, str]:
        assert name in dict(self.outputs), f"{self.class_id} has no output {name}"
        return self, name

    @property
    def height(self) -> int:
        rows = max(len(self.linked), len(self.outputs))
        shown = sum(1 + bool(spec.options.get("control_after_generate")) for spec in self.widgets.values())
        # These may have to show a warning about the model's file.
        warning = 64 if self.class_id.startswith(("EMO2Load", "EMO2Sample")) else 0
        return max(20 + 20 * rows + 24 * shown + warning, TALL.get(self.class_id, 0))


class Flow:
    """A workflow being laid out, stage by stage from left to right."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.notes: list[dict] = []
        self.groups: list[dict] = []
        self.links: list[list] = []
        self.column = 0

    def add(self, class_id: str, title: str | None = None, **values: Any) -> Node:
        node = Node(len(self.nodes) + 1, class_id, title, values)
        self.nodes.append(node)
        return node

    def stage(self, title: str, colour: str, note: str, columns: list[list[Node]]) -> None:
        """Place `columns` of nodes under one title, with a note on top that says what the stage does."""
        left, width = self.column, len(columns) * (COLUMN + GAP) - GAP
        lines = sum(1 + len(line) // (width // 7) for line in note.splitlines())
        tall = 50 + 18 * lines
        self.notes.append({"title": title, "pos": [left, TOP], "size": [width, tall], "text": note})
        bottom = TOP + tall
        for index, column in enumerate(columns):
            y = TOP + tall + GAP + 20
            for node in column:
                node.position = (left + index * (COLUMN + GAP), y)
                y += node.height + GAP + 20
            bottom = max(bottom, y - GAP - 20)
        box = [left - 20, TOP - 80, width + 40, bottom - TOP + 100]
        self.groups.append({"title": title, "bounding": box, "color": COLOURS[colour], "font_size": 24, "flags": {}})
        self.column += width + 100

    def _node(self, node: Node, order: int) -> dict[str, Any]:
        inputs, widgets = [], []
        for name, kind in node.linked:
            inputs.append({"name": name, "type": kind, "link": self._link(node, name, kind, len(inputs))})
        for name, spec in node.widgets.items():
            value = node.values.get(name, spec.default)
            if isinstance(value, tuple):
                link = self._link(node, name, spec.kind, len(inputs))
                inputs.append({"name": name, "type": spec.kind, "widget": {"name": name}, "link": link})
                value = spec.default
            widgets.append(value)
            if spec.options.get("control_after_generate"):
                widgets.append("fixed")
        widgets += UPLOADS.get(node.class_id, [])
        outputs = [
            {"name": name, "type": kind, "links": node.links[name], "slot_index": slot}
            for slot, (name, kind) in enumerate(node.outputs)
        ]
        title = {"title": node.title} if node.title else {}
        own: dict[str, Any] = {"cnr_id": "comfyui-emo2" if node.class_id.startswith("EMO2") else "comfy-core"}
        if models := entries(widgets):
            own["models"] = models
        return {
            "id": node.number, "type": node.class_id, "pos": list(node.position), "size": [COLUMN, node.height],
            "flags": {}, "order": order, "mode": 0, **title, "inputs": inputs, "outputs": outputs,
            "properties": {**own, "Node name for S&R": node.class_id}, "widgets_values": widgets,
        }  # fmt: skip

    def _link(self, node: Node, name: str, kind: str, slot: int) -> int | None:
        value = node.values.get(name)
        if value is None:
            return None
        source, output = value
        number = len(self.links) + 1
        source.links[output].append(number)
        position = [n for n, _ in source.outputs].index(output)
        self.links.append([number, source.number, position, node.number, slot, dict(source.outputs)[output]])
        return number

    def ui(self) -> dict[str, Any]:
        """The form a canvas opens."""
        nodes = [self._node(node, order) for order, node in enumerate(self.nodes)]
        for index, note in enumerate(self.notes):
            nodes.append({
                "id": len(self.nodes) + 1 + index, "type": "MarkdownNote", "pos": note["pos"], "size": note["size"],
                "flags": {}, "order": len(self.nodes) + index, "mode": 0, "inputs": [], "outputs": [],
                "title": note["title"], "properties": {}, "widgets_values": [note["text"]], "color": "#432",
                "bgcolor": "#653",
            })  # fmt: skip
        return {
            "last_node_id": len(nodes), "last_link_id": len(self.links), "nodes": nodes, "links": self.links,
            "groups": self.groups, "config": {}, "extra": {"ds": {"scale": 0.6, "offset": [60, 120]}}, "version": 0.4,
        }  # fmt: skip


def write(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    os.replace(part, path)


def workflows() -> dict[str, dict[str, Any]]:
    """Name -> UI form of every workflow."""
    from templates import TEMPLATES

    return {name: make().ui() for name, make in TEMPLATES.items()}


if __name__ == "__main__":
    for name, content in workflows().items():
        write(HERE / f"{name}.json", content)
        write(HERE / "api" / f"{name}.json", to_api(content, DEFINITIONS))
