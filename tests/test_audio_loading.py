"""Voice encoders from Hugging Face folders and from our checkpoints; what is wrong with one is said in a line."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from emo2.models.audio import TINY, build, encode, is_encoder_folder, load_encoder, write_tiny
from emo2.models.checkpoints.format import save_checkpoint
from emo2.models.errors import EMO2Error
from safetensors.torch import save_file
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC, Wav2Vec2Model

ROOT = Path(__file__).resolve().parents[1]
SMALL = {k: v for k, v in TINY.items() if k not in ("model_type", "do_normalize", "mask_time_prob")}
SOUND = np.random.default_rng(0).normal(size=8000).astype(np.float32)


def network(kind=Wav2Vec2Model, **changes):
    torch.manual_seed(3)
    return kind(Wav2Vec2Config(**(SMALL | {"vocab_size": 12} | changes))).eval()


@pytest.fixture
def folder(tmp_path):
    """A folder as transformers writes it."""
    path = tmp_path / "wav2vec2-small"
    network().save_pretrained(path)
    return path


def states(path):
    return encode(load_encoder(path)[0], SOUND).hidden


def test_a_folder_that_transformers_wrote(folder):
    module, header = load_encoder(folder)
    assert header.kind == "audio" and header.untrained is None and header.name == "wav2vec2-small"
    assert is_encoder_folder(folder)
    for ours, theirs in zip(module.network.state_dict().values(), network().state_dict().values()):
        torch.testing.assert_close(ours, theirs)
    assert not module.training and not any(p.requires_grad for p in module.parameters())


def test_a_model_with_a_head_is_the_same_encoder(folder, tmp_path):
    with_head = network(Wav2Vec2ForCTC)
    with_head.wav2vec2.load_state_dict(network().state_dict())
    with_head.save_pretrained(tmp_path / "ctc")
    np.testing.assert_array_equal(states(tmp_path / "ctc"), states(folder))


def test_old_weight_norm_names_and_a_bin_file(folder):
    expected = states(folder)
    tensors = network().state_dict()
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        prefix = "encoder.pos_conv_embed.conv."
        tensors[prefix + old] = tensors.pop(f"{prefix}parametrizations.weight.{new}")
    tensors.pop("masked_spec_embed")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    np.testing.assert_array_equal(states(folder), expected)


def test_half_precision_files_become_float32(folder):
    save_file({k: v.half() for k, v in network().state_dict().items()}, folder / "model.safetensors")
    module, _ = load_encoder(folder)
    assert {p.dtype for p in module.parameters()} == {torch.float32}


@pytest.mark.parametrize(("text", "wanted"), [(None, True), ('{"do_normalize": false}', False), ("{}", True)])
def test_the_preprocessor_says_whether_to_normalise(folder, text, wanted):
    if text:
        (folder / "preprocessor_config.json").write_text(text)
    assert load_encoder(folder)[0].do_normalize is wanted


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("pickle-was-run"),))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil(folder, how):
    weights, config = folder / "model.safetensors", folder / "config.json"
    settings = json.loads(config.read_text())
    if how == "no weights":
        weights.unlink()
    elif how == "truncated":
        truncate(weights)
    elif how == "missing tensor":
        tensors = network().state_dict()
        tensors.pop("encoder.layers.1.attention.q_proj.bias")
        save_file(tensors, weights)
    elif how == "other shapes":
        config.write_text(json.dumps(settings | {"hidden_size": 48, "num_attention_heads": 2}))
    elif how == "another model":
        config.write_text(json.dumps(settings | {"model_type": "hubert"}))
    elif how == "no json":
        config.write_text("<html>")
    elif how == "no config":
        config.unlink()
    elif how == "a list":
        config.write_text("[]")
    elif how == "other strides":
        config.write_text(json.dumps(settings | {"conv_stride": [5, 2, 2, 2, 2, 2, 4]}))
    elif how == "other rate":
        (folder / "preprocessor_config.json").write_text('{"sampling_rate": 48000}')
    elif how in ("pickle", "truncated bin"):
        weights.unlink()
        old = folder / "pytorch_model.bin"
        if how == "pickle":
            old.write_bytes(pickle.dumps({"a": Malicious()}))
        else:
            torch.save(network().state_dict(), old)
            truncate(old)


SPOILT = {
    "no weights": "model.safetensors or pytorch_model.bin",
    "truncated": "truncated",
    "missing tensor": "q_proj.bias",
    "other shapes": "misshapen",
    "another model": "hubert",
    "no json": "config.json",
    "no config": "config.json",
    "a list": "settings",
    "other strides": "50 states",
    "other rate": "48000",
    "pickle": "unsafe",
    "truncated bin": "damaged",
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_folder_is_one_line_about_it(folder, how, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    spoil(folder, how)
    with pytest.raises(EMO2Error, match=SPOILT[how]) as caught:
        load_encoder(folder, "encoder")
    assert caught.value.input == "encoder" and "\n" not in str(caught.value)
    assert not (tmp_path / "pickle-was-run").exists()


def test_our_checkpoints_trained_and_untrained(tmp_path):
    torch.manual_seed(5)
    module = build(TINY).eval()
    save_checkpoint(tmp_path / "a.safetensors", "audio", TINY, module.state_dict())
    loaded, header = load_encoder(tmp_path / "a.safetensors")
    assert header.untrained is None
    np.testing.assert_array_equal(encode(loaded, SOUND).hidden, encode(module, SOUND).hidden)
    path = write_tiny(tmp_path / "tiny.safetensors", seed=5)
    again, header = load_encoder(path)
    assert header.untrained == 5 and path.stat().st_size < 4096
    np.testing.assert_array_equal(encode(again, SOUND).hidden, encode(module, SOUND).hidden)


def test_the_shipped_encoder(tmp_path):
    module, header = load_encoder(ROOT / "weights/emo2_audio_tiny.safetensors")
    assert (module.states, module.width, module.rate) == (5, 96, 50)
    assert header.kind == "audio"


def test_wav2vec2_base_has_its_known_size():
    with torch.device("meta"):
        module = build({"model_type": "wav2vec2"})
    assert sum(p.numel() for p in module.parameters()) == 94_371_712
    assert (module.states, module.width, module.field, module.lead) == (13, 768, 400, 40)
