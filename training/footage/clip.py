"""One clip of a video: judged, cropped, its person's motion, mouth and outline found; then written as records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...models.audio.waveform import RATE
from ...models.errors import EMO2Error
from ...models.hands import HandModel
from ...models.maps import keypoint_maps, mano_maps
from ...models.pose.detection import Detector
from ...models.pose.keypoint_motion import Points, framing_of, motion_of_points
from ...models.types import Framing, Motion
from ..puppets.cache import RECORDED, as_png, packed, save_record
from .crop import Crop, crop_for, cut_off
from .face import Mouth, mouth_of
from .judging import Rejected, hands_seen, sharpness
from .outline import person_masks
from .people import Watched, choose, follow, leaps, overlapped, points_of, watch
from .reading import Footage
from .reference import reference_frame
from .settings import Settings

OFTEN = 0.1
"""Share of the frames in which others may cover more of the person than `Limits.overlap`."""
SHARP_EVERY = 5
"""Frames from one measure of sharpness to the next."""


@dataclass(frozen=True)
class Clip:
    """F frames of one person, fit to learn from. pictures: files of each frame; masks, hands, sharp: (F, ...)."""

    motion: Motion
    waveform: np.ndarray
    pictures: Sequence[np.ndarray]
    points: Points
    mouth: Mouth
    hands: np.ndarray
    sharp: np.ndarray

    def __len__(self) -> int:
        return len(self.motion)


@dataclass
class Findings:
    """What was measured of a clip, for the report; filled in as far as the clip came."""

    values: dict[str, float] = field(default_factory=dict)

    def note(self, **values: float) -> None:
        self.values |= {name: round(float(value), 4) for name, value in values.items()}


def make_clip(
    footage: Footage, first: int, stop: int, detector: Detector, settings: Settings, hands: HandModel,
    findings: Findings, on_frames: Callable[[int], None] = lambda count: None,
) -> Clip:  # fmt: skip
    """Frames first..stop-1 as a clip. Raises Rejected with the first reason against it, the cheapest asked first, and
    BrokenVideo. on_frames(n): called as frames are looked at, may raise to stop."""
    limits = settings.limits
    if stop - first < settings.shortest:
        raise Rejected("too short", f"{(stop - first) / settings.fps:.2f} s")
    waveform = footage.sound(first, stop)
    if waveform is None and not limits.silent_ok:
        raise Rejected("no sound")
    watched = watch(footage, first, stop, detector, on_frames)
    found, framing = _person(watched, waveform, settings, findings)
    crop = _crop(found, framing, settings, findings)
    placed = crop.points(found)
    findings.note(hands=hands_seen(placed).any(1).mean())
    if findings.values["hands"] < limits.hands:
        raise Rejected("hands never visible", f"in {findings.values['hands']:.0%} of the frames")
    here = framing_of(placed.body, placed.body_scores, settings.size)
    neck = np.where(placed.body_scores[:, 1:2] > 0, placed.body[:, 1], np.array(here.neck))
    mouth = mouth_of(placed.face, placed.face_scores, settings.size, neck, here.shoulder_width * settings.size[1])
    findings.note(face=mouth.known.mean())
    if mouth.known.mean() < limits.face:
        raise Rejected("face never visible", f"in {mouth.known.mean():.0%} of the frames")
    pictures, sharp = _pictures(footage, first, stop, crop, here, settings)
    findings.note(sharpness=np.median(sharp))
    if np.median(sharp) < limits.sharpness:
        raise Rejected("too blurred", f"sharpness {np.median(sharp):.3f}")
    motion, points = _motion(placed, here, settings, hands)
    if waveform is None:
        waveform = np.zeros(round((stop - first) / settings.fps * RATE), np.float32)
    return Clip(motion, waveform, pictures, placed, mouth, points, sharp)


def _person(
    watched: Watched, waveform: np.ndarray | None, settings: Settings, findings: Findings
) -> tuple[Points, Framing]:
    """The chosen person's points, normalised to the video, and their framing in it; else why there is none."""
    limits = settings.limits
    tracks = follow(watched, settings.fps) if any(watched.people) else ()
    findings.note(people=len(tracks))
    if isinstance(tracks, tuple) or not len(tracks):
        raise Rejected("no person")
    person = choose(watched, tracks, waveform, settings.fps)
    present = float((tracks.seats[:, person] >= 0).mean())
    findings.note(present=present)
    if present < limits.present:
        raise Rejected("no person", f"in {1 - present:.0%} of the frames")
    found = points_of(watched, tracks, person, settings.fps)
    try:
        framing = framing_of(found.body, found.body_scores, watched.size)
    except EMO2Error as error:
        raise Rejected("no shoulders", error.given if isinstance(error.given, str) else "") from error
    covered = overlapped(watched, tracks, person)
    findings.note(overlap=np.quantile(covered, 1 - OFTEN))
    if np.quantile(covered, 1 - OFTEN) > limits.overlap:
        raise Rejected("several people overlapping", f"{np.quantile(covered, 1 - OFTEN):.0%} of the person")
    leap = float(leaps(found, watched.size).max(initial=0.0))
    findings.note(leap=leap)
    if leap > limits.leap:
        raise Rejected("jump cut", f"the head jumps by {leap:.2f} shoulder widths")
    shoulder = framing.shoulder_width * watched.size[1]
    wander, zoom = watched.camera.wander * max(watched.size) / shoulder, watched.camera.zoom
    findings.note(wander=wander, zoom=zoom)
    if wander > limits.wander or zoom > limits.zoom:
        raise Rejected("camera moving", f"by {wander:.2f} shoulder widths, {zoom:.0%} larger")
    return found, framing


