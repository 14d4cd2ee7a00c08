"""Videos and motions made for an evaluation. Making them is what takes long, so each is kept and never made twice.

A video's name in the work folder is a fingerprint of all that it is made from: networks, picture, motion, sound,
settings. An evaluation that was stopped goes on where it stood, and a changed network makes everything anew. What is
kept are the video network's latents: another decoder, or other detail where things stand still, paints nothing anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch

from ...models.errors import EMO2Error
from ...models.motion import SMOOTHING
from ...models.types import Framing, Motion
from ...models.video.conditions import Settings
from ...models.video.face_track import FaceTrack
from ...models.whole_files import whole_file
from .networks import Networks

Progress = Callable[[str, int, int], None]
"""(what is being made, how many are there, of how many)."""
DECODER = ("decoder.", "post_quant_conv.")
"""Parts of an autoencoder that a video's latents do not depend on."""


@dataclass(frozen=True)
class Shot:
    """One video to make: `frames` frames of the person in `picture` (H, W, 3) uint8 speaking with `waveform` (T,).

    motion: hands and body, in the picture's framing; None leaves the network free. keypoints: False draws no keypoint
    maps, so that the hand maps are all that is known of the motion. seed: of the noise. silent: the network hears
    nothing. lips: who moves the mouth, as the samplers have it. face: blinks and emotions. identity: whether the
    network is told whose face it is; then `framing` is needed.
    """

    picture: np.ndarray
    waveform: np.ndarray
    frames: int
    motion: Motion | None = None
    framing: Framing | None = None
    keypoints: bool = True
    seed: int = 0
    silent: bool = False
    lips: str = "voice"
    face: FaceTrack | None = None
    identity: bool = False

    def content(self) -> dict[str, object]:
        """All that the video depends on; what came later is left out where it changes nothing."""
        new = ("silent", "lips", "face", "identity")
        later = {f.name for f in fields(self) if f.name in new and getattr(self, f.name) == f.default}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in later}


@dataclass(frozen=True)
class Gesture:
    """One motion to make by stage 1 for a sound (T,) at 16 kHz; the other fields as `sample_motion` takes them."""

    waveform: np.ndarray
    framing: Framing
    style: str | None = None
    speed: tuple[float | None, float | None] | None = None
    picture: np.ndarray | None = None
    seed: int = 0


