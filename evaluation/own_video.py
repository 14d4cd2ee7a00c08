"""One's own videos: every metric of the papers' tables that can be had with the files at hand."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..models.errors import EMO2Error
from .bootstrap import bootstrap, over_clips
from .report import Row, missing
from .sounds import read_sound
from .video.faces import csim, efid
from .video.fidelity import psnr, ssim
from .video.frechet import fid, fvd
from .video.hands import hand_metrics
from .video.measured import Measured
from .video.registry import METRICS
from .video.registry import missing as metric_missing
from .video.sync import sync

log = logging.getLogger("emo2")
SYNC_FPS = 25
FACES = "a face detector: the package mediapipe (pip install --no-deps mediapipe==0.10.21, which holds its models)"
ORDER = ("SSIM", "PSNR", "FID", "FVD", "HKC", "HKV", "hand jerk", "CSIM", "EFID", "Sync-C", "Sync-D")


@dataclass(frozen=True)
class Clip:
    """A video: frames (F, H, W, 3) uint8 and frames a second."""

    frames: np.ndarray
    fps: float


@dataclass(frozen=True)
class Faces:
    """The largest face of each frame, in pixels: points (F, 3, 2) picture's left eye, right eye, nose tip; boxes
    (F, 4) left, top, right, bottom."""

    points: np.ndarray
    boxes: np.ndarray


def measure_videos(
    made: Sequence[Path], true: Sequence[Path], sounds: Sequence[Path], folders: Sequence[Path]
) -> list[Row]:
    """Rows for all metrics of `made` videos, against the `true` ones (none: without those metrics) and their sound.

    sounds: none means the videos' own sound tracks. folders: model folders, in whose `evaluation` the networks of FID,
    FVD, CSIM, Sync and EFID are looked for. A metric that cannot be had says what is missing and has no number.
    """
    clips = [read_video(path) for path in made]
    truths = [_fitted(read_video(path), clip, path) for path, clip in zip(true, clips)]
    frames = [clip.frames[: len(truth)] for clip, truth in zip(clips, truths)] or [clip.frames for clip in clips]
    found = _with_truth(frames, truths, folders) + hand_metrics(frames, clips[0].fps)
    faces = _all_faces(frames)
    if faces is None:
        found += [metric_missing(name, FACES) for name in ("CSIM", "EFID", "Sync-C", "Sync-D")]
    else:
        found += _with_faces(made, clips, frames, truths, sounds, faces, folders)
    rows = [_row(measured) for measured in found]
    return sorted(rows, key=lambda row: [f"video.{name}" for name in ORDER].index(row.key))


def _with_truth(frames: list[np.ndarray], truths: list[np.ndarray], folders: Sequence[Path]) -> list[Measured]:
    if not truths:
        return [metric_missing(name, "the true video (--truth)") for name in ("SSIM", "PSNR", "FID", "FVD")]
    return [
        ssim(frames, truths), psnr(frames, truths), fid(frames, truths, folders), fvd(frames, truths, folders),
    ]  # fmt: skip


def _with_faces(made, clips, frames, truths, sounds, faces, folders) -> list[Measured]:
    """Metrics of faces: identity against the first true (else the first made) frame, expressions, lips and sound."""
    first = truths or frames
    still = _all_faces([clip[:1] for clip in first]) if truths else [Faces(f.points[:1], f.boxes[:1]) for f in faces]
    if still is None:
        found = [metric_missing("CSIM", "a face in the first true frame")]
    else:
        pairs = [(a.points[0], b.points) for a, b in zip(still, faces)]
        found = [csim([clip[0] for clip in first], frames, pairs, folders)]
    true_faces = _all_faces(truths) if truths else None
    if true_faces is None:
        found.append(metric_missing("EFID", "the true video (--truth) with a face in it"))
    else:
        both = [(a.points, b.points) for a, b in zip(faces, true_faces)]
        found.append(efid(frames, truths, both, folders))
    waveforms = [read_sound(path) for path in (sounds or made)]
    steady = [_at_fps(clip, face.boxes, clips[k].fps) for k, (clip, face) in enumerate(zip(frames, faces))]
    return found + list(sync([s[0] for s in steady], waveforms, [s[1] for s in steady], folders))


def _row(measured: Measured) -> Row:
    known = METRICS[measured.name]
    label = f"{measured.name} ({known.better} is better)" if known.better else measured.name
    notes = "; ".join(text for text in (measured.network, measured.note) if text)
    if measured.missing:
        return missing(f"video.{measured.name}", label, f"missing {measured.missing}")
    if measured.value is None:
        return missing(f"video.{measured.name}", label, "nothing to measure in these videos")
    if measured.over is None:
        interval = bootstrap(measured.clips)
    else:
        interval = over_clips(measured.resample, measured.count)
    return Row(f"video.{measured.name}", label, interval.value, interval.pair, note=notes, count=interval.count)


def read_video(path: Path) -> Clip:
    """A video's frames; EMO2Error for what is none."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or SYNC_FPS)
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise EMO2Error("--video", "a video file", f"{path} ({error})", "Convert it to mp4.") from error
    if not frames:
        raise EMO2Error("--video", "a video with pictures in it", path, "Get the file again.")
    return Clip(np.stack(frames), rate)


