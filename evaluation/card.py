"""The model card of a weights folder: what each file is, what it learned from, and how good it was measured to be.

Its figures are those of the stored evaluation, word for word; nothing is measured here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..models.checkpoints.format import KINDS, Header, read_header, read_tensors
from ..models.direction.bank import FPS, PER_TOKEN, load_bank
from ..models.errors import EMO2Error
from .report import MEANING, MISSING, Report, markdown
from .tiny import PARTS

TITLES = {
    "vae": "Autoencoder",
    "video": "Video from true and from generated motion",
    "mouth": "Mouth and sound",
    "speech": "Real voices",
    "motion": "Hand motion (stage 1)",
    "continuity": "Arms from hand maps alone",
    "drift": "Long videos",
    "generation": "With and without motion generation",
    "modes": "Led by a pose, by a voice, by both",
    "framings": "Heads, half bodies, full figures",
    "faces": "Blinks and emotions that are asked for",
    "directed": "Directed motion: text says what, the voice says when",
    "ablations": "What each piece is worth",
}
INTRODUCTION = """\
# The weights that come with the pack

Small networks of EMO2's method (*End-Effector Guided Audio-Driven Avatar Video Generation*, arXiv 2501.10687), trained
from nothing on the pack's own procedural puppets. They show that the whole method works, on a CPU, in the demo and in
the tests. They draw {size} cartoons and know nothing of photographs; larger weights go into the same nodes.

`make train-tiny` makes all of them again; `emo2 evaluate --profile tiny` measures them again.
"""
DATA = """\
## What they learned from

Only puppets (`training/puppets`): seeded half-body cartoon characters with hands drawn from the pack's own meshes,
that speak with espeak-ng's voices, sing, play and dance. No picture, recording or motion of a real person is in the
data, and no weights of others are in the networks. The figures below are of puppets that no training has seen: other
people, other voices, other sentences.
"""
LIMITS = """\
## Limits

