"""Trainings that begin with a checkpoint instead of random weights, and what they note about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from ..models.checkpoints.format import load_strictly, read_header, read_tensors

WHERE = "config recipe.begin"


def begin_with(
    module: nn.Module,
    path: str | Path,
    kind: str,
    fresh: tuple[str, ...] = (),
    anew: Callable[[str], bool] = lambda name: False,
) -> nn.Module:
    """`module`, which is returned, with the weights of a checkpoint of `kind`, in float32.

    fresh: prefixes of what may be missing there, because it is an option that is switched on now; it begins as new.
    anew: names that begin as new although they are there. EMO2Error for any other difference.
    """
    read_header(path, kind, WHERE)
    own, found = module.state_dict(), read_tensors(Path(path), WHERE)
    new = {name: value for name, value in own.items() if fresh and name.startswith(fresh) and name not in found}
    new |= {name: own[name] for name in found if name in own and anew(name)}
    load_strictly(module, found | new, Path(path).name, WHERE)
    return module.float()


def steps_before(path: str | Path, kind: str) -> dict[str, str]:
    """The note `steps_before` of a training that begins with the checkpoint at `path`: what was trained for it.

    Such as "4000 image", or the number alone where a network has one stage; each training that the checkpoint itself
    began with comes before its own.
    """
    notes = read_header(path, kind).notes
    own = f"{notes.get('steps', '?')} {notes.get('stage', '')}".strip()
    return {"steps_before": " + ".join(filter(None, (notes.get("steps_before"), own)))}
