"""Runs the benchmarks of this folder: every module with a `run(quick)` that returns rows {name, value, unit, note}."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent


def subjects() -> list[str]:
    return [m.name for m in pkgutil.iter_modules([str(HERE)]) if not m.name.startswith("_")]


def table(rows: list[dict]) -> str:
    """The rows as an aligned text table."""
    cells = [("benchmark", "value", "unit", "note")]
    cells += [(r["name"], f"{r['value']:.4g}", r["unit"], r.get("note", "")) for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:<{widths[2]}}  {d}".rstrip() for a, b, c, d in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m emo2.benchmarks", description=__doc__)
    parser.add_argument(
        "subjects", nargs="*", metavar="SUBJECT", help=f"some of: {', '.join(subjects())} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="smaller inputs: shows that the benchmark runs")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    unknown = set(options.subjects) - set(subjects())
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(subjects())}")
    torch.set_num_threads(os.cpu_count() or 1)
    rows: list[dict] = []
    for subject in options.subjects or subjects():
        print(f"{subject} ...", file=sys.stderr, flush=True)
        rows += importlib.import_module(f".{subject}", __package__).run(options.quick)
    machine = {"python": platform.python_version(), "torch": torch.__version__, "cores": os.cpu_count(),
               "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"}  # fmt: skip
    print(table(rows))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        part = options.json.with_suffix(".part")
        part.write_text(
            json.dumps({"time": time.strftime("%Y-%m-%d %H:%M:%S"), "machine": machine, "rows": rows}, indent=2)
        )
        os.replace(part, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
