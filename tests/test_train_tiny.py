"""The schedule of the shipped weights: what builds on what, what is shipped, and the command."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from emo2.evaluation.tiny.networks import BANK, NAMES
from emo2.models.checkpoints.format import read_header, save_checkpoint
from emo2.models.direction.bank import BankClip, PoseBank, save_bank
from emo2.models.errors import EMO2Error
from emo2.runner import train_tiny
from emo2.runner.cli import build_parser, main
from emo2.training import tiny, tiny_directed
from emo2.training.registry import TRAINERS
from emo2.training.schedule import Schedule
from emo2.training.settings import load_settings
from evaluate_cases import CONFIGS
from motion_cases import gestures

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def plan(tmp_path, **more):
    return tiny.Plan(tmp_path / "runs", tmp_path / "weights", **more)


@pytest.mark.parametrize("ablations", [False, True])
def test_every_stage_is_a_command_that_is_understood(tmp_path, ablations):
    parser = build_parser()
    for stage in tiny.stages(plan(tmp_path, ablations=ablations)):
        options = parser.parse_args(stage.arguments)
        if options.command == "train":
            assert options.name in TRAINERS
            settings = load_settings(options.name, options.config, options.set)
            assert settings.trainer == options.name


def test_every_training_takes_its_options(tmp_path):
    """The recipes read their options when they are made, before any file is opened."""
    from emo2.training.registry import recipe_class

    for stage in tiny.stages(plan(tmp_path, ablations=True)):
        if stage.arguments[0] == "train":
            options = build_parser().parse_args(stage.arguments)
            settings = load_settings(options.name, options.config, options.set)
            recipe_class(options.name)(settings.recipe, settings.seed)


def test_the_order_is_the_method_s(tmp_path):
    schedule = tiny.schedule(plan(tmp_path, ablations=True))
    needs = {stage.name: set(stage.needs) for stage in schedule.stages}
    assert {"video-image", "motion-encoders", "pose-discriminator"} <= needs["video-clip"]
    assert needs["ablation-no-keypoints"] - {"ablation-image"} == needs["video-clip"] - {"video-image"}
    assert {"video-image", "encode-unsure-1", "encode-unsure-2"} == needs["ablation-image"]
    assert set(tiny.SHIPPED) <= needs["ship"]
    assert {"sample-1", "sample-2"} <= needs["decoder"] and "video-clip" in needs["sample-1"]
    assert {"decoder", "paint-faces-head"} <= needs["autoencoder-faces"]
    assert {"video-modes", "face-identity", "encode-faces-full"} <= needs["video-face"]
    assert "ship" in needs["evaluate"] and "ablation-base" in needs["evaluate"]
    assert schedule.stages[-1].name == "evaluate" and schedule.stages[-1].spread


def test_what_is_shipped_is_what_the_evaluation_looks_for():
    assert {name for training in tiny.SHIPPED for name in tiny.FILES[training]} == set(NAMES.values())


def test_two_cores_are_enough_for_the_time_that_is_promised(tmp_path):
    assert tiny.schedule(plan(tmp_path, ablations=True)).minutes_left(2) < 14 * 60


def write_exports(plan, **untrained):
    config = CONFIGS["puppet_estimator"]
    for training in tiny.SHIPPED:
        for name in tiny.FILES[training]:
            tensors = {} if name in untrained.values() else {"x": torch.ones(3)}
            seed = 1 if name in untrained.values() else None
            save_checkpoint(plan.file(training, name), "puppet_estimator", config, tensors, untrained=seed)
    bank = tiny_directed.bank_file(plan.out)
    bank.parent.mkdir(parents=True, exist_ok=True)
    clip = BankClip(gestures(0, 40), np.arange(10))
    save_bank(PoseBank.of([clip]), bank)


def test_shipping_copies_every_export(tmp_path):
    wanted = plan(tmp_path)
    write_exports(wanted)
    written = tiny.ship(wanted)
    assert {path.name for path in written} == {*NAMES.values(), BANK}
    assert all(read_header(path).untrained is None for path in written if path.suffix == ".safetensors")


def test_nothing_is_shipped_when_something_is_missing_untrained_or_too_large(tmp_path, monkeypatch):
    wanted = plan(tmp_path)
    with pytest.raises(EMO2Error, match="no file at"):
        tiny.ship(wanted)
    write_exports(wanted, motion="emo2_motion_tiny.safetensors")
    with pytest.raises(EMO2Error, match="untrained"):
        tiny.ship(wanted)
    write_exports(wanted)
    monkeypatch.setattr(tiny, "LARGEST", 1000)
    with pytest.raises(EMO2Error, match="at most"):
        tiny.ship(wanted)
    assert not wanted.weights.exists()


def test_the_status_is_shown_and_nothing_is_done(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Schedule, "run", lambda *_, **__: pytest.fail("it began"))
    assert main(["train-tiny", "--out", str(tmp_path / "runs"), "--status"]) == 0
    shown = capsys.readouterr().out
    assert all(training in shown for training in tiny.SHIPPED)
    assert re.search(r"next: paint-held-out, .*about .* to go", shown) or "next: paint-held-out" in shown
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--stop-after", "0"], "--stop-after"),
        (["--workers", "0"], "--workers"),
        (["--puppets", "0"], "--puppets"),
        (["--only", "dreams"], "one of paint-held-out"),
        (["--only", "video-clip"], "to be done first"),
        (["--ship"], "no file at"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments, words, tmp_path, capsys):
    command = ["train-tiny", "--out", str(tmp_path / "runs"), "--weights", str(tmp_path / "w"), *arguments]
    assert main(command) == 2
    assert words in capsys.readouterr().err


def test_a_failure_names_its_log(tmp_path, capsys, monkeypatch):
    from emo2.training.schedule import Stage

    stages = [Stage("broken", ("train", "nothing-of-the-kind", "--config", "tiny"))]
    monkeypatch.setattr(tiny, "stages", lambda plan: stages)
    assert main(["train-tiny", "--out", str(tmp_path / "runs")]) == train_tiny.FAILED
    error = capsys.readouterr().err
    assert "broken failed (exit code 2)" in error and "broken.log" in error and "nothing-of-the-kind" in error


def test_the_card_in_the_pack_has_the_figures_of_the_stored_evaluation():
    stored = WEIGHTS / "evaluation.json"
    if not stored.is_file():
        pytest.skip("no evaluation beside the weights yet")
    from emo2.evaluation.card import model_card
    from emo2.evaluation.report import Report
    from emo2.evaluation.tiny.networks import Networks

    report = Report.load(stored)
    assert (WEIGHTS / "README.md").read_text("utf-8") == model_card(WEIGHTS, report)
    networks = Networks([WEIGHTS])
    found = {NAMES[kind]: networks.digest(kind) for kind in NAMES if networks.has(kind)}
    assert report.about["networks"] == found, "the evaluation is of other weights"
    assert sum(path.stat().st_size for path in WEIGHTS.glob("*.safetensors")) <= tiny.LARGEST