def _crop(found: Points, framing: Framing, settings: Settings, findings: Findings) -> Crop:
    limits = settings.limits
    crop = crop_for(framing, found.hands[found.hand_scores > 0], settings.size)
    closeness = framing.shoulder_width * framing.size[1] * crop.scale / settings.size[1]
    findings.note(enlarged=crop.scale, shoulders=closeness)
    if crop.scale > limits.enlarge:
        raise Rejected("person too small", f"would be shown {crop.scale:.1f} times as large as filmed")
    if closeness > limits.closest:
        raise Rejected("person too close", f"shoulders {closeness:.0%} of the picture's width")
    if cut_off(crop, framing):
        raise Rejected("person cut off", "at the video's edge")
    return crop


def _pictures(
    footage: Footage, first: int, stop: int, crop: Crop, framing: Framing, settings: Settings
) -> tuple[list[np.ndarray], np.ndarray]:
    """The clip's pictures as files, and sharpness (F,), measured now and then and interpolated."""
    files, times, measured = [], [], []
    before: np.ndarray | None = None
    for number, picture in enumerate(footage.frames(first, stop, crop.reading_side)):
        if picture is not before:  # the same object is given again for each frame that it fills
            cut = crop.cut(picture)
            files.append(_coded(cut, settings.quality))
        else:
            files.append(files[-1])
        before = picture
        if number % SHARP_EVERY == 0:
            times.append(number)
            measured.append(sharpness(cut, framing))
    if len(files) != stop - first:
        raise Rejected("broken file", f"{len(files)} of {stop - first} frames can be read")
    return files, np.interp(np.arange(len(files)), times, measured)


def _coded(picture: np.ndarray, quality: int) -> np.ndarray:
    if quality == 100:
        return as_png([picture])[0]
    import cv2

    how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return np.asarray(cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), how)[1]).ravel()


def _motion(placed: Points, framing: Framing, settings: Settings, hands: HandModel) -> tuple[Motion, np.ndarray]:
    """The clip's motion, hands outside the picture marked not visible, and hand points (F, 2, 21, 2): the found ones,
    those of the fitted hands where a point was not found."""
    motion = motion_of_points(placed, settings.fps, framing, hands)
    visible = motion.visible & hands_seen(placed)
    motion = motion.replace(visible=visible, confidence=motion.confidence * visible)
    _, joints = hands.pose(motion.rotations, motion.wrists())
    fitted = motion.framing.project(np.asarray(joints))
    points = np.where(placed.hand_scores[..., None] > 0, placed.hands, fitted)
    return motion, points.astype(np.float32)


def stretches(count: int, frames: int) -> list[int]:
    """First frames of the records of a clip of `count`: one after the other; a rest of at least half a record becomes
    one more, which begins earlier to be whole."""
    starts = list(range(0, count - frames + 1, frames))
    if starts and count - (starts[-1] + frames) >= max(frames // 2, 1):
        starts.append(count - frames)
    return starts


def write_records(clip: Clip, path: Callable[[int], Path], info: dict[str, Any], settings: Settings,
                  hands: HandModel) -> list[str]:  # fmt: skip
    """The clip's records as files path(0), path(1), ...; their names. info: what all of them have in common."""
    framing = clip.motion.framing
    about = info | {
        "split": "train", "style": settings.style, "fps": settings.fps, "size": list(settings.size),
        "framing": asdict(framing),
        "clip_frames": len(clip),
    }  # fmt: skip
    waveform = np.rint(np.clip(clip.waveform, -1, 1) * 32767).astype(np.int16)
    names = []
    for number, start in enumerate(stretches(len(clip), settings.frames)):
        part = slice(start, start + settings.frames)
        motion = clip.motion.frames(part.start, part.stop)
        chosen = reference_frame(
            clip.mouth.shapes[:, 0], clip.mouth.known, clip.motion.visible, clip.motion.confidence, clip.sharp,
            (part.start, part.stop), settings.fps,
        )  # fmt: skip
        points = Points(*(array[part] for array in clip.points))
        arrays: dict[str, Any] = {name: getattr(motion, name) for name in RECORDED}
        arrays |= packed("pictures", [clip.pictures[chosen], *clip.pictures[part]])
        arrays |= packed("mano", as_png(mano_maps(motion, hands, settings.size)))
        arrays |= packed("keypoint", as_png(keypoint_maps(motion, settings.size)))
        arrays |= packed("person", as_png(np.repeat(person_masks(points, framing, settings.size)[..., None], 3, -1)))
        arrays |= {
            "hands": clip.hands[part],
            "mouth": clip.mouth.shapes[part],
            "mouth_places": (clip.mouth.places[part] * np.array(settings.size[::-1])).astype(np.float32),
            "waveform": waveform,
        }
        target = path(number)
        save_record(target, arrays, about | {"start": start, "reference": chosen})
        names.append(target.name)
    return names


__all__ = ["Clip", "Findings", "make_clip", "stretches", "write_records"]
