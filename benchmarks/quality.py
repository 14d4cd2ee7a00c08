"""How good the shipped weights are: a quick evaluation on held-out puppets, beside the stored one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from emo2.evaluation.report import MISSING, REPORTED, Report, Row, number

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
SPEECH = Path(os.environ.get("EMO2_SHARED", WEIGHTS.parents[1] / "shared")) / "data" / "speech"


def run(quick: bool) -> list[dict]:
    """Rows {name, value, unit, note}; figures that cannot be measured are left out. `quick`: without any video."""
    from emo2.evaluation.tiny import PARTS
    from emo2.evaluation.tiny.bench import Amounts, Bench
    from emo2.evaluation.tiny.networks import Networks
    from emo2.evaluation.tiny.run import evaluate
    from emo2.evaluation.tiny.studio import Studio
    from emo2.training.tiny import workers_here

    parts = ("vae",) if quick else tuple(part for part in PARTS if part not in ("generation", "ablations"))
    with tempfile.TemporaryDirectory() as work:
        networks = Networks([WEIGHTS])
        studio = Studio(networks, Path(work), workers=workers_here()[0])
        report = evaluate(Bench(networks, studio, Amounts.quick(), speech=SPEECH if SPEECH.is_dir() else None), parts)
    stored = stored_rows(WEIGHTS / "evaluation.json")
    return [line(row, stored.get(row.key)) for row in report.rows if row.value is not None]


def stored_rows(path: Path) -> dict[str, Row]:
    """The figures of the full evaluation that came with the weights."""
    return {row.key: row for row in Report.load(path).rows} if path.is_file() else {}


def line(row: Row, stored: Row | None) -> dict:
    """One line of the table: the quick figure, and what the full evaluation said."""
    label, _, unit = row.label.rpartition(", ")
    label, unit = (label, unit) if label and unit in ("dB", "frames", "PSNR dB") else (row.label, "")
    notes = [f"quick: n = {row.count}"] if row.count else ["quick"]
    if stored is not None and stored.status != MISSING and stored.value is not None:
        judged = "" if stored.status == REPORTED else f" ({stored.status})"
        notes.append(f"full evaluation: {number(stored.value)}{judged}")
    if row.goal is not None:
        floor, target = row.goal.texts()
        notes.append(f"floor {floor}" + (f", target {target}" if target else ""))
    return {"name": label, "value": float(row.value or 0.0), "unit": unit, "note": "; ".join(notes)}
