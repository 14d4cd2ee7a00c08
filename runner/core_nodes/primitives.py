"""Constants on the canvas, and PreviewAny, which shows any value as text."""

from __future__ import annotations

import json
import sys
from typing import Any


class Primitive:
    """Hands its widget's value on."""

    CATEGORY, FUNCTION = "utils/primitive", "execute"
    KIND = "STRING"
    OPTIONS: dict[str, Any] = {}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": (cls.KIND, dict(cls.OPTIONS))}}

    def execute(self, value: Any) -> tuple[Any]:
        return (value,)


class PrimitiveString(Primitive):
    DESCRIPTION = "A text."
    RETURN_TYPES = ("STRING",)


class PrimitiveStringMultiline(Primitive):
    DESCRIPTION = "A text of several lines."
    RETURN_TYPES = ("STRING",)
    OPTIONS = {"multiline": True}


class PrimitiveInt(Primitive):
    DESCRIPTION = "A whole number."
    RETURN_TYPES = ("INT",)
    KIND, OPTIONS = "INT", {"min": -sys.maxsize, "max": sys.maxsize, "control_after_generate": True}


class PrimitiveFloat(Primitive):
    DESCRIPTION = "A number."
    RETURN_TYPES = ("FLOAT",)
    KIND, OPTIONS = "FLOAT", {"min": -sys.maxsize, "max": sys.maxsize, "step": 0.1}


class PrimitiveBoolean(Primitive):
    DESCRIPTION = "On or off."
    RETURN_TYPES = ("BOOLEAN",)
    KIND = "BOOLEAN"


class PreviewAny:
    """The value as text; the command line prints it."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "utils", "main", True
    DESCRIPTION = "Shows any value as text."
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"source": ("*", {})}}

    def main(self, source: Any = None) -> dict[str, Any]:
        if source is None or isinstance(source, (str, int, float, bool)):
            text = str(source)
        else:
            try:
                text = json.dumps(source, indent=4, ensure_ascii=False)
            except (TypeError, ValueError):
                text = str(source)
        return {"ui": {"text": (text,)}, "result": (text,)}


NODES = {
    "PrimitiveString": ("String", PrimitiveString),
    "PrimitiveStringMultiline": ("String (Multiline)", PrimitiveStringMultiline),
    "PrimitiveInt": ("Int", PrimitiveInt),
    "PrimitiveFloat": ("Float", PrimitiveFloat),
    "PrimitiveBoolean": ("Boolean", PrimitiveBoolean),
    "PreviewAny": ("Preview Any", PreviewAny),
}
