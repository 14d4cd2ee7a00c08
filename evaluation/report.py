"""What an evaluation says: figures with intervals, held against a floor and a target, as a table and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error
from ..models.whole_files import whole_file

FORMAT = 1
TARGET, FLOOR, SHORT, MISSING, REPORTED = "target", "floor", "short", "missing", "reported"
MEANING = {
    TARGET: "at the target",
    FLOOR: "at the floor",
    SHORT: "short of the floor",
    MISSING: "not measured",
    REPORTED: "without a goal",
}
COLUMNS = ("figure", "value", "95 % interval", "floor", "target", "status", "note")


@dataclass(frozen=True)
class Goal:
    """What a figure ought to be: at least `low` and at most `high`; the target asks for more. None: no bound."""

    low: float | None = None
    high: float | None = None
    target_low: float | None = None
    target_high: float | None = None
    strict: bool = False
    """Whether `low` itself is too little."""

    def judge(self, value: float) -> str:
        """ "target", "floor" or "short". Without a target of its own the floor is the target."""
        if not _within(value, self.low, self.high) or (self.strict and self.low is not None and value <= self.low):
            return SHORT
        low = self.low if self.target_low is None else self.target_low
        high = self.high if self.target_high is None else self.target_high
        return TARGET if _within(value, low, high) else FLOOR

    def texts(self) -> tuple[str, str]:
        """(floor, target) as a person reads them."""
        floor = _bounds(self.low, self.high)
        return floor.replace(">=", ">") if self.strict else floor, _bounds(self.target_low, self.target_high)


def _within(value: float, low: float | None, high: float | None) -> bool:
    # Figures are printed with four digits: what prints as the bound meets it.
    slack = 1e-9
    return (low is None or value >= low - slack) and (high is None or value <= high + slack)


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if low is not None:
        return f">= {low:g}"
    return "" if high is None else f"<= {high:g}"


@dataclass(frozen=True)
class Row:
    """One figure. `key` names it for ever ("vae.psnr"), `label` says it in words with its unit.

    value None: not measured, and `note` says why. interval: 95 %, by bootstrap over the clips. count: how many clips,
    hands or frames are behind it.
    """

    key: str
    label: str
    value: float | None
    interval: tuple[float, float] | None = None
    goal: Goal | None = None
    note: str = ""
    count: int | None = None

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            why = f"came out as {self.value}"
            object.__setattr__(self, "note", f"{why}; {self.note}" if self.note else why)
            object.__setattr__(self, "value", None)
        # One clip says nothing of how far another would lie from it.
        if self.interval is not None and (self.count == 1 or not all(math.isfinite(v) for v in self.interval)):
            object.__setattr__(self, "interval", None)

    @property
    def part(self) -> str:
        return self.key.split(".")[0]

    @property
    def status(self) -> str:
        """One of the keys of MEANING."""
        if self.value is None:
            return MISSING
        return self.goal.judge(self.value) if self.goal else REPORTED

    def cells(self) -> tuple[str, ...]:
        """The row as texts under COLUMNS."""
        span = "" if self.interval is None else f"{number(self.interval[0])} .. {number(self.interval[1])}"
        floor, target = self.goal.texts() if self.goal else ("", "")
        note = self.note if self.count is None else f"n = {self.count}" + (f"; {self.note}" if self.note else "")
        value = "-" if self.value is None else number(self.value)
        return self.label, value, span, floor, target, self.status, note


def number(value: float) -> str:
    """Four digits at most, without an exponent where that is short."""
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1000 else f"{value:.4g}"
    text = text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    return "0" if text == "-0" else text


def missing(key: str, label: str, why: object, goal: Goal | None = None) -> Row:
    """A figure that could not be measured, and why."""
    return Row(key, label, None, goal=goal, note=" ".join(str(why).split()))


@dataclass(frozen=True)
class Report:
    """The rows of one evaluation, and what was evaluated (`about`: plain JSON)."""

    rows: tuple[Row, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        keys = [row.key for row in self.rows]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"figures with the same key: {', '.join(twice)}")

    def __getitem__(self, key: str) -> Row:
        for row in self.rows:
            if row.key == key:
                return row
        raise KeyError(key)

    def counts(self) -> dict[str, int]:
        """How many figures have each status."""
        return {status: sum(row.status == status for row in self.rows) for status in MEANING}

    def merged(self, newer: Report) -> Report:
        """These rows with those of a later evaluation in their places; new ones come last."""
        fresh = {row.key: row for row in newer.rows}
        kept = [fresh.pop(row.key, row) for row in self.rows]
        return Report((*kept, *fresh.values()), {**self.about, **newer.about})

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; statuses are written out for other readers."""
        rows = [
            {k: v for k, v in asdict(row).items() if v not in (None, "")} | {"status": row.status, "value": row.value}
            for row in self.rows
        ]
        return {"format": FORMAT, "about": dict(self.about), "rows": rows}

    def save(self, path: Path) -> Path:
        """Write the report whole or not at all."""
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> Report:
        """The report in a file that `save` wrote; EMO2Error for anything else."""
        try:
            content = json.loads(path.read_text("utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}")
            return cls(tuple(_row(entry) for entry in content["rows"]), content["about"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            given = f"{path} ({error})"
            raise EMO2Error("report", "the JSON of `emo2 evaluate`", given, "Run the evaluation again.") from error


def _row(entry: Mapping[str, Any]) -> Row:
    values = {key: value for key, value in entry.items() if key != "status"}
    values["goal"] = Goal(**values["goal"]) if values.get("goal") else None
    if values.get("interval"):
        low, high = values["interval"]
        values["interval"] = (float(low), float(high))
    return Row(**values)


def table(rows: Iterable[Row]) -> str:
    """The rows as an aligned text table, a blank line between parts."""
    rows = list(rows)
    cells = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    right = {1}
    shown = [
        "  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()
        for row in cells
    ]
    lines, before = [shown[0], "-" * len(shown[0])], None
    for row, line in zip(rows, shown[1:]):
        if before not in (None, row.part):
            lines.append("")
        lines.append(line)
        before = row.part
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    clean = lambda text: text.replace("|", "/").replace("\n", " ")
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "|".join("---:" if i == 1 else "---" for i in range(7)) + "|"]
    lines += ["| " + " | ".join(clean(cell) for cell in row.cells()) + " |" for row in rows]
    return "\n".join(lines)


def with_note(row: Row, note: str) -> Row:
    """The row with a word more in its note."""
    return replace(row, note=f"{row.note}; {note}" if row.note else note)
