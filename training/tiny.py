"""How the shipped weights are made from nothing: which trainings, in which order, with what data.

Two single-thread processes do the work on a CPU: stage 1 learns beside the painting and the autoencoder, the small
networks beside stage 2. A GPU does one training after the other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..models.checkpoints.format import read_header
from ..models.direction.bank import load_bank
from ..models.errors import EMO2Error
from ..models.whole_files import whole_file
from . import tiny_directed, tiny_faces
from .schedule import Schedule, Stage

PUPPETS, FRAMES, HELD_OUT = 4000, 36, 64
SAMPLED, SAMPLED_FRAMES, SAMPLED_SEED = 240, 24, 6_500_000
"""Puppets that the finished video network samples, for the autoencoder's decoder: how many, how long, from which number
on. No other training has seen them."""
PARTS = 2
"""Processes that paint, encode and sample; a single one does them one after the other."""
SHARES = tuple(("--part", f"{k}/{PARTS}") for k in range(PARTS))
"""What tells each of them its share."""
LARGEST = 40_000_000
"""Bytes that all shipped weights may have together."""
SHIPPED = (
    "autoencoder-faces",
    "motion-encoders",
    "motion",
    "gesture-encoder",
    "pose-discriminator",
    "estimator-framings",
    "face-identity",
    "face-reader",
    "video-face",
    "tokenizer",
    "text-motion",
    "audio-motion",
    "text-matching",
)
"""The trainings whose exports are shipped, and the bank of poses beside them. The image stage lives on in the clip
stage, that in the modes' and that in the faces'; the autoencoder in `decoder` and in `autoencoder-faces`. The modes'
network is the mean of the clip stage and its own training."""

FILES = {
    "autoencoder": ("emo2_vae_tiny.safetensors",),
    "decoder": ("emo2_vae_tiny.safetensors",),
    "motion-encoders": ("emo2_audio_tiny.safetensors", "emo2_clip_vision_tiny.safetensors"),
    "motion": ("emo2_motion_tiny.safetensors",),
    "gesture-encoder": ("emo2_gesture_encoder_tiny.safetensors",),
    "pose-discriminator": ("emo2_pose_discriminator_tiny.safetensors",),
    "puppet-estimator": ("emo2_puppet_estimator_tiny.safetensors",),
    "video-image": ("emo2_video_tiny.safetensors",),
    "video-clip": ("emo2_video_tiny.safetensors",),
    "video-modes": ("emo2_video_tiny.safetensors",),
    **tiny_faces.FILES,
    **tiny_directed.FILES,
}
"""What each training exports, into the folder `export` of its own."""

VARIANTS = {
    "base": (),
    "no-confidence": ("recipe.hand_confidence=false",),
    "no-discriminator": ("recipe.discriminator_weight=0",),
    "no-keypoints": ("recipe.keypoints=false",),
    "no-motion-frames": ("recipe.motion_frames=false",),
}
"""The ablations: what each short clip training leaves out, from one image checkpoint."""
VARIANT_STEPS = 150
UNSURE_PUPPETS, UNSURE, UNSURE_SEED, UNSURE_STEPS = 400, 0.5, 6_700_000, 300
"""What the ablations learn from: hands as real footage has them, unsharp and found in wrong places half of the time. In
a world where maps are always right, confidence has nothing to say. How many puppets, the share, from which number on;
the steps in which the image checkpoint learns them."""
INTERACTION = {"interaction-off": (), "interaction-on": ("recipe.extend.audio_interaction=32",)}
"""The pair that tells what frame-wise audio-video interaction is worth: short clip trainings from the shipped network,
without and with its layers, and their channels."""
INTERACTION_STEPS = 200
CODE = 0.5
"""Deviation of the code that confidence is given to begin with (see `video_image.give_code`)."""


@dataclass(frozen=True)
class Plan:
    """What `train-tiny` is asked for. out: where runs and caches lie; weights: where the results go; config: the
    profile of every training ("tiny", or "quick" to see that all parts fit); puppets: how many are painted."""

    out: Path
    weights: Path
    config: str = "tiny"
    puppets: int = PUPPETS
    ablations: bool = False
    speech: Path | None = None

    def file(self, training: str, name: str | None = None) -> Path:
        """An exported checkpoint of a training."""
        return self.out / training / "export" / (name or FILES[training][0])


def schedule(plan: Plan) -> Schedule:
    """The stages from an empty folder to weights with a model card."""
    return Schedule(stages(plan), plan.out)


def stages(plan: Plan) -> list[Stage]:
    """The stages in the order of their start: long ones early, so that no core waits at the end."""
    data, fresh = plan.out / "puppets", plan.out / "puppets-held-out"
    takes, vae, image = plan.out / "performances", plan.file("autoencoder"), plan.file("video-image")
    cache = _puppets(data, plan.puppets, FRAMES)
    unseen = _puppets(fresh, min(HELD_OUT, plan.puppets), FRAMES, "--split", "held-out")
    painting = ("paint-held-out", *(f"paint-{k + 1}" for k in range(PARTS)))
    encoding = ("encode-held-out", *(f"encode-{k + 1}" for k in range(PARTS)))
    shown = (f"recipe.data={data}", f"recipe.held_out={fresh}")
    found = [Stage(painting[0], unseen, minutes=0.5)]
    found += [Stage(name, (*cache, *part), minutes=12) for name, part in zip(painting[1:], SHARES)]
    found.append(_training(plan, "autoencoder", painting, shown, minutes=45))
    taken = (f"recipe.data={takes}",)
    ears = "tiny-encoders" if plan.config == "tiny" else plan.config
    found.append(_training(plan, "motion", (), taken, minutes=40, name="motion-encoders", config=ears))
    voice, sight = (plan.file("motion-encoders", name) for name in FILES["motion-encoders"])
    frozen = ("recipe.train_encoders=false", f"recipe.audio_encoder={voice}", f"recipe.clip_vision={sight}")
    found.append(_training(plan, "motion", ("motion-encoders",), (*taken, *frozen), minutes=75))
    coded = ("--vae", str(vae))
    found.append(Stage(encoding[0], (*unseen, *coded), ("autoencoder",), (fresh / "latents.json",), 0.5))
    for name, part in zip(encoding[1:], SHARES):
        found.append(Stage(name, (*cache, *part, *coded), ("autoencoder",), (data / "latents.json",), 10))
    found += [
        _training(plan, "video-image", encoding, (*shown, f"recipe.vae={vae}"), minutes=120),
        _training(plan, "pose-discriminator", encoding, (f"recipe.data={data}",), minutes=15),
        _training(plan, "gesture-encoder", ("motion-encoders",), (f"recipe.data={takes}",), minutes=15),
        _training(plan, "puppet-estimator", ("autoencoder",), (f"recipe.vae={vae}",), minutes=100),
    ]
    pose = plan.file("pose-discriminator")
    clip = (*shown, f"recipe.vae={vae}", f"recipe.image={image}")
    clip = (*clip, f"recipe.audio_encoder={voice}", f"recipe.discriminator={pose}")
    before = ("video-image", "motion-encoders", "pose-discriminator")
    found.append(_training(plan, "video-clip", before, clip, minutes=120))
    modes = (*shown, f"recipe.vae={vae}", f"recipe.image={plan.file('video-clip')}", f"recipe.audio_encoder={voice}")
    led = "tiny-modes" if plan.config == "tiny" else plan.config
    extended = () if plan.config == "tiny" else ("recipe.extend.face_maps=true",)
    found.append(
        _training(plan, "video-clip", ("video-clip",), (*modes, *extended), minutes=60, name="video-modes", config=led)
    )
    found += _decoder(plan)
    made = (plan.file(name) for name in ("decoder", "puppet-estimator", "video-modes"))
    found += tiny_faces.stages(
        plan.out, plan.config, tiny_faces.Before(*made, voice), partial(_training, plan), plan.puppets
    )
    directed = (plan.out, plan.config, voice, partial(_training, plan))
    found += tiny_directed.stages(*directed)
    variants = [f"ablation-{name}" for name in (*VARIANTS, *INTERACTION)]
    if plan.ablations:
        found += _ablations(plan, clip) + _interaction(plan, data, voice, led)
        fusions = tiny_directed.fusions(*directed)
        found, variants = found + fusions, [*variants, *(stage.name for stage in fusions)]
    ship = ("train-tiny", "--ship", "--out", str(plan.out), "--weights", str(plan.weights))
    shipped = tuple(plan.weights / path.name for path in _exports(plan))
    found.append(Stage("ship", ship, (*SHIPPED, "pose-bank"), shipped, minutes=1))
    found.append(
        Stage(
            "evaluate", evaluation(plan), ("ship", *(variants if plan.ablations else ())),
            (plan.weights / "evaluation.json", plan.weights / "README.md"), minutes=40, spread=True,
        )
    )  # fmt: skip
    return found


def _puppets(folder: Path, count: int, frames: int, *more: str) -> tuple[str, ...]:
    return ("puppets", "--out", str(folder), "--count", str(count), "--frames", str(frames), *more)


def _decoder(plan: Plan) -> list[Stage]:
    """The autoencoder's decoder learns what to make of latents as the video network samples them."""
    folder = plan.out / "puppets-sampled"
    puppets = _puppets(folder, min(SAMPLED, plan.puppets), SAMPLED_FRAMES, "--seed", str(SAMPLED_SEED))
    vae, video, voice = (plan.file(name) for name in ("autoencoder", "video-clip", "motion-encoders"))
    networks = ("--vae", str(vae), "--video", str(video), "--audio", str(voice))
    painting, sampling = ([f"{what}-{k + 1}" for k in range(PARTS)] for what in ("paint-sampled", "sample"))
    found = [Stage(name, (*puppets, *part), minutes=1) for name, part in zip(painting, SHARES)]
    done, before = (folder / "sampled.json",), (*painting, "video-clip")
    found += [Stage(name, (*puppets, *part, *networks), before, done, 25) for name, part in zip(sampling, SHARES)]
    changes = (f"recipe.data={folder}", f"recipe.begin={vae}", "recipe.sampled=0.5", "recipe.fresh=false")
    changes += (f"recipe.held_out={plan.out / 'puppets-held-out'}",)
    config = "tiny-decoder" if plan.config == "tiny" else plan.config
    return [*found, _training(plan, "autoencoder", sampling, changes, minutes=10, name="decoder", config=config)]


