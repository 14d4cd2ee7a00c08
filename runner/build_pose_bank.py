"""`emo2 build-pose-bank`: real poses with the motion tokens they came from, for directed motion."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from ..models.errors import EMO2Error


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command's options."""
    parser = commands.add_parser(
        "build-pose-bank", help="make the bank of real poses that directed motion is drawn from",
        description="Make a relation bank: the 2D and 3D poses of many performances with the tokens that a motion "
        "tokenizer gives them. Generated tokens are then turned into these poses.",
    )  # fmt: skip
    parser.add_argument("--tokenizer", metavar="FILE", type=Path, required=True, help="the tokenizer's checkpoint")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the bank to write (.npz)")
    parser.add_argument("--puppets", metavar="N", type=int, default=0, help="take the performances of N puppets")
    parser.add_argument("--beat2", metavar="DIR", type=Path, help="take BEAT2's recordings; their poses are projected")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="number of the first puppet (%(default)s)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")


def run(options: argparse.Namespace) -> int:
    """Build the bank, and print what is in it."""
    if options.puppets < 0 or options.seed < 0:
        raise EMO2Error(
            "--puppets and --seed", "numbers from 0 up", f"{options.puppets}, {options.seed}", "Correct it."
        )
    if not options.puppets and options.beat2 is None:
        raise EMO2Error("--puppets or --beat2", "something to take poses from", "neither", "Give one of them, or both.")
    if options.out.suffix != ".npz":
        raise EMO2Error("--out", "a name that ends in .npz", str(options.out), "Name it so.")
    if options.out.exists() and not options.force:
        raise EMO2Error("--out", "a file that is not there yet", str(options.out), "Give another name, or --force.")
    from ..models.body.tokenizer import MotionTokenizer, build
    from ..models.checkpoints.format import fingerprint, load_checkpoint
    from ..models.direction.bank import FPS, PER_TOKEN, PoseBank, save_bank
    from ..training.pose_bank import beat2_clips, check_rate, puppet_clips

    tokenizer, _ = load_checkpoint(options.tokenizer, "tokenizer", build, "--tokenizer")
    assert isinstance(tokenizer, MotionTokenizer)
    check_rate(tokenizer, "--tokenizer")
    sources = [puppet_clips(tokenizer, options.puppets, options.seed)] if options.puppets else []
    if options.beat2 is not None:
        sources.append(beat2_clips(tokenizer, options.beat2))
    bank = PoseBank.of(itertools.chain(*sources), fingerprint(options.tokenizer))
    save_bank(bank, options.out)
    seconds, codes = len(bank) * PER_TOKEN / FPS, len(set(bank.codes.tolist()))
    seen = int((~bank.projected).sum())
    print(
        f"{options.out}  {len(bank.projected)} clips ({len(bank.projected) - seen} projected), {seconds:.0f} s, "
        f"{codes} of {tokenizer.config.codes} tokens"
    )
    return 0
