"""Directed motion as nodes make it: files find each other, scripts and voices lead, wrong input is named."""

import numpy as np
import pytest
import torch
from direct_motion_cases import networks, write_models
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.body.config import TokenizerConfig
from emo2.models.body.tokenizer import MotionTokenizer
from emo2.models.checkpoints.format import fingerprint
from emo2.models.direction.bank import BankClip, PoseBank
from emo2.models.direction.performance import DirectedModel, perform
from emo2.models.direction.script import parse_script
from emo2.models.errors import EMO2Error
from emo2.models.types import AudioFeatures, Framing
from emo2.nodes import host
from motion_cases import gestures

LOAD, SAMPLE = (NODE_CLASS_MAPPINGS[f"EMO2{name}"] for name in ("LoadDirectedModel", "SampleDirectedMotion"))


def voice(seconds=3.0, layers=2, width=6):
    count = round(50 * seconds)
    hidden = np.random.default_rng(0).normal(size=(count, layers, width)).astype(np.float16)
    return AudioFeatures(hidden, np.full(count, 0.5), seconds)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "emo2"
    folder.mkdir()
    return write_models(folder)


@pytest.fixture()
def models(files, monkeypatch):
    monkeypatch.setattr(host.outside, "models", [files.parent])
    return files


def sample(handle, **given):
    values = {
        name: spec[1]["default"] for name, spec in SAMPLE.INPUT_TYPES()["required"].items() if "default" in spec[1]
    }
    return SAMPLE().sample(model=handle, **{**values, "steps": 3, **given})


def test_auto_finds_the_files_that_belong_together(models):
    choices = LOAD.INPUT_TYPES()["required"]
    assert "d.safetensors" in choices["model_name"][0] and choices["tokenizer"][0][0] == "auto"
    assert "poses.npz" in choices["pose_bank"][0]
    [handle] = LOAD().load("d.safetensors")
    own = networks()[2].state_dict()
    assert all(torch.equal(value, own[name]) for name, value in handle.module.tokenizer.state_dict().items())
    assert handle.module.bank.tokenizer == fingerprint(models / "k.safetensors")
    assert LOAD().load("d.safetensors", pose_bank="none")[0].module.bank is None


@pytest.mark.parametrize("given, word", [
    ({"model_name": "lost.safetensors"}, "text_encoder"),
    ({"pose_bank": "foreign.npz"}, "another one's"),
    ({"pose_bank": "another.npz"}, "pose_bank"),
    ({"tokenizer": "d.safetensors"}, "tokenizer"),
])  # fmt: skip
def test_files_that_do_not_fit_are_named(models, given, word):
    with pytest.raises(EMO2Error, match=word):
        LOAD().load(**{"model_name": "d.safetensors", **given})


def test_what_is_missing_is_said_before_anything_runs(models):
    assert (
        LOAD.VALIDATE_INPUTS(model_name="d.safetensors", tokenizer="auto", text_encoder="auto", pose_bank="auto")
        is True
    )
    assert "no_such" in str(LOAD.VALIDATE_INPUTS(model_name="d.safetensors", pose_bank="no_such.npz"))
    assert "tokenizer" in str(LOAD.VALIDATE_INPUTS(model_name="d.safetensors", tokenizer="t.safetensors"))
    assert "directed-motion" in str(LOAD.VALIDATE_INPUTS(model_name="k.safetensors"))


@pytest.mark.parametrize("poses", ["real poses", "direct projection"])
def test_a_script_and_a_voice_become_a_motion(models, poses):
    [handle] = LOAD().load("d.safetensors")
    script = parse_script("0:01-0:02 wave with both hands", duration=3.0)
    motion, fps, count = sample(handle, script=script, audio_features=voice(3.02), poses=poses)
    assert (fps, count, len(motion)) == (25.0, 76, 76)
    again, other = (sample(handle, script=script, audio_features=voice(3.02), poses=poses, seed=s)[0] for s in (0, 1))
    assert np.array_equal(again.rotations, motion.rotations) and not np.array_equal(other.rotations, motion.rotations)


def test_the_script_changes_its_own_stretch_alone():
    """With the guidance of a line at strength 0 the default text alone is left, to the bit."""
    model = DirectedModel(*networks())
    features = voice(4.0)
    with torch.no_grad():
        for parameter in model.branches.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    of = lambda text: perform(model, text and parse_script(text, duration=4.0), features, steps=4, seed=3)
    plain, weak, strong = of(None), of("1-2 wave [strength 0, blend 0]"), of("1-2 wave [strength 1.5, blend 0]")
    assert np.array_equal(plain.rotations, weak.rotations)
    assert not np.array_equal(plain.rotations, strong.rotations)


def test_lengths(models):
    [handle] = LOAD().load("d.safetensors")
    script = parse_script("0:01-0:02 wave")
    assert sample(handle, script=script)[2] == 50
    assert sample(handle, script=script, seconds=2.5)[2] == 63
    assert sample(handle, audio_features=voice(0.04))[2] == 1
    assert sample(handle, audio_features=voice(9.0))[2] == 225, "longer than one window"


@pytest.mark.parametrize("given, word", [
    ({}, "seconds"),
    ({"script": parse_script("0:01-0:09 wave"), "audio_features": voice()}, "line 1"),
    ({"audio_features": voice(layers=3)}, "2 hidden states of 6"),
    ({"seconds": 2.0, "reference_pose": 5}, "reference_pose"),
])  # fmt: skip
def test_wrong_input_is_named_before_it_samples(models, monkeypatch, given, word):
    [handle] = LOAD().load("d.safetensors")
    monkeypatch.setattr(host, "load", lambda *_: pytest.fail("it began to work"))
    with pytest.raises(EMO2Error, match=word):
        sample(handle, **given)


def test_networks_that_do_not_belong_together_are_refused():
    text, branches, tokenizer = networks()
    small = MotionTokenizer(TokenizerConfig(width=16, code_width=8, depth=1, codes=8, residual=1))
    with pytest.raises(EMO2Error, match="2 x 16 codes"):
        DirectedModel(text, branches, small)
    many = PoseBank.of([BankClip(gestures(0, 120), np.arange(30))])
    with pytest.raises(EMO2Error, match="bank of 16 tokens"):
        DirectedModel(text, branches, tokenizer, many)


def test_any_framing_and_any_text(models):
    [handle] = LOAD().load("d.safetensors")
    script = parse_script("0-1 👋 wave 挥手\n1-2 שלום " + "word " * 40)
    for framing in (Framing((0.5, 0.9), 0.9, (128, 96)), Framing((0.5, 0.25), 0.2, (128, 96))):
        motion = sample(handle, script=script, framing=framing)[0]
        assert motion.framing == framing and len(motion) == 50


def test_without_a_bank_it_is_said(models, monkeypatch):
    said = []
    monkeypatch.setattr(host, "warn", said.append)
    [handle] = LOAD().load("d.safetensors", pose_bank="none")
    sample(handle, seconds=1.0)
    assert any("no pose bank" in one for one in said)