def _ablations(plan: Plan, clip: tuple[str, ...]) -> list[Stage]:
    """An image checkpoint that has seen hands as footage has them, and the clip trainings that begin with it."""
    folder, steps = plan.out / "puppets-unsure", lambda count: () if plan.config == "quick" else (f"steps={count}",)
    puppets = _puppets(folder, min(UNSURE_PUPPETS, plan.puppets), FRAMES, "--seed", str(UNSURE_SEED))
    puppets = (*puppets, "--unsure", str(UNSURE))
    painting, encoding = ([f"{what}-unsure-{k + 1}" for k in range(PARTS)] for what in ("paint", "encode"))
    found = [Stage(name, (*puppets, *part), minutes=3) for name, part in zip(painting, SHARES)]
    coded, done, before = (
        ("--vae", str(plan.file("autoencoder"))),
        (folder / "latents.json",),
        (*painting, "autoencoder"),
    )
    found += [Stage(name, (*puppets, *part, *coded), before, done, 3) for name, part in zip(encoding, SHARES)]
    own = (f"recipe.data={folder}", "preview_every=0")
    changes = (*own, f"recipe.begin={plan.file('video-image')}", f"recipe.confidence_code={CODE}", *steps(UNSURE_STEPS))
    changes += ("optimizer.lr=4e-4", "optimizer.warmup=20")  # it has learned all but this
    needs = ("video-image", *encoding)
    found.append(_training(plan, "video-image", needs, changes, minutes=10, name="ablation-image"))
    image = f"recipe.image={plan.file('ablation-image', FILES['video-image'][0])}"
    for name, switches in VARIANTS.items():
        changes = (*clip, *own, image, *steps(VARIANT_STEPS), *switches)
        needs = ("ablation-image", "motion-encoders", "pose-discriminator")
        found.append(_training(plan, "video-clip", needs, changes, minutes=6, name=f"ablation-{name}"))
    return found


