"""The demo's picture and voice: puppets' things that no training has seen, where the workflows say that they are."""

import importlib.util
import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from emo2.models.video.photograph import looks_like_photograph
from emo2.training.puppets.mouth import mouth_shapes
from emo2.training.puppets.voices import VARIANTS
from emo2.training.puppets.world import Puppet
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


def test_the_driver_is_another_held_out_puppet_with_its_sound(maker):
    with av.open(str(ASSETS / "driver.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == 25.0 and film.streams.audio
    puppet = Puppet.draw(maker.DRIVER, maker.SPLIT, seconds=maker.DRIVER_SECONDS, style="speaking", speed=(1.2, 1.2))
    assert len(frames) == len(puppet.motion) == 125 and maker.DRIVER != maker.PUPPET
    for at in (0, 60, 124):
        (true,) = puppet.video(maker.DRIVER_SIZE, start=at, count=1)
        assert np.abs(frames[at].astype(int) - true).mean() < 4, "run: python assets/make_samples.py"


@pytest.mark.parametrize("name", ["talking_avatar", "hand_motion_only", "long_video", "pose_driven", "hybrid"])
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
