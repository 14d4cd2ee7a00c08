"""The schedule's part for faces and framings: close-ups and whole figures, with emotions, for all that is to see them.

What was taught on half bodies with plain faces goes on learning: the autoencoder what brows and lids look like, the
estimator where things are in close-ups, the video network what the facial controls ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .schedule import Stage
from .tiny_directed import Training

FOLDERS = {"plain": (600, 0, 40), "head": (280, 20_000, 36), "half": (280, 21_000, 36), "full": (200, 22_000, 36)}
"""What is painted: how many puppets, from which number on, how many frames. "plain" is framed as most puppets are and
shows the plain face; the others have emotions."""
FILES = {
    "face-identity": ("emo2_face_encoder_tiny.safetensors",),
    "face-reader": ("emo2_face_reader_tiny.safetensors",),
    "autoencoder-faces": ("emo2_vae_tiny.safetensors",),
    "estimator-framings": ("emo2_puppet_estimator_tiny.safetensors",),
    "video-face": ("emo2_video_tiny.safetensors",),
}
"""What each training exports."""


@dataclass(frozen=True)
class Before:
    """Checkpoints that these trainings begin with, and the frozen voice encoder."""

    vae: Path
    estimator: Path
    video: Path
    voice: Path


def stages(out: Path, config: str, before: Before, training: Training, puppets: int) -> list[Stage]:
    """The stages. training(name, needs, changes, minutes, name=, config=): a training's stage. puppets: at most so many
    in each folder."""
    named = lambda ours: ours if config == "tiny" else config
    folders = {name: out / f"faces-{name}" for name in FOLDERS}
    paint = {name: _puppets(folders[name], name, puppets) for name in FOLDERS}
    found = [Stage(f"paint-faces-{name}", arguments, minutes=6) for name, arguments in paint.items()]
    painted = tuple(stage.name for stage in found)
    found += [training(name, (), (), minutes=25) for name in ("face-identity", "face-reader")]
    acted = ",".join(str(folders[name]) for name in FOLDERS if name != "plain")
    shown = (f"recipe.data={folders['plain']}", f"recipe.more=[{acted}]")
    vae, own = out / "autoencoder-faces" / "export" / FILES["autoencoder-faces"][0], FILES["face-identity"][0]
    found.append(
        training("autoencoder", (*painted, "decoder"),
                 (*shown, f"recipe.begin={before.vae}", "recipe.held_out=null", "recipe.fresh=false"),
                 60, name="autoencoder-faces", config=named("tiny-faces"))
    )  # fmt: skip
    coded = lambda name: (*paint[name], "--vae", str(vae))
    encoding = [
        Stage(f"encode-faces-{name}", coded(name), ("autoencoder-faces",), (folders[name] / "latents.json",), 6)
        for name in FOLDERS
    ]
    seen = (f"recipe.begin={before.estimator}", f"recipe.vae={vae}")
    found += [
        *encoding,
        training("puppet-estimator", ("puppet-estimator", "autoencoder-faces"), seen, 30,
                 name="estimator-framings", config=named("tiny-framings")),
        training("video-face", (*(stage.name for stage in encoding), "face-identity", "video-modes"), (
            f"recipe.data={folders['half']}", f"recipe.close_ups={folders['head']}",
            f"recipe.more=[{folders['plain']},{folders['full']}]", f"recipe.video={before.video}",
            f"recipe.audio_encoder={before.voice}", f"recipe.vae={vae}",
            f"recipe.face_encoder={out / 'face-identity' / 'export' / own}",
        ), 120),
    ]  # fmt: skip
    return found


def _puppets(folder: Path, name: str, most: int) -> tuple[str, ...]:
    count, seed, frames = FOLDERS[name]
    own = () if name == "plain" else ("--framing", name, "--emotion", "any")
    numbers = ("--count", str(min(count, most)), "--seed", str(seed), "--frames", str(frames))
    return ("puppets", "--out", str(folder), *numbers, *own)
