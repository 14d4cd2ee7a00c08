"""What nodes there are and what inputs they take, in the form of ComfyUI's /object_info, local or from a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
UPLOADS = ("image_upload", "audio_upload", "video_upload", "animated_image_upload", "file_upload", "emo2_file")

Definition = Mapping[str, Any]
Definitions = Mapping[str, Definition]


@dataclass(frozen=True)
class Spec:
    """One input of a node. `kind` is its type ("COMBO" for every list of choices), `choices` the list, if any."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple | None = None
    required: bool = True

    @property
    def is_widget(self) -> bool:
        """Whether the node shows a widget for it (so that a saved workflow holds a value)."""
        if self.options.get("forceInput"):
            return False
        return self.kind in WIDGET_TYPES or bool(self.options.get("widgetType"))

    @property
    def is_file(self) -> bool:
        """Whether the value names a file that the artist uploads."""
        return any(self.options.get(name) for name in UPLOADS)

    @property
    def default(self) -> Any:
        """What the widget shows on a new node."""
        if "default" in self.options:
            return self.options["default"]
        if self.choices is not None:
            return self.choices[0] if self.choices else ""
        low = self.options.get("min", 0)
        number = low if isinstance(low, (int, float)) and low > 0 else 0
        return {"INT": number, "FLOAT": number, "BOOLEAN": False}.get(self.kind, "")


def _spec(name: str, raw: Any, required: bool) -> Spec:
    kind, options = (raw[0], raw[1] if len(raw) > 1 else {}) if isinstance(raw, (list, tuple)) and raw else (raw, {})
    options = options if isinstance(options, Mapping) else {}
    if isinstance(kind, (list, tuple)):
        return Spec(name, "COMBO", options, tuple(kind), required)
    if kind == "COMBO":
        choices = options.get("options")
        return Spec(name, "COMBO", options, tuple(choices) if isinstance(choices, (list, tuple)) else None, required)
    return Spec(name, str(kind), options, None, required)


def specs(definition: Definition, values: Mapping[str, Any] | None = None) -> Iterator[Spec]:
    """The inputs of a node in the order of its widgets, required ones first.

    A choice that brings further inputs with it (ComfyUI's dynamic combos) is followed by those of the option that
    `values` holds; `values` is looked up while iterating, so a caller may fill it as it goes.
    """
    yield from _sections(definition.get("input") or {}, "", values if values is not None else {})


def file_inputs(
    prompt: Mapping[str, Mapping[str, Any]], definitions: Definitions
) -> Iterator[tuple[str, Mapping[str, Any], Spec, str]]:
    """(node id, node, input, value) of every input of a prompt that names a file."""
    for node_id, node in prompt.items():
        for spec in specs(definitions[node["class_type"]], node["inputs"]):
            value = node["inputs"].get(spec.name)
            if spec.is_file and isinstance(value, str):
                yield node_id, node, spec, value


def _sections(inputs: Mapping[str, Any], prefix: str, values: Mapping[str, Any]) -> Iterator[Spec]:
    for section in ("required", "optional"):
        for name, raw in (inputs.get(section) or {}).items():
            full = f"{prefix}.{name}" if prefix else name
            spec = _spec(full, raw, section == "required")
            if spec.kind != DYNAMIC_COMBO:
                yield spec
                continue
            options = [option for option in spec.options.get("options", []) if isinstance(option, Mapping)]
            choices = tuple(option.get("key") for option in options)
            yield Spec(full, "COMBO", {k: v for k, v in spec.options.items() if k != "options"}, choices, spec.required)
            chosen = values.get(full, choices[0] if choices else None)
            for option in options:
                if option.get("key") == chosen:
                    yield from _sections(option.get("inputs") or {}, full, values)


def describe(class_id: str, cls: type, display_name: str | None = None) -> dict[str, Any]:
    """A classic node class in the form in which /object_info shows it."""
    types = list(cls.RETURN_TYPES)  # type: ignore[attr-defined]
    return {
        "name": class_id,
        "display_name": display_name or class_id,
        "description": getattr(cls, "DESCRIPTION", ""),
        "category": getattr(cls, "CATEGORY", ""),
        "input": cls.INPUT_TYPES(),  # type: ignore[attr-defined]
        "output": types,
        "output_name": list(getattr(cls, "RETURN_NAMES", types)),
        "output_is_list": list(getattr(cls, "OUTPUT_IS_LIST", [False] * len(types))),
        "output_tooltips": list(getattr(cls, "OUTPUT_TOOLTIPS", [])),
        "output_node": bool(getattr(cls, "OUTPUT_NODE", False)),
    }


def local_classes() -> dict[str, type]:
    """Every node that can run in this process: ComfyUI's core nodes that we supply, and the pack's own."""
    from .. import nodes
    from . import core_nodes

    return {**core_nodes.NODE_CLASS_MAPPINGS, **nodes.NODE_CLASS_MAPPINGS}


class LocalDefinitions(Mapping[str, Definition]):
    """`describe` of every local node, made when it is asked for: listing model files takes time."""

    def __init__(self) -> None:
        from .. import nodes
        from . import core_nodes

        self.classes = local_classes()
        self._names = {**core_nodes.NODE_DISPLAY_NAME_MAPPINGS, **nodes.NODE_DISPLAY_NAME_MAPPINGS}
        self._made: dict[str, Definition] = {}

    def __getitem__(self, class_id: str) -> Definition:
        if class_id not in self._made:
            self._made[class_id] = describe(class_id, self.classes[class_id], self._names.get(class_id))
        return self._made[class_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, class_id: object) -> bool:
        return class_id in self.classes


INSTEAD = {
    "AudioEncoderLoader": "Use EMO2 Load Audio Encoder",
    "AudioEncoderEncode": "Use EMO2 Encode Audio",
}


def unknown_node(class_id: str, server: str | None = None) -> str:
    """What to do about a node that is not there, on `server` or in this process."""
    if server:
        pack = "ComfyUI-EMO2" if class_id.startswith("EMO2") else "the pack that brings it"
        return f"Install or update {pack} on {server}, or take the node out of the workflow."
    if class_id.startswith("EMO2"):
        return "Update ComfyUI-EMO2 or take the node out; `emo2 nodes` lists the nodes."
    instead = INSTEAD.get(class_id, "Take it out or mute it")
    return f"{instead}, or run the file on a ComfyUI server that has this node: `emo2 queue FILE --server URL`."
