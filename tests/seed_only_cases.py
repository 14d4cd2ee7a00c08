"""Checkpoints without weights, as the pack can write them: a config and a seed. Whoever uses them is warned."""

from pathlib import Path

from emo2.models.audio import encoder
from emo2.models.motion import transformer
from emo2.models.video import clip_vision, model, vae

WRITERS = {
    "audio": encoder.write_tiny,
    "motion": transformer.write_tiny,
    "video": model.write_tiny,
    "vae": vae.write_tiny,
    "clip_vision": clip_vision.write_tiny,
}


def seed_only(folder: Path, *kinds: str) -> dict[str, str]:
    """Write `seed_only_<kind>.safetensors`, of the tiny profile, into `folder` for these kinds (all): kind -> name."""
    return {kind: WRITERS[kind](folder / f"seed_only_{kind}.safetensors").name for kind in kinds or WRITERS}
