"""Our checkpoint format: strict, whole, and clear about every file that is something else."""

import json
import pickle

import pytest
import torch
from emo2.models.checkpoints.format import VERSION, fingerprint, load_checkpoint, read_header, save_checkpoint
from emo2.models.errors import EMO2Error
from safetensors.torch import save_file
from torch import nn


def build(config):
    return nn.Linear(config["inputs"], config["outputs"])


@pytest.fixture
def trained(tmp_path):
    torch.manual_seed(3)
    module = build({"inputs": 4, "outputs": 3})
    path = save_checkpoint(
        tmp_path / "m.safetensors", "motion", {"inputs": 4, "outputs": 3}, module.state_dict(), notes={"steps": "7"}
    )
    return path, module


def test_what_is_saved_comes_back(trained):
    path, module = trained
    loaded, header = load_checkpoint(path, "motion", build)
    assert torch.equal(loaded.weight, module.weight) and torch.equal(loaded.bias, module.bias)
    assert header.config == {"inputs": 4, "outputs": 3} and header.notes == {"steps": "7"} and header.untrained is None
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def test_untrained_weights_depend_on_the_seed_alone(tmp_path):
    def load(seed):
        path = save_checkpoint(
            tmp_path / f"{seed}.safetensors", "motion", {"inputs": 4, "outputs": 3}, {}, untrained=seed
        )
        return load_checkpoint(path, "motion", build)

    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    (first, header), (again, _), (other, _) = load(5), load(5), load(6)
    assert (
        header.untrained == 5
        and torch.equal(first.weight, again.weight)
        and not torch.equal(first.weight, other.weight)
    )
    assert torch.equal(torch.random.get_rng_state(), before), "loading leaves the caller's random numbers alone"


def test_a_view_on_large_storage_is_saved_small(tmp_path):
    big = torch.zeros(1_000_000)
    path = save_checkpoint(tmp_path / "v.safetensors", "motion", {}, {"a": big[:10], "b": big[:10]})
    assert path.stat().st_size < 10_000


def test_nothing_is_left_when_saving_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "emo2.models.checkpoints.format.save_file", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError):
        save_checkpoint(tmp_path / "m.safetensors", "motion", {}, {"a": torch.zeros(1)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "tensors, said",
    [
        ({"weight": torch.zeros(3, 4)}, "1 missing (bias)"),
        ({"weight": torch.zeros(3, 4), "bias": torch.zeros(3), "odd": torch.zeros(1)}, "1 unexpected (odd)"),
        ({"weight": torch.zeros(3, 5), "bias": torch.zeros(3)}, "1 misshapen (weight)"),
    ],
)
def test_loading_is_strict_and_names_the_tensors(tmp_path, tensors, said):
    path = save_checkpoint(tmp_path / "m.safetensors", "motion", {"inputs": 4, "outputs": 3}, tensors)
    with pytest.raises(EMO2Error) as caught:
        load_checkpoint(path, "motion", build, "model_name")
    assert said in str(caught.value) and "model_name" in str(caught.value)


def write(path, content: bytes):
    path.write_bytes(content)
    return path


class Boom:
    def __reduce__(self):
        return exec, ("raise SystemExit('the pickle ran')",)


def test_files_of_other_kinds_are_named_for_what_they_are(tmp_path, trained):
    whole = trained[0].read_bytes()
    torch.save({"a": torch.zeros(1)}, tmp_path / "zip.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    cases = {
        tmp_path / "none.safetensors": "no file at",
        write(tmp_path / "empty.safetensors", b""): "an empty file",
        write(tmp_path / "page.safetensors", b"<html>404</html>"): "a text file",
        write(tmp_path / "cut.safetensors", whole[: len(whole) // 2]): "truncated",
        write(tmp_path / "evil.safetensors", pickle.dumps(Boom())): "never opened",
        tmp_path / "zip.safetensors": "zip archive",
        tmp_path / "plain.safetensors": "another kind",
    }
    for path, said in cases.items():
        with pytest.raises(EMO2Error, match=said) as caught:
            load_checkpoint(path, "motion", build)
        assert "\n" not in str(caught.value)
    with pytest.raises(EMO2Error, match=r"video model.*hand-motion model"):
        load_checkpoint(trained[0], "video", build)


@pytest.mark.parametrize(
    "change", [{"version": str(VERSION + 1)}, {"version": "x"}, {"config": "{"}, {"config": json.dumps({"in": 1})}]
)
def test_metadata_from_elsewhere_is_refused(tmp_path, change):
    good = {"format": "emo2", "version": "1", "kind": "motion", "config": json.dumps({"inputs": 4, "outputs": 3})}
    save_file(
        {"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}, tmp_path / "m.safetensors", metadata={**good, **change}
    )
    with pytest.raises(EMO2Error, match="checkpoint"):
        load_checkpoint(tmp_path / "m.safetensors", "motion", build)


def test_the_fingerprint_tells_files_apart(trained, tmp_path):
    copy = write(tmp_path / "copy", trained[0].read_bytes())
    assert fingerprint(copy) == fingerprint(trained[0])
    assert fingerprint(write(copy, copy.read_bytes()[:-1] + b"x")) != fingerprint(trained[0])
    assert read_header(trained[0]).kind == "motion"
