"""From the canvas (LiteGraph JSON) to the API form, as ComfyUI's page does when an artist presses Run.

Notes vanish, reroutes and primitives dissolve, muted nodes are cut out, bypassed ones hand on an input of the same
type, subgraphs are unfolded: the node 5 in the subgraph that node 12 shows becomes "12:5".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .definitions import Definitions
from .problems import Problem, WorkflowError
from .replacements import replace_text
from .validate import unknown_nodes
from .widgets import widget_values

MUTED, BYPASSED = 2, 4
INPUT_NODE, OUTPUT_NODE = "-10", "-20"
NOTES = {"Note", "MarkdownNote"}
VIRTUAL = NOTES | {"Reroute", "PrimitiveNode"}
DEEPEST = 64


class Link(NamedTuple):
    origin: str
    origin_slot: int
    target: str
    target_slot: int


class Output(NamedTuple):
    """An output of a real node: the id it has in the API form, and the slot."""

    node: str
    slot: int


class Value(NamedTuple):
    """A constant that arrives over a link, from a primitive or from a widget on a subgraph's node."""

    value: Any


class Shown(NamedTuple):
    """A constant that a subgraph's node shows because a widget inside has it; an input keeps a value of its own."""

    value: Any


@dataclass
class Sheet:
    """One canvas: the workflow's own, or the inside of a subgraph as shown by `instance` on `parent`."""

    nodes: dict[str, dict[str, Any]]
    links: dict[str, Link]
    prefix: str = ""
    inputs: list[dict[str, Any]] = field(default_factory=list)
    parent: Sheet | None = None
    instance: dict[str, Any] | None = None
    promoted: dict[str, Any] = field(default_factory=dict)


def to_api(canvas: dict[str, Any], definitions: Definitions, server: str | None = None) -> dict[str, dict[str, Any]]:
    """The API form of a canvas. Raises WorkflowError with every unknown node, before anything else is looked at."""
    reader = _Reader(canvas, definitions)
    unknown = {}
    for sheet, node in reader.real_nodes():
        if node["type"] not in definitions and not _is_decoration(node):
            node_id = sheet.prefix + str(node["id"])
            unknown[node_id] = {"class_type": node["type"], "_meta": {"title": _title(node, None)}}
    if unknown:
        raise unknown_nodes(unknown, server)
    prompt = {}
    for sheet, node in reader.real_nodes():
        if node["type"] in definitions:
            prompt[sheet.prefix + str(node["id"])] = reader.converted(sheet, node)
    for node in prompt.values():  # links from nodes that were cut out
        links = {k: v for k, v in node["inputs"].items() if isinstance(v, list)}
        node["inputs"] = {k: v for k, v in node["inputs"].items() if k not in links or links[k][0] in prompt}
    replace_text(prompt, canvas)
    return prompt


def _is_decoration(node: dict[str, Any]) -> bool:
    """A node that only exists on the page (a group switch, a label): nothing goes in or out."""
    return not node.get("inputs") and not node.get("outputs")


def _title(node: dict[str, Any], definition: Mapping[str, Any] | None) -> str:
    return str(node.get("title") or (definition or {}).get("display_name") or node["type"])


def _fail(message: str) -> WorkflowError:
    return WorkflowError(Problem("invalid_workflow", message, remedy="Save the workflow again in ComfyUI."))


