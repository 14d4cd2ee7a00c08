"""The demo's picture and voice: puppets' things that no training has seen, where the workflows say that they are."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from emo2.models.video.photograph import looks_like_photograph
from emo2.training.puppets.mouth import mouth_shapes
from emo2.training.puppets.voices import VARIANTS
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "assets"


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_samples", ASSETS / "make_samples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def picture():
    return np.asarray(Image.open(ASSETS / "portrait.png").convert("RGB"))


def test_the_portrait_is_the_held_out_puppet_of_the_generator(maker, picture):
    made, _ = maker.portrait()
    assert picture.shape == made.shape == (704, 528, 3) and maker.SPLIT == "held-out"
    assert np.abs(picture.astype(int) - made).mean() < 0.5, "run: python assets/make_samples.py"


def test_the_portrait_is_no_photograph(picture):
    assert not looks_like_photograph(torch.from_numpy(picture.copy())[None].float() / 255)


@pytest.mark.parametrize("name", ["talking_avatar", "hand_motion_only", "long_video"])
def test_the_workflows_frame_the_puppet_where_it_was_painted(maker, name):
    _, framing = maker.portrait()
    prompt = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text())
    (inputs,) = [node["inputs"] for node in prompt.values() if node["class_type"] == "EMO2SetFraming"]
    told = [inputs[field] for field in ("neck_x", "neck_y", "shoulder_width")]
    np.testing.assert_allclose(told, [*framing.neck, framing.shoulder_width], atol=1e-4)


def test_the_voice_is_a_held_out_one_that_speaks_and_pauses(maker):
    samples, rate = soundfile.read(ASSETS / "speech.flac", dtype="float32")
    assert rate == 16000 and 5 < len(samples) / rate < 7 and 0.5 < np.abs(samples).max() < 1
    assert maker.VOICE.name.partition("+")[2] in VARIANTS["held-out"]
    opening = mouth_shapes(samples)[:, 0]
    assert (opening > 0.5).mean() > 0.1 and (opening < 0.05).mean() > 0.1
