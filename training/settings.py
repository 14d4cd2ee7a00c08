"""How a training runs: the config file's keys, read strictly. Nothing here imports torch.

A key that is not known, a value of the wrong type or out of its range is an EMO2Error that names the key as it is
written on the command line (`optimizer.lr`), before any work.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error

CONFIGS = Path(__file__).parent / "configs"
SCHEDULES, PRECISIONS = ("constant", "cosine"), ("no", "bf16", "fp16", "auto")
POSITIVE, FROM_ZERO = (1e-30, math.inf), (0, math.inf)


def _key(default: Any, low: float = -math.inf, high: float = math.inf, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class Optimizer:
    """AdamW. lr: learning rate after `warmup` steps of linear rise. schedule: what it does then: stay, or fall to a
    hundredth along half a cosine until the last step. clip: greatest norm of the gradient, 0 for no limit."""

    lr: float = _key(1e-4, *POSITIVE)
    weight_decay: float = _key(0.01, *FROM_ZERO)
    betas: tuple[float, float] = _key((0.9, 0.999), 0, 1 - 1e-9)
    warmup: int = _key(500, *FROM_ZERO)
    schedule: str = _key("constant", choices=SCHEDULES)
    clip: float = _key(1.0, *FROM_ZERO)


@dataclass(frozen=True)
class Settings:
    """A whole training. batch: samples a process and micro-step; accumulate: micro-steps a step. ema: decay of the
    averaged weights, 0 for none. A state is written every checkpoint_every steps and every checkpoint_minutes (0:
    never for that reason). preview_every: steps between sample pictures, 0 for none. log_every: steps that one line of
    the journal stands for. workers: processes that prepare samples beside the training one, 0 for none. recipe: the
    trainer's own options, which it checks itself."""

    trainer: str
    seed: int = _key(0, 0, 2**31 - 1)
    steps: int = _key(1000, 1, 2**31 - 1)
    batch: int = _key(8, 1, 2**20)
    accumulate: int = _key(1, 1, 2**20)
    optimizer: Optimizer = field(default_factory=Optimizer)
    ema: float = _key(0.999, 0, 1 - 1e-9)
    precision: str = _key("no", choices=PRECISIONS)
    checkpoint_every: int = _key(500, *FROM_ZERO)
    checkpoint_minutes: float = _key(3.0, *FROM_ZERO)
    preview_every: int = _key(0, *FROM_ZERO)
    log_every: int = _key(10, 1, math.inf)
    workers: int = _key(0, 0, 256)
    gradient_checkpointing: bool = _key(False)
    recipe: dict[str, Any] = field(default_factory=dict)
    profile: str = field(default="", metadata={"hidden": True})
    """Where the config came from: paper, tiny, quick or a file's name. Not a key of the file."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they would stand in a config file."""
        values = dataclasses.asdict(self)
        del values["profile"]
        values["optimizer"]["betas"] = list(self.optimizer.betas)
        return values


def load_settings(trainer: str, config: str, changes: Iterable[str] = ()) -> Settings:
    """The settings of `trainer` from `config` (paper, tiny, quick or a .yaml file), with `KEY.SUB=VALUE` changes."""
    path = find_config(trainer, config)
    values = read_yaml(path)
    for change in changes:
        _change(values, change)
    if values.get("trainer", trainer) != trainer:
        given = f"{values['trainer']!r} in {path.name}"
        raise EMO2Error("trainer", repr(trainer), given, "Name the trainer that the config is for.")
    profile = path.stem.removeprefix(f"{trainer}.")
    return from_values({**values, "trainer": trainer}, profile)


def from_values(values: Mapping[str, Any], profile: str = "") -> Settings:
    """Settings from a config file's contents; every key is checked."""
    checked = _checked(Settings, values, "")
    if "trainer" not in checked:
        raise EMO2Error("config trainer", "the trainer's name", "nothing", "Write `trainer: NAME` into the config.")
    return Settings(**checked, profile=profile)


