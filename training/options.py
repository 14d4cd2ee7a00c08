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


def check_entries(
    entries: Any, keys: Mapping[str, Collection[str]], puppets: Mapping[str, Any], example: str
) -> list[dict[str, Any]]:
    """A config's `data`, checked without opening anything: a folder of puppets, or a list of `{kind: ..., folder: ...,
    weight: 1, ...}`. keys: what each kind may be told besides these. puppets: what that kind has where nothing else is
    said. EMO2Error names what is wrong."""
    if isinstance(entries, str) and entries:
        entries = [{"kind": "puppets", "folder": entries}]
    if not isinstance(entries, (list, tuple)) or not entries:
        raise EMO2Error("config recipe.data", f"a folder, or {example}", repr(entries), "Name at least one folder.")
    checked = []
    for entry in entries:
        if not isinstance(entry, Mapping) or entry.get("kind") not in keys or not entry.get("folder"):
            wanted = f"kind ({', '.join(keys)}) and folder: {example}"
            raise EMO2Error("config recipe.data", wanted, repr(entry), "Correct it.")
        known = ("kind", "folder", "weight", *keys[entry["kind"]])
        if extra := sorted(set(entry) - set(known)):
            raise EMO2Error("config recipe.data", f"keys {', '.join(known)}", ", ".join(extra), "Remove them.")
        merged = {"weight": 1.0} | (dict(puppets) if entry["kind"] == "puppets" else {}) | dict(entry)
        for name in ("count", "seed"):
            value = merged.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                wanted = "a whole number from 0 up"
                raise EMO2Error(f"config recipe.data {name}", wanted, repr(value), "Correct it.")
        weight = merged["weight"]
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < 1e6:
            raise EMO2Error("config recipe.data weight", "a number above 0", repr(weight), "Correct it.")
        checked.append(merged)
    return checked


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