def _objects(value: Any, what: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _fail(f"The workflow file is damaged: {what} is not a list of objects.")
    return value


class _Reader:
    def __init__(self, canvas: dict[str, Any], definitions: Definitions):
        self.definitions = definitions
        extra = canvas.get("definitions")
        subgraphs = _objects((extra if isinstance(extra, dict) else {}).get("subgraphs"), "definitions.subgraphs")
        self.subgraphs = {str(graph.get("id")): graph for graph in subgraphs}
        self.insides: dict[str, Sheet] = {}
        self.top = self._sheet(canvas)

    def _sheet(self, graph: dict[str, Any]) -> Sheet:
        nodes = {}
        for node in _objects(graph.get("nodes"), "nodes"):
            if "id" not in node or not isinstance(node.get("type"), str):
                raise _fail("The workflow file is damaged: a node has no id or no type.")
            nodes[str(node["id"])] = node
        links = {}
        for raw in graph.get("links") or []:
            try:
                if isinstance(raw, dict):
                    raw = [raw[k] for k in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
                links[str(raw[0])] = Link(str(raw[1]), int(raw[2]), str(raw[3]), int(raw[4]))
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise _fail(f"The workflow file is damaged: {raw!r} is not a link.") from error
        return Sheet(nodes, links)

    def inside(self, sheet: Sheet, node: dict[str, Any]) -> Sheet:
        """The sheet of the subgraph that `node` shows."""
        path = f"{sheet.prefix}{node['id']}:"
        if path not in self.insides:
            if path.count(":") > DEEPEST:
                raise _fail("Subgraphs are nested in themselves.")
            graph = self.subgraphs[node["type"]]
            made = self._sheet(graph)
            made.prefix, made.parent, made.instance = path, sheet, node
            made.inputs = _objects(graph.get("inputs"), "a subgraph's inputs")
            made.promoted = self._promoted(made, node)
            self.insides[path] = made
        return self.insides[path]

    def real_nodes(self, sheet: Sheet | None = None) -> Iterator[tuple[Sheet, dict[str, Any]]]:
        """Every node that will run, subgraphs unfolded, muted, bypassed and virtual ones left out."""
        sheet = sheet or self.top
        for node in sheet.nodes.values():
            if node.get("mode", 0) in (MUTED, BYPASSED) or node["type"] in VIRTUAL:
                continue
            if node["type"] in self.subgraphs:
                yield from self.real_nodes(self.inside(sheet, node))
            else:
                yield sheet, node

    def converted(self, sheet: Sheet, node: dict[str, Any]) -> dict[str, Any]:
        definition = self.definitions[node["type"]]
        slots = [slot for slot in _objects(node.get("inputs"), "a node's inputs") if isinstance(slot.get("name"), str)]
        on_canvas = {slot["name"] for slot in slots if slot.get("widget")}
        values = widget_values(node.get("widgets_values"), definition, on_canvas)
        inputs: dict[str, Any] = {k: {"__value__": v} if isinstance(v, list) else v for k, v in values.items()}
        for slot in slots:
            if slot.get("link") is None:
                continue
            found = self.source(sheet, slot["link"])
            if isinstance(found, Output):
                inputs[slot["name"]] = [found.node, found.slot]
            elif isinstance(found, Value) or (isinstance(found, Shown) and slot["name"] not in inputs):
                inputs[slot["name"]] = {"__value__": found.value} if isinstance(found.value, list) else found.value
        return {"class_type": node["type"], "inputs": inputs, "_meta": {"title": _title(node, definition)}}

    def source(self, sheet: Sheet, link_id: Any, depth: int = 0) -> Output | Value | Shown | None:
        """What arrives over a link; None when nothing does."""
        link = sheet.links.get(str(link_id))
        if link is None:
            return None
        if depth > 400:
            raise _fail("A chain of reroutes or bypassed nodes leads back to itself.")
        if link.origin == INPUT_NODE:
            return self._from_outside(sheet, link.origin_slot, depth + 1)
        node = sheet.nodes.get(link.origin)
        if node is None or node.get("mode", 0) == MUTED:
            return None
        if node["type"] == "Reroute" or node.get("mode", 0) == BYPASSED:
            slot = _passed_on(node, link.origin_slot)
            return None if slot is None else self.source(sheet, slot.get("link"), depth + 1)
        if node["type"] == "PrimitiveNode":
            saved = node.get("widgets_values")
            return Value(saved[0]) if isinstance(saved, list) and saved else None
        if node["type"] in self.subgraphs:
            inner = self.inside(sheet, node)
            for inner_id, inner_link in inner.links.items():
                if inner_link.target == OUTPUT_NODE and inner_link.target_slot == link.origin_slot:
                    return self.source(inner, inner_id, depth + 1)
            return None
        return Output(sheet.prefix + str(node["id"]), link.origin_slot)

    def _from_outside(self, sheet: Sheet, slot: int, depth: int) -> Output | Value | Shown | None:
        """What the node that shows this subgraph gets at its input number `slot`."""
        if sheet.parent is None or sheet.instance is None or not 0 <= slot < len(sheet.inputs):
            return None
        name = sheet.inputs[slot].get("name")
        outer = _objects(sheet.instance.get("inputs"), "a node's inputs")
        found = next((item for item in outer if item.get("name") == name), None)
        if found is not None and found.get("link") is not None:
            return self.source(sheet.parent, found["link"], depth)
        if name in sheet.promoted:
            return Value(sheet.promoted[name])
        return self._inner_value(sheet, slot)

    def _targets(self, sheet: Sheet, slot: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(node, its input) for every widget inside that the subgraph's input number `slot` feeds."""
        for link in sheet.links.values():
            if link.origin == INPUT_NODE and link.origin_slot == slot and link.target in sheet.nodes:
                node = sheet.nodes[link.target]
                slots = _objects(node.get("inputs"), "a node's inputs")
                if 0 <= link.target_slot < len(slots) and slots[link.target_slot].get("widget"):
                    yield node, slots[link.target_slot]

    def _promoted(self, sheet: Sheet, instance: dict[str, Any]) -> dict[str, Any]:
        """Values of the widgets that a subgraph's node shows, by the name of the subgraph's input.

        They are saved in the order of the node's "proxyWidgets" ("-1" stands for the subgraph's own inputs), of those
        inputs of the subgraph that feed a widget inside, or of the inputs that the node itself marks as widgets,
        depending on the page's version.
        """
        saved = instance.get("widgets_values")
        properties = instance.get("properties")
        proxies = properties.get("proxyWidgets") if isinstance(properties, dict) else None
        if isinstance(proxies, list) and isinstance(saved, list) and saved and len(proxies) == len(saved):
            pairs = [
                (proxy, value) for proxy, value in zip(proxies, saved) if isinstance(proxy, list) and len(proxy) > 1
            ]
            return {str(proxy[1]): value for proxy, value in pairs if str(proxy[0]) == "-1" and value is not None}
        inside = [str(item.get("name")) for n, item in enumerate(sheet.inputs) if next(self._targets(sheet, n), None)]
        slots = _objects(instance.get("inputs"), "a node's inputs")
        outside = [str(slot.get("name")) for slot in slots if slot.get("widget")]
        if isinstance(saved, dict):
            return {name: saved[name] for name in inside + outside if name in saved}
        for names in (inside, outside):
            if isinstance(saved, list) and saved and len(saved) == len(names):
                return {name: value for name, value in zip(names, saved) if value is not None}
        return {}

    def _inner_value(self, sheet: Sheet, slot: int) -> Shown | None:
        """The value of the first widget inside that a subgraph's input feeds: that is what its node shows."""
        for node, item in self._targets(sheet, slot):
            if node["type"] in self.definitions:
                values = widget_values(node.get("widgets_values"), self.definitions[node["type"]], {item["name"]})
                if item["name"] in values:
                    return Shown(values[item["name"]])
            elif node["type"] in self.subgraphs and item["name"] in (inner := self.inside(sheet, node)).promoted:
                return Shown(inner.promoted[item["name"]])
        return None


def _passed_on(node: dict[str, Any], slot: int) -> dict[str, Any] | None:
    """The input that a bypassed node or a reroute hands on at `slot`: the opposite one, or the first of its type."""
    inputs = _objects(node.get("inputs"), "a node's inputs")
    if node["type"] == "Reroute":
        return inputs[0] if inputs else None
    outputs = _objects(node.get("outputs"), "a node's outputs")
    kind = outputs[slot].get("type") if 0 <= slot < len(outputs) else None
    order = inputs[slot : slot + 1] + inputs
    for fits in (lambda have: have == kind, lambda have: "*" in (have, kind)):
        for item in order:
            if fits(item.get("type")):
                return item
    return None
