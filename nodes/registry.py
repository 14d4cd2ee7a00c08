"""How a class becomes a node: the `node` decorator collects it and puts its name into every error a user causes."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ..models.errors import EMO2Error, from_disk

NODE_CLASS_MAPPINGS: dict[str, type] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN")
OWN_WIRES = ("EMO2_", "VAE")
"""Beginnings of the types that are looked at here; what comes over the others, nodes look at themselves."""


def _named_errors(method: Callable, display_name: str, input_types: Callable[[], dict]) -> Callable:
    signature = inspect.signature(method)
    wanted = functools.cache(lambda: declared(input_types()))  # asked for at the first run: it may list folders

    @functools.wraps(method)
    def run(self, *args, **kwargs):
        try:
            given: Mapping[str, Any] = {}
            with suppress(TypeError):  # arguments are missing: the call below says which
                given = signature.bind(self, *args, **kwargs).arguments
            for name, (kind, options, required) in wanted().items():
                if name in given:
                    check_value(name, given[name], kind, options, required)
            return method(self, *args, **kwargs)
        except EMO2Error as error:
            if error.node:
                raise
            raise error.at(display_name) from error
        except OSError as error:
            refused = from_disk(error)
            if refused is None:
                raise
            raise refused.at(display_name) from error

    run.__signature__ = signature  # type: ignore[attr-defined]
    return run


def node(class_id: str, display_name: str, category: str) -> Callable[[type], type]:
    """Class decorator: register a node under its stable `class_id` ("EMO2..."), shown as `display_name`.

    The class follows ComfyUI's classic contract: INPUT_TYPES, RETURN_TYPES, RETURN_NAMES, OUTPUT_TOOLTIPS, FUNCTION,
    DESCRIPTION. CATEGORY is set here ("EMO2/audio", "EMO2/motion", "EMO2/pose" or "EMO2/video").
    """

    def register(cls: type) -> type:
        if class_id in NODE_CLASS_MAPPINGS:
            raise RuntimeError(f"node {class_id} is registered twice")
        cls.CATEGORY = category  # type: ignore[attr-defined]
        name = cls.FUNCTION  # type: ignore[attr-defined]
        setattr(cls, name, _named_errors(getattr(cls, name), display_name, cls.INPUT_TYPES))
        NODE_CLASS_MAPPINGS[class_id] = cls
        NODE_DISPLAY_NAME_MAPPINGS[class_id] = display_name
        return cls

    return register


def declared(input_types: Mapping[str, Any]) -> dict[str, tuple[Any, Mapping[str, Any], bool]]:
    """Input name -> (type, options, whether it must be given) of what INPUT_TYPES returns."""
    found = {}
    for section in ("required", "optional"):
        for name, spec in input_types.get(section, {}).items():
            found[name] = (spec[0], spec[1] if len(spec) > 1 else {}, section == "required")
    return found


def check_value(name: str, value: Any, kind: Any, options: Mapping[str, Any], required: bool) -> None:
    """EMO2Error for a value that the input `name` cannot mean.

    ComfyUI checks what stands in widgets, but NaN passes there, and what comes over a wire is not looked at.
    """
    if value is None:
        # Nodes that take a sound say themselves where a missing one comes from.
        if kind in ("INT", "FLOAT") or (required and kind != "AUDIO"):
            raise EMO2Error(name, "a value" if kind in WIDGETS else f"{kind} over its wire", "nothing", "Connect it.")
    elif kind in ("INT", "FLOAT"):
        number = isinstance(value, numbers.Real) and value == value and abs(value) != math.inf
        if not number or (kind == "INT" and value != int(value)):
            wanted = "a whole number" if kind == "INT" else "a finite number"
            raise EMO2Error(name, wanted, repr(value), f"Give {name} a number.")
        low, high = options.get("min", -math.inf), options.get("max", math.inf)
        if not low <= value <= high:
            raise EMO2Error(name, f"a number from {low} to {high}", repr(value), "Give a value in that range.")
    elif str(kind).startswith(OWN_WIRES) and isinstance(value, (str, numbers.Real)):
        raise EMO2Error(name, f"{kind} over its wire", repr(value), "Connect it.")
    elif kind == "STRING" and not isinstance(value, str):
        raise EMO2Error(name, "a text", repr(value), f"Give {name} a text.")
