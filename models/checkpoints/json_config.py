"""Configs of networks as the JSON in their checkpoints' headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

C = TypeVar("C", bound="JsonConfig")


class JsonConfig:
    """What a config's dataclass inherits to go to JSON and back."""

    @classmethod
    def from_dict(cls: type[C], values: Mapping[str, Any]) -> C:
        """From a checkpoint's JSON; ValueError for a key that this version does not know."""
        if unknown := sorted(values.keys() - {f.name for f in fields(cls)}):  # type: ignore[arg-type]
            raise ValueError(f"unknown config keys {', '.join(unknown)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; tuples become lists."""
        values = asdict(self)  # type: ignore[call-overload]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
