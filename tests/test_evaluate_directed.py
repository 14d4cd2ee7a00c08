"""The part `directed` of an evaluation: perfect motion scores perfectly, and what is missing is said."""

import numpy as np
import pytest
from direction_cases import encoder, two_branch_config
from emo2.evaluation.motion import directed as measures
from emo2.evaluation.motion.directed import Performed
from emo2.evaluation.tiny import directed
from emo2.evaluation.tiny.bench import Amounts, Bench
from emo2.evaluation.tiny.goals import FIGURES
from emo2.evaluation.tiny.networks import BANK, NAMES, Networks
from emo2.evaluation.tiny.studio import Studio
from emo2.models.body import vector
from emo2.models.body.config import TokenizerConfig
from emo2.models.checkpoints.format import save_checkpoint
from emo2.models.direction.bank import BankClip, PoseBank, save_bank
from emo2.models.direction.matching import MatchingConfig
from emo2.models.video.conditions import Settings
from evaluate_cases import write_networks

FEW = Amounts(rounds=1, bodies=3)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = write_networks(tmp_path_factory.mktemp("networks"), "audio")
    text = encoder().config
    branches = two_branch_config(codes=16, levels=2, window=24, overlap=6, audio_layers=2, audio_width=16)
    configs = {
        "tokenizer": TokenizerConfig(width=8, code_width=8, depth=1, codes=16, residual=1),
        "text_encoder": text, "direction": branches,
        "text_matching": MatchingConfig(width=8, depth=1, features=8, text=text),
    }  # fmt: skip
    for kind, config in configs.items():
        save_checkpoint(folder / NAMES[kind], kind, config.to_dict(), {}, untrained=1)
    studio = Studio(Networks([folder]), folder / "work", Settings(steps=1, cfg=1.0), motion_steps=1, motion_cfg=1.0)
    return Bench(studio.networks, studio, FEW)


@pytest.fixture
def perfect(monkeypatch):
    """Directed motion is the true one; the voice alone leads to what belongs to other moments."""

    def perform(asked, model, tokenizer, encoder, voice, *, direct=True, **_):
        true = vector.to_vector(asked.clip.body.resampled(25.0))
        made = true if direct else np.roll(true, 40, axis=0)
        codes = np.zeros((2, -(-len(true) // 4)), np.int64)
        return Performed(asked, made, true, 25.0, codes)

    monkeypatch.setattr(directed, "perform", perform)
    shown = lambda trial, one: vector.from_vector(one.made, 25.0).to_motion()
    monkeypatch.setattr(directed, "_motion", shown)


def test_true_motion_scores_as_true_motion(bench, perfect):
    rows = {row.key: row for row in directed.measure(bench)}
    assert set(rows) == {key for key in FIGURES if key.startswith("directed.")}
    for place in (1, 3):
        assert rows[f"directed.top{place}"].value == rows[f"directed.true_top{place}"].value
    assert rows["directed.fid"].value < 1e-6
    assert 0 < rows["directed.codes"].value <= 1 and rows["directed.hands"].value > 0.05, "an untrained tokenizer"
    assert rows["directed.beats"].value > 0
    assert "untrained weights (tokenizer, text_encoder, direction, audio, text_matching)" in rows["directed.top1"].note
    for key in ("directed.bank_jerk", "directed.fusion_layers", "directed.fusion_over_last"):
        assert rows[key].value is None and rows[key].note, key


def test_real_poses_are_held_against_projection(bench, perfect, monkeypatch):
    trial = directed.Trial(bench)
    trial.asked = [one for one, _ in zip(measures.held_out(1, 3), range(3))]
    folder = bench.networks.folders[0]
    clips = [BankClip(one.clip.body.to_motion(), np.zeros(len(one.clip.body) // 4, np.int64)) for one in trial.asked]
    save_bank(PoseBank.of(clips), folder / BANK)
    shaken = lambda trial, one: _shaken(vector.from_vector(one.made, 25.0).to_motion())
    monkeypatch.setattr(directed, "_motion", shaken)
    try:
        rows = {row.key: row.value for row in directed.translated(trial)}
    finally:
        (folder / BANK).unlink()
    assert rows["directed.bank_jerk"] < 0.5 and rows["directed.bank_distance"] < 1


def _shaken(motion):
    """The wrists tremble by three centimetres."""
    noise = np.random.default_rng(0).normal(0, 0.03, motion.translations.shape)
    return motion.replace(translations=motion.translations + noise)
