"""The folder that preparation fills: which video is how far, by whom, and which numbers its records get.

folder/cache.json, 00000.npz ...      records as puppets' are, readable at any time (training.puppets.cache)
folder/plan.json                      the settings, the same for all
folder/work/videos.json               every video ever named, in order: its content's mark and its number
folder/work/<mark>/shots.json         its clips; written once, before any of them
folder/work/<mark>/0003.json          clip 3 is done: what the report says of it, names of its records
folder/work/<mark>/0003_00.npz        a record that has no number yet
folder/work/<mark>/done.json          all its clips are done, and its contact sheet
folder/work/<mark>/numbers.json       the numbers that its records get; they move after it is written

Every file is written whole, and each step only after what it builds on, so a process may be killed anywhere. One
process works on a video at a time (a lock that ends with it), and one gives out numbers at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...models.errors import EMO2Error
from ...models.file_lock import locked
from ...models.whole_files import whole_file
from ..puppets.cache import VERSION, record_path
from .settings import Settings

PIECE = 1 << 20


def mark_of(path: Path) -> str:
    """A mark of a file's content: its length, its first and its last MiB. The same video under two names has one."""
    with open(path, "rb") as stream:
        length = os.fstat(stream.fileno()).st_size
        digest = hashlib.sha256(f"{length}".encode())
        digest.update(stream.read(PIECE))
        stream.seek(max(length - PIECE, 0))
        digest.update(stream.read(PIECE))
    return digest.hexdigest()[:16]


def read_json(path: Path) -> Any:
    """What is in a file of ours; None where there is none. EMO2Error for a damaged one."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise EMO2Error("--out", "whole files of an earlier run", f"a damaged {path}", "Delete that file.") from error


def write_json(path: Path, value: Any) -> None:
    with whole_file(path) as temporary:
        Path(temporary).write_text(json.dumps(value))


class Work:
    """One folder. `settings` must be those it was begun with. EMO2Error for another's folder."""

    def __init__(self, folder: Path, settings: Settings):
        self.folder, self.root, self.settings = folder, folder / "work", settings
        plan = json.loads(json.dumps({"version": VERSION, "kind": "footage", "settings": settings.as_json()}))
        self._same(plan)
        self.root.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if not self._same(plan):
                write_json(folder / "plan.json", plan)

    def _same(self, plan: dict[str, Any]) -> bool:
        """Whether the folder has that plan already; EMO2Error when it has another."""
        before = read_json(self.folder / "plan.json")
        other = (self.folder / "cache.json").is_file() if before is None else before != plan
        if other:
            raise EMO2Error("--out", "an empty folder, or one begun with the same options",
                            _difference(before or {}, plan, self.folder), "Choose another folder.")  # fmt: skip
        return before is not None

    def place(self, mark: str) -> Path:
        """The folder of a video's work."""
        return self.root / mark

    def register(self, videos: Sequence[Path]) -> list[str]:
        """The mark of each of the videos; each that is new gets the next number."""
        marks = [mark_of(path) for path in videos]
        with self._alone():
            known = self.videos()
            names = dict(known)
            for path, mark in zip(videos, marks):
                names.setdefault(mark, path.name)
            if len(names) > len(known):
                write_json(self.root / "videos.json", list(names.items()))
        return marks

    def videos(self) -> list[tuple[str, str]]:
        """(mark, name) of all videos, by number."""
        return [(mark, name) for mark, name in read_json(self.root / "videos.json") or []]

    def number(self, mark: str) -> int:
        return [known for known, _ in self.videos()].index(mark)

    def finished(self, mark: str) -> bool:
        """Whether a video is done with."""
        return (self.place(mark) / "done.json").is_file()

    def clips(self, mark: str) -> list[dict[str, Any]]:
        """What the report says of the clips of a video that are done, in order."""
        found = (read_json(path) for path in sorted(self.place(mark).glob("[0-9]*[0-9].json")))
        return [entry for entry in found if entry]

    @contextmanager
    def taken(self, mark: str) -> Iterator[bool]:
        """Whether this process has the video; no other has it until the end of the block."""
        place = self.place(mark)
        place.mkdir(parents=True, exist_ok=True)
        with locked(place / "lock") as mine:
            if mine:
                for left in place.glob(".*.part"):  # of a process that was killed
                    left.unlink(missing_ok=True)
            yield mine

    def publish(self, wanted: Sequence[str] = ()) -> int:
        """Number the records of finished videos, by the videos' numbers, and say in cache.json how many there are.

        A video of `wanted` that is not finished yet holds back those after it, so that the order does not depend on
        who was quicker. Returns how many records there are.
        """
        with self._alone():
            ledgers = {mark: read_json(self.place(mark) / "numbers.json") for mark, _ in self.videos()}
            total = max((entry["first"] + len(entry["names"]) for entry in ledgers.values() if entry), default=0)
            for mark, ledger in ledgers.items():
                if ledger is None:
                    if not self.finished(mark):
                        if mark in wanted:
                            break
                        continue
                    names = [name for clip in self.clips(mark) for name in clip["records"]]
                    ledger = {"first": total, "names": names}
                    write_json(self.place(mark) / "numbers.json", ledger)
                    total += len(names)
                for at, name in enumerate(ledger["names"], ledger["first"]):
                    record = self.place(mark) / name
                    if record.is_file():
                        os.replace(record, record_path(self.folder, at))
            if total:
                settings = self.settings
                about = {"version": VERSION, "count": total, "kind": "footage", "split": "train",
                         "frames": settings.frames, "size": list(settings.size)}  # fmt: skip
                if read_json(self.folder / "cache.json") != about:
                    write_json(self.folder / "cache.json", about)
            return total

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with locked(self.root / "lock", wait=True):
            yield


def _difference(before: dict[str, Any], plan: dict[str, Any], folder: Path) -> str:
    if before.get("kind") != "footage" or before.get("version") != plan["version"]:
        return f"{folder}, which holds something else"
    flat = lambda values: {k: v for k, v in values.items() if k != "limits"} | values["limits"]
    one, two = flat(before["settings"]), flat(plan["settings"])
    changed = [f"{name} {one.get(name)} (now {value})" for name, value in two.items() if one.get(name) != value]
    return f"{folder} begun with {', '.join(changed)}"


__all__ = ["Work", "mark_of", "read_json", "write_json"]
