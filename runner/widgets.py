"""Reads the saved values of a node on the canvas: which value belongs to which input.

A canvas file stores one list of values a node, in the order of its widgets. Some widgets are no inputs (what a seed
does after a run, an upload button, an audio player), and files of other versions may have more or fewer of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .definitions import UPLOADS, Definition, Spec, specs

CONTROLS = {"fixed", "increment", "decrement", "randomize", "increment-wrap"}
PSEUDO = {None, "", "image", "audio", "video", "upload"}


def _controlled(spec: Spec) -> bool:
    """Whether the page puts a "control after generate" widget behind this one."""
    explicit = spec.options.get("control_after_generate")
    if explicit is not None:
        return bool(explicit)
    return spec.kind == "INT" and spec.name in ("seed", "noise_seed")


def widget_values(
    saved: Any, definition: Definition, on_canvas: set[str] | frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Input name -> value for every widget of a node; a widget without a saved value gets its default.

    saved: the node's `widgets_values`, a list or (some packs) a dict. on_canvas: names of inputs that the file itself
    says are widgets, for types of other packs that we do not know to be.
    """

    def is_widget(spec: Spec) -> bool:
        return spec.is_widget or (spec.name in on_canvas and not spec.options.get("forceInput"))

    if isinstance(saved, Mapping):
        values: dict[str, Any] = {}
        for spec in specs(definition, values):
            if is_widget(spec):
                values[spec.name] = saved.get(spec.name, spec.default)
        return values
    return _aligned(
        list(saved) if isinstance(saved, Sequence) and not isinstance(saved, str) else [], definition, is_widget
    )


def _aligned(saved: list[Any], definition: Definition, is_widget: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    place = 0
    known = [spec for spec in specs(definition) if is_widget(spec)]  # dynamic choices counted at their defaults
    left, controls = len(known), sum(map(_controlled, known))
    required, uploads = True, False

    def spare() -> bool:
        return len(saved) - place > max(left, 0)

    def pseudo() -> bool:
        # An empty text may be a value: it is only passed over where all that is still to come has its own.
        certain = len(saved) - place > max(left + controls, 0)
        return spare() and saved[place] in PSEUDO and (saved[place] != "" or certain)

    for spec in specs(definition, values):
        if not is_widget(spec):
            continue
        if required and not spec.required:
            # Upload buttons and players stand behind the required widgets.
            while uploads and pseudo():
                place += 1
            required = False
        uploads = uploads or any(spec.options.get(name) for name in UPLOADS)
        while spare() and _foreign(saved[place], spec):
            place += 1
        value = saved[place] if place < len(saved) else None
        values[spec.name] = spec.default if value is None else value
        place, left, controls = place + 1, left - 1, controls - _controlled(spec)
        if place < len(saved) and isinstance(saved[place], str) and saved[place] in CONTROLS and _controlled(spec):
            place += 1
            if spec.kind == "COMBO" and spare() and isinstance(saved[place], str):
                place += 1  # the filter that a controlled choice has
    return values


def _foreign(value: Any, spec: Spec) -> bool:
    """Whether a value belongs to a control widget that this version of the node no longer has."""
    if not isinstance(value, str) or value not in CONTROLS:
        return False
    return spec.kind in ("INT", "FLOAT", "BOOLEAN") or (spec.choices is not None and value not in spec.choices)
