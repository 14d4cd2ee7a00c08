"""A recipe's own options: defaults, types and ranges in one small dataclass, read as strictly as the config itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from ..models.errors import EMO2Error
from .settings import unknown_key

T = TypeVar("T")


def check_names(options: Mapping[str, Any], known: Collection[str]) -> None:
    """EMO2Error for the first key of `options` that is not among `known`."""
    for name in options:
        if name not in known:
            raise unknown_key(f"config recipe.{name}", name, known)


def read_options(cls: type[T], options: Mapping[str, Any]) -> T:
    """`options` (a config's recipe section) as the dataclass `cls`.

    A field's type is that of its default; None stands for a text that need not be given. A field without a default must
    be given. EMO2Error names the key that is unknown, missing or of another type.
    """
    known: dict[str, Any] = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    values = {}
    check_names(options, known)
    for name, value in options.items():
        values[name] = _value(known[name], value)
    for name, spec in known.items():
        if name not in values and spec.default is MISSING and spec.default_factory is MISSING:
            raise EMO2Error(f"config recipe.{name}", "a value", "nothing", f"Give it: --set recipe.{name}=VALUE.")
    return cls(**values)


def _value(spec: Any, value: Any) -> Any:
    default = spec.default if spec.default is not MISSING else None
    if default is None and spec.default_factory is not MISSING:
        default = spec.default_factory()
    where = f"config recipe.{spec.name}"
    if isinstance(default, bool):
        wanted, fits = "true or false", isinstance(value, bool)
    elif isinstance(default, int):
        wanted, fits = "a whole number", isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, float):
        wanted, fits = "a number", isinstance(value, (int, float)) and not isinstance(value, bool)
        value = float(value) if fits else value
    elif isinstance(default, Mapping):
        wanted, fits = "keys with values", isinstance(value, Mapping)
    elif isinstance(default, (list, tuple)):
        wanted, fits = "a list", isinstance(value, (list, tuple))
        value = type(default)(value) if fits else value
    else:
        wanted, fits = "a text", isinstance(value, str) or (value is None and default is None)
    if not fits:
        raise EMO2Error(where, wanted, repr(value), "Change it.")
    return value