def find_config(trainer: str, config: str) -> Path:
    """The file behind a --config: a profile's name or a path."""
    named = CONFIGS / f"{trainer}.{config}.yaml"
    if "/" not in config and named.is_file():
        return named
    path = Path(config).expanduser()
    if path.is_file():
        return path
    known = sorted(p.stem.split(".", 1)[1] for p in CONFIGS.glob(f"{trainer}.*.yaml"))
    wanted = f"one of {', '.join(known)} or a .yaml file" if known else "a .yaml file"
    raise EMO2Error("--config", wanted, f"{config!r}, which is no file", "Check the name.")


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a config file."""
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EMO2Error(f"config {path}", "a readable text file", error, "Give another file.") from error
    except ValueError as error:
        raise EMO2Error(f"config {path}", "YAML", error, "Correct the file.") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise EMO2Error(f"config {path}", "keys with values, such as `steps: 1000`", repr(values), "Correct the file.")
    return values


def parse_yaml(text: str) -> Any:
    """YAML 1.2's core: 1e-4 is a number, `no` is a word. A key given twice is an error. ValueError for bad YAML."""
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _loader() -> Any:
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML follows YAML 1.1, which reads `no` as false and 1e-4 as a text."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value]
            twice = sorted({key for key in keys if keys.count(key) > 1})
            if twice:
                raise yaml.constructor.ConstructorError(None, None, f"given twice: {', '.join(twice)}", node.start_mark)
            return super().construct_mapping(node, deep)

    dropped = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:float", "tag:yaml.org,2002:int"}
    dropped |= {"tag:yaml.org,2002:timestamp"}
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag not in dropped]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    number = r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|True|false|False)$"), list("tTfF"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^({number})$"), list("-+0123456789."))
    return Loader


def _change(values: dict[str, Any], change: str) -> None:
    """Apply one `KEY.SUB=VALUE`."""
    name, equals, text = change.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise EMO2Error("--set", "KEY=VALUE, such as optimizer.lr=1e-4", repr(change), "Write it that way.")
    place = values
    for part in parts[:-1]:
        below = place.setdefault(part, {})
        if not isinstance(below, dict):
            raise EMO2Error(f"--set {name}", f"{part} to be a group of keys", repr(below), "Check the key.")
        place = below
    try:
        place[parts[-1]] = parse_yaml(text)
    except ValueError as error:
        raise EMO2Error(f"--set {name}", "a value in YAML", error, "Quote a text with special characters.") from error


def _checked(cls: Any, values: Any, prefix: str) -> dict[str, Any]:
    """The values of one group as its fields' types. EMO2Error for what does not fit."""
    if not isinstance(values, Mapping):
        where = f"config {prefix.rstrip('.') or 'file'}"
        raise EMO2Error(where, "keys with values", repr(values), "Indent the keys below it.")
    known = {f.name: f for f in fields(cls) if not f.metadata.get("hidden")}
    for name in values:
        if name not in known:
            raise unknown_key(f"config {prefix}{name}", str(name), known)
    result: dict[str, Any] = {}
    for name, value in values.items():
        if name == "optimizer":
            result[name] = Optimizer(**_checked(Optimizer, value, "optimizer."))
        elif name == "recipe":
            if not isinstance(value, Mapping):
                raise EMO2Error("config recipe", "keys with values", repr(value), "Indent the options below it.")
            result[name] = dict(value)
        else:
            result[name] = _value(known[name], value, f"config {prefix}{name}")
    return result


def unknown_key(where: str, name: str, known: Iterable[str]) -> EMO2Error:
    """The error for a key that nobody reads; recipes use it for their own options too."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    remedy = f"Did you mean {near[0]}?" if near else "Remove it."
    return EMO2Error(where, f"one of the keys {', '.join(known)}", repr(name), remedy)


def _value(spec: Any, value: Any, where: str) -> Any:
    """One value as its field's type and within its range."""
    kind, low, high = str(spec.type), spec.metadata.get("low", -math.inf), spec.metadata.get("high", math.inf)
    choices = spec.metadata.get("choices", ())
    if choices or kind == "str":
        if not isinstance(value, str) or (choices and value not in choices):
            raise EMO2Error(where, f"one of {', '.join(choices)}" if choices else "a text", repr(value), "Change it.")
        return value
    if kind == "bool":
        if not isinstance(value, bool):
            raise EMO2Error(where, "true or false", repr(value), "Change it.")
        return value
    if kind.startswith("tuple"):
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise EMO2Error(where, "two numbers, such as [0.9, 0.999]", repr(value), "Change it.")
        return tuple(_number(float, low, high, part, where) for part in value)
    return _number(int if kind == "int" else float, low, high, value, where)


def _number(kind: type, low: float, high: float, value: Any, where: str) -> Any:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not low <= value <= high or (kind is int and value != int(value)):
        word = "a whole number" if kind is int else "a number"
        if low == POSITIVE[0]:
            word += " above 0"
        elif low > -math.inf:
            word += f" from {low:g}" + (f" to {high:g}" if high < math.inf else " up")
        raise EMO2Error(where, word, repr(value), "Change it.")
    return kind(value)
