"""Parts `vae` and `video`: how near pictures come to the truth, who is in them, and where the hands are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from ..bootstrap import bootstrap, paired_difference
from ..report import Row
from ..video.fidelity import frame_psnr, frame_ssim
from ..video.puppet_hands import SIDES, hand_distance, hands_within
from ..video.puppet_identity import crowd, identity_right
from ..video.puppet_seen import see
from ..video.puppet_truth import Truth
from .bench import Bench, Scene
from .goals import from_clips, not_measured, noted, row

VAE_SCENES, RENDERS = 8, 10
"""Purposes of the puppets, see `Bench.numbers`."""
PICTURES_A_SCENE = 4
RENDERS_EVERY = 10
"""The estimator is judged on every so many frames of a person's two seconds: frames next to each other say the same."""


def reconstruction(bench: Bench) -> list[Row]:
    """Part `vae`: held-out pictures through the autoencoder and back."""
    lacking = bench.networks.lacking("vae")
    if lacking:
        return not_measured("vae", lacking)
    count = max(1, bench.amounts.pictures // PICTURES_A_SCENE)
    signal, likeness = [], []
    for number, scene in enumerate(bench.scenes(VAE_SCENES, count, 50), 1):
        true = scene.pictures(np.linspace(0, 49, PICTURES_A_SCENE, dtype=int))
        made = round_trip(bench, true)
        signal.append(frame_psnr(made, true).mean())
        likeness.append(frame_ssim(made, true).mean())
        bench.studio.progress("reconstructions", number, count)
    rows = [row("vae.psnr", bootstrap(np.array(signal)), f"{PICTURES_A_SCENE} pictures of each person")]
    rows.append(row("vae.ssim", bootstrap(np.array(likeness))))
    return noted(rows, bench.networks.untrained("vae"))


def round_trip(bench: Bench, frames: np.ndarray) -> np.ndarray:
    """Frames (F, H, W, 3) uint8 through the autoencoder and back."""
    vae = bench.networks.vae
    pixels = vae.decode(vae.encode(torch.from_numpy(np.ascontiguousarray(frames)).float() / 255))
    return np.rint(pixels.numpy() * 255).astype(np.uint8)


class Fidelity:
    """PSNR and SSIM, one value a clip, of what was made, of the repeated reference and of the reconstruction."""

    def __init__(self, bench: Bench, scenes: list[Scene], videos: list[np.ndarray]):
        self.bench, self.scenes, self.videos = bench, scenes, videos

    @cached_property
    def made(self) -> tuple[np.ndarray, np.ndarray]:
        return self._against(self.videos)

    @cached_property
    def repeated(self) -> tuple[np.ndarray, np.ndarray]:
        return self._against([np.broadcast_to(s.picture, s.truth.shape) for s in self.scenes])

    @cached_property
    def rebuilt(self) -> np.ndarray:
        """PSNR alone, of every fourth frame."""
        values = [frame_psnr(round_trip(self.bench, s.truth[::4]), s.truth[::4]).mean() for s in self.scenes]
        return np.array(values)

    def _against(self, videos) -> tuple[np.ndarray, np.ndarray]:
        signal = [frame_psnr(v, s.truth).mean() for v, s in zip(videos, self.scenes)]
        likeness = [frame_ssim(v[::2], s.truth[::2]).mean() for v, s in zip(videos, self.scenes)]
        return np.array(signal), np.array(likeness)


def measure(bench: Bench) -> list[Row]:
    """Part `video`."""
    lacking = bench.networks.lacking("video", "vae", "audio")
    if lacking:
        return not_measured("video", lacking)
    rows = [*fidelity(bench), *people(bench)]
    lacking = bench.networks.lacking("puppet_estimator")
    rows += not_measured("video", lacking, rows) if lacking else hands(bench)
    return noted(rows, bench.networks.untrained("video", "vae", "audio"))


def fidelity(bench: Bench) -> list[Row]:
    """Against the truth, beside repeating the reference and beside what the autoencoder alone loses."""
    found = Fidelity(bench, bench.main, bench.main_videos)
    (made, likeness), (repeated, repeated_likeness) = found.made, found.repeated
    alone = np.array([frame_psnr(v, s.truth).mean() for v, s in zip(bench.main_videos_alone, bench.main)])
    gain, gap = paired_difference(made, repeated), paired_difference(found.rebuilt, made)
    return [
        row("video.psnr", bootstrap(made)),
        row("video.psnr_alone", bootstrap(alone), "as it leaves the VAE"),
        row("video.ssim", bootstrap(likeness)),
        row("video.repeat_psnr", bootstrap(repeated)),
        row("video.repeat_ssim", bootstrap(repeated_likeness)),
        row("video.gain", gain, "clip by clip"),
        row("video.gap", gap, f"clip by clip; the reconstruction has {found.rebuilt.mean():.2f} dB"),
    ]


def people(bench: Bench) -> list[Row]:
    """How often the right person is the most like what was made, among 20 before the same scene."""
    note = f"among {bench.amounts.people} before the same scene, in the same pose"
    return [row("video.identity", bootstrap(right_people(bench, bench.main, bench.main_videos)), note)]


def right_people(bench: Bench, scenes: Sequence[Scene], videos: Sequence[np.ndarray]) -> np.ndarray:
    """1 for each clip whose person is picked among `Amounts.people`, else 0."""
    right = []
    for number, (scene, video) in enumerate(zip(scenes, videos), 1):
        truth = Truth.of(scene.puppet, count=scene.frames)
        others = crowd(scene.puppet.identity, bench.amounts.people - 1)
        right.append(identity_right([video], [truth], [others]).clips[0])
        bench.studio.progress("telling people apart", number, len(scenes))
    return np.array(right)


def hands(bench: Bench) -> list[Row]:
    """Where the estimator finds the hands, against where the maps put them, for true and for generated motion."""
    estimator = bench.networks.puppet_estimator
    true = [Truth.of(scene.puppet, count=scene.frames) for scene in bench.main]
    seen = [see(video, estimator) for video in bench.main_videos]
    rows = [estimated(bench)]
    sides = [("true", seen, true)]
    lacking = bench.networks.lacking("motion", "clip_vision")
    if lacking:
        rows += [r for r in not_measured("video", lacking) if r.key.startswith("video.hands_made")]
    else:
        asked = [Truth.of(s.puppet, motion=motion) for s, motion in zip(bench.main, bench.made_motions)]
        sides.append(("made", [see(video, estimator) for video in bench.made_videos], asked))
    for which, found, truths in sides:
        distance = hand_distance(found, truths)
        median = f"median distance {np.nanmedian(distance.clips):.3f} widths"
        for index, side in enumerate(SIDES):
            for share, name in ((0.1, "tenth"), (0.05, "twentieth")):
                key = f"video.hands_{which}_{side}_{name}"
                rows.append(from_clips(key, hands_within(found, truths, share, index), median))
    return rows


def estimated(bench: Bench) -> Row:
    """How often the estimator finds the hands in the truth's own pictures: of many people, as a clip's frames are all
    alike and the few people of the other figures would say little."""
    seen, truths = [], []
    people = bench.main + bench.scenes(RENDERS, bench.amounts.renders, RENDERS_EVERY * 5)
    for number, scene in enumerate(people, 1):
        at = np.arange(0, scene.frames, RENDERS_EVERY)
        truths.append(Truth.of(scene.puppet, count=scene.frames).at(at))
        seen.append(see(scene.pictures(at), bench.networks.puppet_estimator))
        bench.studio.progress("real renders", number, len(people))
    measured = hands_within(seen, truths, 0.05)
    main = measured.clips[: len(bench.main)]
    own = f"; the {len(main)} of the clips alone: {np.nanmean(main):.3f}" if np.isfinite(main).any() else ""
    return from_clips("video.hands_real", measured, f"the truth's own pictures of {len(people)} people{own}")
