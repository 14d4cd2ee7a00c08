"""How a class becomes a node: the `node` decorator collects it and puts its name into every error a user causes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from ..models.errors import EMO2Error, from_disk

NODE_CLASS_MAPPINGS: dict[str, type] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}


def _named_errors(method: Callable, display_name: str) -> Callable:
    @functools.wraps(method)
    def run(self, *args, **kwargs):
        try:
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

    run.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
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
        setattr(cls, name, _named_errors(getattr(cls, name), display_name))
        NODE_CLASS_MAPPINGS[class_id] = cls
        NODE_DISPLAY_NAME_MAPPINGS[class_id] = display_name
        return cls

    return register
