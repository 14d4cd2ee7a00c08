"""How long a minute of directed motion takes with the shipped networks, part by part."""

from __future__ import annotations

import time

import numpy as np

from ..evaluation.tiny.networks import Networks
from ..models.direction.performance import DirectedModel, perform
from ..models.direction.script import parse_script
from ..training.puppets.performance import perform as speak
from ..training.puppets.world import draw_framing
from .quality import WEIGHTS

SECONDS = 20.0
"""Most that a minute may take on two cores."""
LINES = ("wave with the right hand", "point at the camera with the left hand", "clap the hands", "nod twice")


def run(quick: bool) -> list[dict]:
    """Rows {name, value, unit, note}. `quick`: a shorter voice."""
    networks, seconds = Networks([WEIGHTS]), 12.0 if quick else 60.0
    waveform = speak(7, "held-out", draw_framing(7, "held-out", "half"), seconds=seconds).waveform
    begin = time.perf_counter()
    features = networks.features(np.asarray(waveform, np.float32))
    heard = time.perf_counter() - begin
    times = range(1, int(seconds) - 3, 6)
    text = "\n".join(f"{at}-{at + 3} {LINES[i % len(LINES)]}" for i, at in enumerate(times))
    script = parse_script(text, duration=features.duration)
    model = DirectedModel(networks.text_encoder, networks.direction, networks.tokenizer, networks.pose_bank())
    found = {}
    for name, bank in (("real poses", True), ("direct projection", False)):
        begin = time.perf_counter()
        motion = perform(model, script, features, use_bank=bank)
        found[name] = time.perf_counter() - begin
    assert len(motion) == round(seconds * 25)
    scale = 60 / seconds
    whole = (heard + found["real poses"]) * scale
    goal = f"at most {SECONDS:.0f}: {'met' if whole <= SECONDS else 'MISSED'}"
    rows = [("a minute of directed motion, voice and all", whole, goal)]
    rows += [("of it: hearing the voice", heard * scale, "")]
    rows += [(f"sampling, {name}", value * scale, f"{len(script.lines)} lines") for name, value in found.items()]
    return [{"name": name, "value": value, "unit": "s", "note": note} for name, value, note in rows]
