"""All videos, one after the other, into the records of a folder. Stopped at any time, it goes on where it stood."""

from __future__ import annotations

import glob
import logging
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...models.errors import EMO2Error
from ...models.hands import HandModel
from ...models.pose.detection import Detector
from .clip import Findings, make_clip, stretches, write_records
from .cuts import divide, find_shots
from .judging import Rejected
from .reading import BrokenVideo, Footage
from .report import write_report
from .settings import Settings
from .sheet import write_sheet
from .work import Work, read_json, write_json

LOG = logging.getLogger("emo2")
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".flv", ".wmv",
            ".3gp", ".ogv")  # fmt: skip
"""What counts as a video in a folder; a file that is named itself may have any."""
REFRESH = 60.0
"""Seconds from one writing of the report to the next."""


def find_videos(given: Sequence[str | Path]) -> list[Path]:
    """Files, folders (with all below them) and patterns, as video files in order, each once. EMO2Error: none there."""
    found: dict[Path, None] = {}
    for name in given:
        path = Path(name)
        if path.is_file():
            files = [path]
        elif path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        else:
            files = sorted(p for p in map(Path, glob.glob(str(name), recursive=True)) if p.is_file())
        if not files:
            kind = f"a folder without any ({', '.join(SUFFIXES[:4])}, ...)" if path.is_dir() else "no such file"
            raise EMO2Error("videos", "video files, folders of them, or patterns", f"{name}: {kind}", "Correct it.")
        found |= dict.fromkeys(file.absolute() for file in files)
    return list(found)


def prepare(
    videos: Sequence[Path],
    folder: Path,
    settings: Settings,
    detector: Callable[[], Detector],
    part: tuple[int, int] = (0, 1),
    hands: HandModel | None = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Fill `folder` with records of the videos that are not in it yet; returns the report's summary, with how many
    videos this process found undone ("new") and how many of them all still are ("left").

    detector: makes the detector, when one is needed. part (k, n): this process takes every n-th video from k on; a
    video that another process has is passed over. progress(done, total): seconds of footage; may raise to stop.
    """
    from ..puppets.hands import neutral_hands

    hands = hands or neutral_hands()
    work = Work(folder, settings)
    paths: dict[str, Path] = {}
    for path, mark in zip(videos, work.register(videos)):
        if mark in paths:
            LOG.warning("%s is the same video as %s and is taken once", path.name, paths[mark].name)
        paths.setdefault(mark, path)
    marks = list(paths)
    todo = [mark for mark in marks[part[0] :: part[1]] if not work.finished(mark)]
    clock = _Clock([paths[mark] for mark in todo], progress)
    made: list[Detector] = []

    def get() -> Detector:
        if not made:
            made.append(detector())
        return made[0]

    written = time.monotonic()
    for mark in todo:
        with work.taken(mark) as ours:
            if ours and not work.finished(mark):
                _prepare_video(work, mark, paths[mark], get, hands, clock)
        clock.next_video()
        if time.monotonic() - written > REFRESH:
            work.publish(marks)
            write_report(work)
            written = time.monotonic()
    work.publish(marks)
    return write_report(work) | {"new": len(todo), "left": sum(not work.finished(mark) for mark in marks)}


def _prepare_video(
    work: Work, mark: str, path: Path, detector: Callable[[], Detector], hands: HandModel, clock: _Clock
) -> None:
    place, settings = work.place(mark), work.settings
    number = work.number(mark)
    shots = read_json(place / "shots.json")
    if shots is None:
        shots = plan_clips(path, settings)
        write_json(place / "shots.json", shots)
    footage = Footage(path, settings.fps) if shots["clips"] else None
    for index, (first, stop) in enumerate(shots["clips"]):
        entry = place / f"{index:04d}.json"
        clock.begin(first, stop, settings.fps)
        if entry.is_file():
            continue
        assert footage is not None
        findings, names, reason, detail = Findings(), list[str](), None, ""
        try:
            clip = make_clip(footage, first, stop, detector(), settings, hands, findings, clock.frames)
            info = {"identity": number, "voice": path.stem, "sentence": f"{path.name} {first / settings.fps:.2f} s",
                    "clip": f"{mark}/{index:04d}"}  # fmt: skip
            names = write_records(clip, lambda n: place / f"{index:04d}_{n:02d}.npz", info, settings, hands)  # noqa: B023
        except Rejected as rejected:
            reason, detail = rejected.reason, rejected.detail
        except BrokenVideo as broken:
            reason, detail = "broken file", str(broken)
        write_json(entry, {"clip": index, "first": first, "stop": stop, "reason": reason, "detail": detail,
                           "measures": findings.values, "records": names, "frames": settings.frames,
                           "starts": stretches(stop - first, settings.frames) if names else []})  # fmt: skip
    if footage is not None:
        name = re.sub(r"[^\w.-]+", "_", path.stem)[:60]
        sheet = work.folder / "sheets" / f"{number:05d}_{name}.png"
        write_sheet(sheet, footage, place, work.clips(mark), settings.size, hands)
    write_json(place / "done.json", {"video": path.name})


def plan_clips(path: Path, settings: Settings) -> dict[str, Any]:
    """What is to be done with a video: its clips, first and last frame + 1, and whether it is left out as a whole, or
    from a place on at which it is damaged."""
    plan: dict[str, Any] = {"video": path.name, "fps": settings.fps, "frames": 0, "clips": [], "rejected": None}
    try:
        footage = Footage(path, settings.fps)
        if footage.rate < settings.limits.least_fps - 0.01:
            plan["rejected"] = ["frame rate too low", f"{footage.rate:.2f} frames a second"]
            return plan
        looks, trouble = footage.glance()
    except BrokenVideo as broken:
        plan["rejected"] = ["broken file", str(broken)]
        return plan
    longest = int(settings.limits.longest * settings.fps + 1e-6)
    clips = [clip for shot in find_shots(looks, settings.fps) for clip in divide(shot, longest)]
    plan |= {"frames": len(looks), "clips": clips, "size": list(footage.size), "rate": footage.rate}
    if trouble:
        plan["rejected"] = ["broken file", f"from here on: {trouble}"]
    return plan


class _Clock:
    """Seconds of footage that are done, of all that is to be done."""

    def __init__(self, videos: Sequence[Path], progress: Callable[[float, float], None]):
        self.lengths = [_seconds(path) for path in videos]
        self.total, self.progress = sum(self.lengths), progress
        self.before, self.video, self.at, self.fps = 0.0, 0, 0.0, 25.0

    def begin(self, first: int, stop: int, fps: float) -> None:
        """A clip begins; the next `frames` belong to it."""
        self.at, self.fps = first / fps, fps
        self.tell()

    def frames(self, count: int) -> None:
        self.at += count / self.fps
        self.tell()

    def next_video(self) -> None:
        self.before += self.lengths[self.video]
        self.video, self.at = self.video + 1, 0.0
        self.tell()

    def tell(self) -> None:
        self.progress(min(self.before + self.at, self.total), self.total)


def _seconds(path: Path) -> float:
    """What a file says of its length; 0 when it says nothing."""
    try:
        return Footage(path, 25.0).video.seconds
    except BrokenVideo:
        return 0.0


__all__ = ["find_videos", "plan_clips", "prepare"]
