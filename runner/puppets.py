"""`emo2 puppets`: paint the procedural world's pictures ahead of training."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..models.errors import EMO2Error


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command's options."""
    parser = commands.add_parser(
        "puppets", help="paint a data set of puppets for training",
        description="Paint puppets (speech, gestures, pictures, maps) into a folder; encode and sample them.",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="where the records go")
    parser.add_argument("--count", metavar="N", type=int, default=4000, help="how many puppets (default %(default)s)")
    parser.add_argument("--frames", metavar="N", type=int, default=36, help="frames a puppet (default %(default)s)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="number of the first puppet")
    parser.add_argument("--split", choices=("train", "held-out"), default="train", help="which world (default train)")
    parser.add_argument(
        "--unsure", metavar="SHARE", type=float, default=0.0,
        help="share of the time in which hands are unsharp and found in wrong places, as in real footage (default 0)",
    )  # fmt: skip
    parser.add_argument(
        "--framing", choices=("head", "half", "full"), help="what all pictures show (default: mostly half bodies)"
    )
    parser.add_argument(
        "--emotion", metavar="NAME", help="an emotion that all show, or any for several (default: the plain face)"
    )
    parser.add_argument("--vae", metavar="FILE", type=Path, help="also encode them with this autoencoder")
    parser.add_argument(
        "--video", metavar="FILE", type=Path,
        help="also sample them with this video model (then --vae and --audio too): what a decoder learns from",
    )  # fmt: skip
    parser.add_argument("--audio", metavar="FILE", type=Path, help="the voice encoder of --video")
    parser.add_argument("--part", metavar="K/N", default="0/1", help="paint every N-th from K on, for N processes")


def run(options: argparse.Namespace) -> int:
    """Paint, then encode and sample if asked; all go on where they were stopped."""
    part = part_of(options.part)
    for name in ("count", "frames"):
        if getattr(options, name) < 1:
            raise EMO2Error(name, "at least 1", getattr(options, name), f"Give a larger --{name}.")
    if options.video is not None and None in (options.vae, options.audio):
        lacking = " and ".join(f"--{name}" for name in ("vae", "audio") if getattr(options, name) is None)
        raise EMO2Error("video", "a video model with its autoencoder and voice encoder", f"no {lacking}", "Give both.")
    import cv2
    from tqdm import tqdm

    from ..training.puppets.cache import write_cache

    cv2.setNumThreads(1)  # the pictures are small: threads only wait for each other

    with tqdm(desc="paint", unit="puppet") as bar:
        write_cache(options.out, options.count, options.seed, options.split, options.frames, progress=ticking(bar),
                    part=part, unsure=options.unsure, framing=options.framing, emotion=options.emotion)  # fmt: skip
    if options.vae is not None:
        from ..training.puppets.latents import encode_cache

        with tqdm(desc="encode", unit="puppet") as bar:
            encode_cache(options.out, options.vae, progress=ticking(bar), part=part)
    if options.video is not None:
        with tqdm(desc="sample", unit="puppet") as bar:
            _sample(options, ticking(bar), part)
    return 0


def _sample(options: argparse.Namespace, tick: Callable[[int, int], None], part: tuple[int, int]) -> None:
    """Every record as the evaluation would paint it, with its own motion and sound."""
    import torch

    from ..evaluation.tiny.networks import Networks
    from ..evaluation.tiny.studio import Shot, Studio
    from ..training.puppets.cache import Record
    from ..training.puppets.sampled import heard, sample_cache

    networks = Networks([], {"video": options.video, "vae": options.vae, "audio": options.audio})
    studio = Studio(networks, options.out)

    def sample(record: Record) -> torch.Tensor:
        motion = record.motion
        shot = Shot(record.reference, heard(record), len(record), motion, motion.framing, seed=record.identity)
        return torch.from_numpy(studio.paint(shot))

    about = {"networks": networks.digest("video", "audio", "vae"), "settings": str(studio.settings)}
    sample_cache(options.out, sample, about, tick, part)


def ticking(bar: object):
    def tick(done: int, total: int) -> None:
        bar.total = total  # type: ignore[attr-defined]
        bar.update(done - bar.n)  # type: ignore[attr-defined]

    return tick


def part_of(text: str) -> tuple[int, int]:
    first, _, many = text.partition("/")
    if not (first.isdecimal() and many.isdecimal() and int(first) < int(many)):
        raise EMO2Error("part", "K/N with K from 0 to N - 1", repr(text), "For one of two processes give 0/2 or 1/2.")
    return int(first), int(many)
