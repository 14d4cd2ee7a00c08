"""The offline pose detector on a video: seconds a frame, and in how many frames both hands are found.

The video is data/video/speaker_gesturing.mp4 of the folder that EMO2_SHARED names (by default `shared` beside the
project); without it there are no rows.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import av
import numpy as np

from ..models.pose.detection import Seen
from ..models.pose.offline import OfflineDetector

SHARED = Path(os.environ.get("EMO2_SHARED", Path(__file__).resolve().parents[2] / "shared"))
VIDEO = SHARED / "data" / "video" / "speaker_gesturing.mp4"
SAMPLED, LAST = 50, 499


def run(quick: bool) -> list[dict]:
    if not VIDEO.is_file():
        return []
    wanted = set(np.linspace(0, LAST, SAMPLED).round().astype(int).tolist())
    last = 20 if quick else LAST
    still, follow = OfflineDetector(), OfflineDetector()
    took = {"still": 0.0, "follow": 0.0}
    found: dict[str, list[bool]] = {"still": [], "follow": [], "follow sampled": []}
    with av.open(str(VIDEO)) as container:
        for index, decoded in enumerate(container.decode(video=0)):
            if index > last:
                break
            frame = decoded.to_ndarray(format="rgb24")[None]
            start = time.perf_counter()
            both = both_hands(follow.detect(frame)[0])
            took["follow"] += time.perf_counter() - start
            found["follow"].append(both)
            if index in wanted:
                found["follow sampled"].append(both)
                still.reset()
                start = time.perf_counter()
                found["still"].append(both_hands(still.detect(frame)[0]))
                took["still"] += time.perf_counter() - start
    size = f"{frame.shape[1]} x {frame.shape[2]}"
    counts = {name: f"{sum(values)} of {len(values)} frames" for name, values in found.items()}
    return [
        row("single pictures", took["still"] / len(found["still"]), "s a picture", size),
        row("single pictures, both hands", np.mean(found["still"]), "of frames", counts["still"]),
        row("following", took["follow"] / len(found["follow"]), "s a frame", size),
        row(
            "following, both hands, same frames",
            np.mean(found["follow sampled"]),
            "of frames",
            counts["follow sampled"],
        ),
        row("following, both hands, every frame", np.mean(found["follow"]), "of frames", counts["follow"]),
    ]


def both_hands(people: list[Seen]) -> bool:
    """Whether the surest person has both hands."""
    return bool(people) and bool((people[0].hand_scores > 0).any(1).all())


def row(name: str, value: float, unit: str, note: str) -> dict:
    return {"name": f"offline detector, {name}", "value": float(value), "unit": unit, "note": note}
