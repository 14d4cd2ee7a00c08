"""Bad values at the nodes themselves: what reaches them over wires, or past ComfyUI's own checks."""

import json

import pytest
import torch
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.errors import EMO2Error
from emo2.nodes import host
from emo2.nodes.registry import check_value, declared
from emo2.runner.jobs import read_jobs
from emo2.runner.problems import WorkflowError
from emo2.runner.workflow import read_workflow
from runner_cases import picture_canvas

NAN = float("nan")


NUMBERS = [(c, n) for c, cls in NODE_CLASS_MAPPINGS.items() for n, spec in declared(cls.INPUT_TYPES()).items()
           if spec[0] in ("INT", "FLOAT")]  # fmt: skip


@pytest.mark.parametrize(("class_id", "name"), NUMBERS)
def test_every_number_of_every_node_is_held_against_its_range(class_id, name):
    cls = NODE_CLASS_MAPPINGS[class_id]
    inputs = declared(cls.INPUT_TYPES())
    kind, options, _ = inputs[name]
    arguments = {key: spec[1].get("default", object()) for key, spec in inputs.items() if spec[2]}
    wrong = [NAN, float("inf"), "x", None, options["max"] + 1, options["min"] - 1] + ([0.5] if kind == "INT" else [])
    for value in wrong:
        with pytest.raises(EMO2Error, match=f", {name}: expected ") as caught:
            getattr(cls(), cls.FUNCTION)(**{**arguments, name: value})
        assert "\n" not in str(caught.value) and caught.value.remedy


def test_values_where_wires_should_end():
    for class_id, cls in NODE_CLASS_MAPPINGS.items():
        inputs = declared(cls.INPUT_TYPES())
        arguments = {key: spec[1].get("default", object()) for key, spec in inputs.items() if spec[2]}
        for name, (kind, _, required) in inputs.items():
            if str(kind).startswith(("EMO2_", "VAE")):
                for value in ["x", 3] + [None] * required:
                    with pytest.raises(EMO2Error, match=f", {name}: expected .*wire"):
                        getattr(cls(), cls.FUNCTION)(**{**arguments, name: value})
                        pytest.fail(class_id)


def test_saving_nodes_refuse_names_before_anything_runs():
    for cls in NODE_CLASS_MAPPINGS.values():
        if "filename_prefix" in declared(cls.INPUT_TYPES()):
            assert "within the output folder" in cls.VALIDATE_INPUTS("../x") and cls.VALIDATE_INPUTS(None) is True
            assert cls.VALIDATE_INPUTS("a/ä 😀") is True


def run(class_id, **given):
    cls = NODE_CLASS_MAPPINGS[class_id]
    return getattr(cls(), cls.FUNCTION)(**given)


def test_a_latent_without_samples_and_a_sheet_without_pictures():
    with pytest.raises(EMO2Error, match="latent: expected latents"):
        run("EMO2DecodeVideo", vae=object(), latent={}, chunk=8)
    with pytest.raises(EMO2Error, match="images: expected at least one picture"):
        run("EMO2ContactSheet", images=torch.zeros(0, 8, 8, 3), pictures=4, columns=2, width=128, fps=25.0)


def test_a_number_for_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(host.outside, "input", tmp_path)
    with pytest.raises(EMO2Error, match="motion_file: expected a motion file"):
        run("EMO2LoadMotion", motion_file=3)


def test_numbers_of_any_size_are_compared():
    check_value("seed", 2**64 - 1, "INT", {"max": 2**64 - 1}, True)
    with pytest.raises(EMO2Error, match="seed: expected a number from"):
        check_value("seed", 10**400, "INT", {"max": 2**64 - 1}, True)


def test_jobs_with_names_that_no_disk_takes(tmp_path):
    (tmp_path / "jobs.csv").write_text("name,1.image\n" + "a" * 300 + ",face.png\n")
    (tmp_path / "flow.json").write_text(json.dumps(picture_canvas()))
    with pytest.raises(WorkflowError, match=r"row 2: its name .* is longer than 200 bytes"):
        read_jobs(tmp_path / "jobs.csv", tmp_path / "out", read_workflow(tmp_path / "flow.json"), [])