def _interaction(plan: Plan, data: Path, voice: Path, config: str) -> list[Stage]:
    """Two clip trainings that begin with what is shipped and differ in the interaction layers alone."""
    begin = (f"recipe.data={data}", f"recipe.image={plan.file('video-modes')}", f"recipe.audio_encoder={voice}")
    begin += (
        "preview_every=0",
        "recipe.image_share=0",
        *(() if plan.config == "quick" else (f"steps={INTERACTION_STEPS}",)),
    )
    return [
        _training(plan, "video-clip", ("video-modes",), (*begin, *more), 12, name=f"ablation-{name}", config=config)
        for name, more in INTERACTION.items()
    ]


def _training(
    plan: Plan, training: str, needs: Sequence[str], changes: Sequence[str], minutes: float, name: str | None = None,
    config: str | None = None,
) -> Stage:  # fmt: skip
    name = name or training
    folder = plan.out / name
    arguments = ["train", training, "--config", config or plan.config, "--out", str(folder), "--resume", "auto"]
    for change in changes:
        arguments += ["--set", change]
    files = FILES.get(name, FILES[training])
    return Stage(name, tuple(arguments), tuple(needs), tuple(folder / "export" / f for f in files), minutes)


def evaluation(plan: Plan) -> tuple[str, ...]:
    """The arguments of the evaluation of what was shipped."""
    arguments = ["evaluate", "--profile", "tiny", "--models", str(plan.weights)]
    arguments += ["--work", str(plan.out / "evaluation"), "--ablations", str(plan.out)]
    arguments += ["--json", str(plan.weights / "evaluation.json"), "--card", str(plan.weights / "README.md")]
    if plan.config == "quick":
        arguments += ["--quick", "--clips", "2", "--steps", "2"]
    return (*arguments, *(("--speech", str(plan.speech)) if plan.speech else ()))


