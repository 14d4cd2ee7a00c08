"""Weights in eight bits: what is packed, how little is lost, and that files come back as floats."""

import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint, read_tensors, save_checkpoint
from emo2.models.checkpoints.precision import SCALE, packed, unpacked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-6, 1e4))
def test_no_weight_is_off_by_more_than_half_a_step_of_its_row(seed, size):
    torch.manual_seed(seed)
    weights = torch.randn(8, 16, 3, 3) * torch.logspace(-2, 2, 8)[:, None, None, None] * size
    stored = packed({"w": weights})
    assert stored["w"].dtype == torch.int8 and stored["w" + SCALE].shape == (8,)
    off = (unpacked(stored)["w"] - weights).flatten(1).abs().amax(1)
    assert (off <= weights.flatten(1).abs().amax(1) / 254 * 1.001).all()


def test_what_is_small_whole_or_exact_stays():
    given = {
        "bias": torch.randn(4000), "little": torch.randn(8, 8), "count": torch.arange(4096).reshape(64, 64),
        "book.codes": torch.randn(64, 64), "zero": torch.zeros(64, 64), "half": torch.randn(64, 64).half(),
    }  # fmt: skip
    stored = packed(given, exact=("codes",))
    back = unpacked(stored)
    for name in ("bias", "little", "count"):
        assert torch.equal(back[name], given[name]), name
    assert stored["book.codes"].dtype == torch.float16 and stored["half"].dtype == torch.int8
    assert torch.equal(back["zero"], given["zero"]) and set(back) == set(given)


def test_a_file_is_unpacked_as_it_is_read(tmp_path):
    torch.manual_seed(0)
    build = lambda config: nn.Sequential(nn.Linear(64, config["width"]), nn.Linear(config["width"], 3))
    network = build({"width": 64})
    path = save_checkpoint(tmp_path / "a.safetensors", "motion", {"width": 64}, packed(network.state_dict()))
    loaded, _ = load_checkpoint(path, "motion", build)
    x = torch.randn(5, 64)
    assert loaded[0].weight.dtype == torch.float32
    assert (loaded(x) - network(x)).abs().max() < 0.02 * network(x).abs().max()
    raw = read_tensors(path, stored=True)
    assert raw["0.weight"].dtype == torch.int8 and "0.weight" + SCALE in raw
    whole = save_checkpoint(tmp_path / "b.safetensors", "motion", {"width": 64}, network.state_dict())
    assert path.stat().st_size < 0.5 * whole.stat().st_size
    raw.pop("0.weight")
    broken = save_checkpoint(tmp_path / "c.safetensors", "motion", {"width": 64}, raw)
    with pytest.raises(Exception, match=r"whole \.safetensors"):
        load_checkpoint(broken, "motion", build)