@dataclass
class Studio:
    """Makes videos and motions with `networks` and keeps them in `work`.

    steps, cfg, scheduler: of the video; motion_steps, motion_cfg, motion_smoothing: of stage 1. workers: processes that
    paint side by side, one thread each (0: one process with torch's threads). precision: "float32", or "bfloat16" for
    autocast. keep_still: as EMO2 Decode Video has it.
    """

    networks: Networks
    work: Path
    settings: Settings = field(default_factory=lambda: Settings(steps=8, cfg=1.5, scheduler="ddim"))
    motion_steps: int = 25
    motion_cfg: float = 2.5
    motion_smoothing: float = SMOOTHING
    workers: int = 0
    precision: str = "float32"
    keep_still: float = 1.0
    progress: Progress = lambda label, done, total: None

    def videos(self, shots: Sequence[Shot], label: str) -> list[np.ndarray]:
        """The videos of the shots, (F, H, W, 3) uint8 each; those that are in the work folder are not made again."""
        paths = [self._video_path(shot) for shot in shots]
        todo = {path: shot for path, shot in zip(paths, shots) if not path.is_file()}
        done = len(set(paths)) - len(todo)
        self.progress(label, done, done + len(todo))
        # Long ones first, or the last one keeps a single worker busy.
        order = sorted(todo.items(), key=lambda item: -item[1].frames)
        for number, _ in enumerate(self._make(order), done + 1):
            self.progress(label, number, done + len(todo))
        return [self._decoded(_read(path), shot.picture) for path, shot in zip(paths, shots)]

    def _decoded(self, latents: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """Frames (F, H, W, 3) uint8 of latents (F, C, h, w), as EMO2 Decode Video gives them."""
        from ...models.video.decode import decode_video
        from ...models.video.still import Still

        vae = self.networks.vae
        reference = self.networks.reference(picture) if self.keep_still else None  # it would be encoded for nothing
        still = Still.of(vae, reference, self.keep_still)
        frames = decode_video(vae, torch.from_numpy(latents).float(), finish=still.kept if still else None)
        return np.rint(frames.numpy() * 255).astype(np.uint8)

    def motions(self, gestures: Sequence[Gesture], label: str) -> list[Motion]:
        """The motions of the gestures, made or read back."""
        found: list[Motion] = []
        for number, gesture in enumerate(gestures, 1):
            found.append(self._motion(gesture))
            self.progress(label, number, len(gestures))
        return found

    def paint(self, shot: Shot) -> np.ndarray:
        """One video's latents (F, C, h, w) float32, without looking into the work folder."""
        from ...models.video.conditions import prepare
        from ...models.video.sampler import Compute, sample_video

        networks, module = self.networks, self.networks.video
        config = module.config if shot.keypoints else replace(module.config, keypoint_maps=False)
        reference = networks.reference(shot.picture, shot.framing)
        if shot.identity:
            reference = replace(reference, identity=networks.identity(shot.picture, shot.framing))
        known = prepare(
            config,
            networks.digest("video"),
            reference=reference,
            motion=shot.motion,
            audio=None if shot.silent else networks.features(shot.waveform),
            lips=shot.lips,
            face=shot.face,
        )
        settings = replace(self.settings, seed=shot.seed)
        compute = Compute(networks.device, fits=lambda: 2)
        with _computing(self.precision):
            latents = sample_video(module, known, settings, count=shot.frames, compute=compute)
        return latents.float().numpy()

    def _video_path(self, shot: Shot) -> Path:
        from ...models.video.job import fingerprint

        identity = fingerprint(
            {
                "networks": self.networks.digest("video", "audio", *(["face_encoder"] if shot.identity else [])),
                "encoder": self.networks.digest("vae", without=DECODER),
                "settings": {**self.settings.content(), "precision": self.precision},
                **shot.content(),
            }
        )
        return self.work / "videos" / f"{identity[:40]}.npy"

    def _make(self, order: Sequence[tuple[Path, Shot]]) -> Iterator[Path]:
        if self.workers < 2 or len(order) < 2:
            for path, shot in order:
                _write(path, self.paint(shot))
                yield path
            return
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor, as_completed

        plain = replace(self, progress=_silent, networks=Networks(self.networks.folders, self.networks.replaced))
        pool = ProcessPoolExecutor(
            min(self.workers, len(order)), multiprocessing.get_context("spawn"), _begin_worker, (plain,)
        )
        try:
            for future in as_completed([pool.submit(_work, path, shot) for path, shot in order]):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _motion(self, gesture: Gesture) -> Motion:
        from ...models.motion import sample_motion
        from ...models.motion.files import load_motion, save_motion
        from ...models.video.job import fingerprint

        wishes = {f.name: getattr(gesture, f.name) for f in fields(gesture)}
        kinds = ("motion", "audio") + (("clip_vision",) if gesture.picture is not None else ())
        identity = fingerprint(
            {
                "networks": self.networks.digest(*kinds),
                "steps": self.motion_steps,
                "cfg": self.motion_cfg,
                "smoothing": self.motion_smoothing,
                **wishes,
            }
        )
        path = self.work / "motions" / f"{identity[:40]}.npz"
        if path.is_file():
            try:
                return load_motion(path)
            except EMO2Error:
                path.unlink()  # damaged: made again
        picture = gesture.picture
        made = sample_motion(
            self.networks.motion, self.networks.features(gesture.waveform), seed=gesture.seed, steps=self.motion_steps,
            cfg=self.motion_cfg, smoothing=self.motion_smoothing, style=gesture.style, speed=gesture.speed,
            framing=gesture.framing,
            image_embed=None if picture is None else self.networks.image_embed(picture),
        )  # fmt: skip
        save_motion(made, path)
        return made


@contextmanager
def _computing(precision: str) -> Iterator[None]:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        yield


def _silent(label: str, done: int, total: int) -> None:
    """No progress."""


def _write(path: Path, video: np.ndarray) -> None:
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, video)


def _read(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        path.unlink(missing_ok=True)
        given = f"a damaged {path.name}, which is removed now"
        raise EMO2Error("--work", "whole videos", given, "Run it again.") from error


_studio: Studio | None = None


def _begin_worker(studio: Studio) -> None:
    global _studio
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    _studio = studio


def _work(path: Path, shot: Shot) -> Path:
    assert _studio is not None
    _write(path, _studio.paint(shot))
    return path