def _fitted(truth: Clip, made: Clip, path: Path) -> np.ndarray:
    """The true frames at the made ones' size and rate, cut to the shorter of the two."""
    if abs(truth.fps - made.fps) > 0.05:
        given = f"{truth.fps:g} in {path.name}"
        raise EMO2Error("--truth", f"{made.fps:g} frames a second, as --video has", given, "Convert one of them.")
    height, width = made.frames.shape[1:3]
    tall, wide = truth.frames.shape[1:3]
    if abs(tall / wide - height / width) > 0.02 * height / width:
        given = f"{tall} x {wide} in {path.name}"
        raise EMO2Error("--truth", f"the shape of --video ({height} x {width})", given, "Cut one of them.")
    count = min(len(truth.frames), len(made.frames))
    if count < max(len(truth.frames), len(made.frames)):
        log.warning("%s: the longer of the two videos is cut to %d frames.", path.name, count)
    frames = truth.frames[:count]
    if (tall, wide) != (height, width):
        log.warning("%s is scaled to %d x %d, the size of the made video.", path.name, height, width)
        frames = np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])
    return frames


def _at_fps(frames: np.ndarray, boxes: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames and boxes at 25 a second, the nearest ones."""
    count = max(1, int(len(frames) / fps * SYNC_FPS))
    at = np.minimum(((np.arange(count) + 0.5) / SYNC_FPS * fps).astype(int), len(frames) - 1)
    return frames[at], boxes[at]


def _all_faces(videos: Sequence[np.ndarray]) -> list[Faces] | None:
    """The faces of every video, or None: no detector, or a video without any face."""
    if importlib.util.find_spec("mediapipe") is None:
        return None
    found = [mediapipe_faces(video) for video in videos]
    return None if any(face is None for face in found) else [face for face in found if face is not None]


def mediapipe_faces(video: np.ndarray) -> Faces | None:
    """The largest face in each frame by mediapipe's detector; a frame without one takes its neighbours'. None: none."""
    from mediapipe.python.solutions.face_detection import FaceDetection

    height, width = video.shape[1:3]
    points, boxes = np.full((len(video), 3, 2), np.nan), np.full((len(video), 4), np.nan)
    with FaceDetection(model_selection=1, min_detection_confidence=0.5) as detector:
        for index, frame in enumerate(video):
            places = [d.location_data for d in detector.process(np.ascontiguousarray(frame)).detections or ()]
            if places:
                # Its first two points are the person's right and left eye, the picture's left and right one.
                face = max(places, key=lambda place: place.relative_bounding_box.width)
                box, marks = face.relative_bounding_box, face.relative_keypoints[:3]
                points[index] = [(mark.x * width, mark.y * height) for mark in marks]
                boxes[index] = (
                    box.xmin * width,
                    box.ymin * height,
                    (box.xmin + box.width) * width,
                    (box.ymin + box.height) * height,
                )
    known = np.flatnonzero(np.isfinite(boxes).all(1))
    if not len(known):
        return None
    nearest = known[np.abs(np.arange(len(video))[:, None] - known).argmin(1)]
    return Faces(points[nearest], boxes[nearest])