def _exports(plan: Plan) -> list[Path]:
    """All files that are shipped, where they were made."""
    found = [plan.file(training, name) for training in SHIPPED for name in FILES[training]]
    return [*found, tiny_directed.bank_file(plan.out)]


def ship(plan: Plan) -> list[Path]:
    """Copy what was trained into the weights folder, every file whole or not at all, and return the new files.

    Nothing is copied when a file is missing or damaged, or when all together are larger than they may be.
    """
    sources = _exports(plan)
    for path in sources:
        if path.name == tiny_directed.BANK:
            load_bank(path, "export")
            continue
        header = read_header(path, where="export")
        if header.untrained is not None:
            raise EMO2Error("export", "trained weights", f"untrained ones in {path}", "Run the training again.")
    size = sum(path.stat().st_size for path in sources)
    if size > LARGEST:
        given = f"{size / 1e6:.1f} MB ({', '.join(f'{p.name} {p.stat().st_size / 1e6:.1f}' for p in sources)})"
        raise EMO2Error("export", f"at most {LARGEST / 1e6:.0f} MB", given, "Train smaller networks.")
    written = []
    for source in sources:
        target = plan.weights / source.name
        with whole_file(target) as temporary:
            temporary.write_bytes(source.read_bytes())
        written.append(target)
    return written


def workers_here() -> tuple[int, bool]:
    """(processes side by side, whether each gets one core): one with all cores where there is a GPU."""
    import torch

    if torch.cuda.is_available():
        return 1, False
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(2, cores), True
