"""What became of every clip, as report.csv, and in numbers, as summary.json."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from ...models.whole_files import whole_file
from .work import Work, read_json, write_json

MEASURES = (
    "people", "present", "overlap", "leap", "wander", "zoom", "enlarged", "shoulders", "hands", "face", "sharpness",
)  # fmt: skip
"""What is measured of a clip, in the order in which it is asked; `settings.Limits` says in which units."""
COLUMNS = (
    "number", "video", "clip", "start", "end", "seconds", "kept", "records", "first_record", "reason", "detail",
    *MEASURES,
)  # fmt: skip
NOT_JUDGED = ("whether the sound is in time with the picture", "text laid over the picture")


def write_report(work: Work) -> dict[str, Any]:
    """Write both files, whole, from what is done so far; returns the summary."""
    rows = [row for number, (mark, name) in enumerate(work.videos()) for row in _rows(work, number, mark, name)]
    with whole_file(work.folder / "report.csv") as temporary, open(temporary, "w", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    summary = _summary(work, rows)
    write_json(work.folder / "summary.json", summary)
    return summary


def _rows(work: Work, number: int, mark: str, name: str) -> list[dict[str, Any]]:
    place = work.place(mark)
    shots = read_json(place / "shots.json")
    if shots is None:
        return []
    about = {"number": number, "video": name}
    numbers = read_json(place / "numbers.json")
    at = numbers["first"] if numbers else None
    rows: list[dict[str, Any]] = []
    for clip in work.clips(mark):
        start, end = (round(clip[edge] / shots["fps"], 3) for edge in ("first", "stop"))
        records = len(clip["records"])
        row = about | {
            "clip": clip["clip"], "start": start, "end": end, "seconds": round(end - start, 3),
            "kept": "yes" if records else "no", "records": records,
            "first_record": at if records and at is not None else "", "reason": clip["reason"] or "",
            "detail": clip["detail"],
        }  # fmt: skip
        rows.append(row | {name: clip["measures"].get(name, "") for name in MEASURES})
        at = at + records if at is not None else None
    if shots["rejected"]:
        reason, detail = shots["rejected"]
        start = round(shots["frames"] / shots["fps"], 3)
        rows.append(about | {"kept": "no", "records": 0, "start": start, "reason": reason, "detail": detail})
    return rows


def _summary(work: Work, rows: list[dict[str, Any]]) -> dict[str, Any]:
    videos = work.videos()
    kept = [row for row in rows if row["kept"] == "yes"]
    clips, seconds = Counter[str](), Counter[str]()
    for row in rows:
        if row["reason"]:
            clips[row["reason"]] += 1
            seconds[row["reason"]] += row.get("seconds", 0.0)
    length = lambda these: round(sum(row.get("seconds", 0.0) for row in these), 2)
    return {
        "videos": len(videos),
        "videos_done": sum(work.finished(mark) for mark, _ in videos),
        "clips": len(rows),
        "clips_kept": len(kept),
        "records": sum(row["records"] for row in kept),
        "seconds": length(rows),
        "seconds_kept": length(kept),
        "left_out": {
            reason: {"clips": count, "seconds": round(seconds[reason], 2)} for reason, count in clips.most_common()
        },
        "not_judged": list(NOT_JUDGED),
        "settings": work.settings.as_json(),
    }


def told(summary: dict[str, Any], folder: Path) -> str:
    """The summary in a few lines."""
    lines = [
        f"{summary['videos_done']} of {summary['videos']} videos done: {summary['clips_kept']} of {summary['clips']} "
        f"clips kept ({summary['seconds_kept']:.0f} of {summary['seconds']:.0f} s), {summary['records']} records",
        *(f"left out: {reason}: {told['clips']} clips, {told['seconds']:.0f} s"
          for reason, told in summary["left_out"].items()),
        f"every clip: {folder / 'report.csv'}; pictures to look at: {folder / 'sheets'}",
    ]  # fmt: skip
    return "\n".join(lines)


__all__ = ["COLUMNS", "MEASURES", "told", "write_report"]