- {size} pixels, cartoon puppets, one person, half-body; any other picture comes out as a puppet that resembles it.
- Voices: synthetic ones in training, most of them English. Real voices move the mouth too (see the table).
- Hand confidence changes next to nothing: what they learned from has its hands where the maps say, sure or not. Taught
  where it has something to say (the ablation's puppets, whose hands are misjudged half of the time), it counts.
- Fingers are blurred at this size; what they do is better seen in the motion than in the picture.
- Directed motion knows the puppets' 48 actions, in many words, and speech. How many fingers are up is at times lost in
  the motion tokens, and pushes and claps come late now and then.
- Figures marked "{short}" or "{missing}" are just that: nothing here is estimated.

## Licence

Apache-2.0, like the pack. The hand meshes are the pack's own, not MANO's. The networks in
`detectors/`, which find people in pictures, are Google's (Apache-2.0; see the NOTICE there) and not counted above.
"""


def model_card(folder: Path, report: Report) -> str:
    """The text of README.md for the weights in `folder`, with the figures of `report`. EMO2Error without weights."""
    headers = [read_header(path) for path in sorted(folder.glob("*.safetensors"))]
    if not headers:
        raise EMO2Error("--models", "a folder with checkpoints of the pack", f"none in {folder}", "Name another one.")
    size = picture_size(headers)
    words = {"size": size, "short": "short", "missing": MISSING}
    made = files(headers, sorted(folder.glob("*.npz")))
    sections = [INTRODUCTION.format(**words), made, DATA, figures(report), LIMITS.format(**words)]
    return "\n".join(section.rstrip() + "\n" for section in sections)


def picture_size(headers: list[Header]) -> str:
    """The video model's picture, "128 x 96"."""
    sizes = [header.config["size"] for header in headers if header.kind == "video"]
    return " x ".join(str(side) for side in sizes[0]) if sizes else "128 x 96"


def files(headers: list[Header], banks: Sequence[Path] = ()) -> str:
    """A table of the files: what, how large, from which data, seed and steps; banks: those of poses."""
    lines = [
        "## Files",
        "",
        "| file | what | parameters | size | data | seed | steps |",
        "|---|---|---:|---:|---|---|---:|",
    ]
    total = 0
    for header in headers:
        size = header.path.stat().st_size
        total += size
        count = "none: untrained" if header.untrained is not None else f"{parameters(header):,}"
        notes = header.notes
        told = [notes.get("data", ""), notes.get("seed", ""), steps(notes)]
        told = [text.replace("|", "/").replace("\n", " ") for text in told]
        cells = [f"`{header.name}`", KINDS[header.kind], count, f"{size / 1e6:.2f} MB", *told]
        lines.append("| " + " | ".join(cells) + " |")
    for path in banks:
        bank, size = load_bank(path), path.stat().st_size
        total += size
        what = f"real poses for directed motion, {len(bank) * PER_TOKEN / FPS:.0f} s"
        lines.append(f"| `{path.name}` | {what} | | {size / 1e6:.2f} MB | {len(bank.projected)} puppets | | |")
    lines += [
        "",
        f"{total / 1e6:.1f} MB in all. Every network holds its config, data, seed, steps and figures as metadata.",
    ]
    return "\n".join(lines)


def steps(notes: Mapping[str, str]) -> str:
    """The steps of a training after those of the trainings that it began with: "4000 image + 5000 clip"."""
    own = " ".join(filter(None, (notes.get("steps"), notes.get("stage"))))
    return " + ".join(filter(None, (notes.get("steps_before"), own)))


def parameters(header: Header) -> int:
    """How many numbers a checkpoint holds."""
    return sum(tensor.numel() for tensor in read_tensors(header.path).values())


def figures(report: Report) -> str:
    """The evaluation's table, part by part."""
    about = report.about
    counts = "; ".join(f"{count} {MEANING[status]}" for status, count in report.counts().items() if count)
    told = lambda key: about.get(key, "?")
    lines = [
        "## Measured",
        "",
        f"On held-out puppets, {told('date')}, seed {told('seed')}; videos with {told('steps')} steps of "
        f"{told('scheduler')} at guidance {told('cfg')}, motion with {told('motion_steps')} at {told('motion_cfg')}",
        f"and {told('motion_smoothing')} s of smoothing;",
        f"frames keep the reference's detail where they stand still (keep_still {told('keep_still')}).",
        "Intervals are 95 % by bootstrap over clips. The floor was set for these weights, the target for a longer run.",
        "",
        f"{counts}.",
    ]
    for part in PARTS:
        rows = [row for row in report.rows if row.part == part]
        if rows:
            lines += ["", f"### {TITLES[part]}", "", markdown(rows)]
    return "\n".join(lines)


def metrics_of(report: Report, kind: str) -> Mapping[str, float]:
    """The figures that belong into the metadata of a checkpoint of this kind: key -> value."""
    parts = {
        "vae": ("vae",), "video": ("video", "mouth", "speech", "continuity", "drift"), "motion": ("motion",),
        "audio": ("motion", "mouth"), "clip_vision": ("motion",), "gesture_encoder": ("motion",),
        "pose_discriminator": (), "puppet_estimator": ("video",), "direction": ("directed",),
    }.get(kind, ())  # fmt: skip
    rows = [row for row in report.rows if row.part in parts and row.value is not None]
    if kind == "gesture_encoder":
        rows = [row for row in rows if row.key == "motion.fgd"]
    if kind == "puppet_estimator":
        rows = [row for row in rows if row.key == "video.hands_real"]
    return {row.key: round(row.value, 4) for row in rows if row.value is not None}


def note_metrics(folder: Path, report: Report) -> list[Path]:
    """Write the figures into the metadata of the folder's trained checkpoints; all else in them stays as it is.

    Only for checkpoints that the report is about: a report of other weights raises EMO2Error.
    """
    from ..models.checkpoints.format import save_checkpoint
    from .tiny.networks import Networks

    networks, known = Networks([folder]), report.about.get("networks", {})
    written = []
    for path in sorted(folder.glob("*.safetensors")):
        header = read_header(path)
        metrics = metrics_of(report, header.kind)
        if header.untrained is not None or not metrics or path.name not in known:
            continue
        if networks.digest(header.kind) != known[path.name]:
            given = f"one of other weights than {path.name}"
            raise EMO2Error("--json", "the evaluation of these weights", given, "Run the evaluation again.")
        if header.notes.get("metrics") == json.dumps(metrics):
            continue  # the format's metadata has no order: every file written again is another one
        notes = {**header.notes, "metrics": json.dumps(metrics)}
        written.append(save_checkpoint(path, header.kind, header.config, read_tensors(path, stored=True), notes=notes))
    return written
