"""Config files: read strictly, and what is wrong is named the way it is written."""

import contextlib
import math
from pathlib import Path

import pytest
from emo2.models.errors import EMO2Error
from emo2.training.registry import TRAINERS, recipe_class
from emo2.training.settings import CONFIGS, Optimizer, Settings, find_config, from_values, load_settings, parse_yaml
from hypothesis import given
from hypothesis import strategies as st

SHIPPED = sorted(CONFIGS.glob("*.yaml"))


def written(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return str(path)


def test_a_file_and_changes(tmp_path):
    text = "trainer: motion\nsteps: 400000\noptimizer: {lr: 1e-4, betas: [0.9, 0.99]}\nprecision: no\nrecipe:\n  a: 1\n"
    changes = ["optimizer.clip=0", "recipe.b.c=[1, 2e-3]", "recipe.d=no", "batch=2", "ema=0.5"]
    made = load_settings("motion", written(tmp_path, text), changes)
    assert made.optimizer == Optimizer(lr=1e-4, betas=(0.9, 0.99), clip=0.0)
    assert (made.steps, made.batch, made.precision, made.ema, made.profile) == (400000, 2, "no", 0.5, "own")
    assert made.recipe == {"a": 1, "b": {"c": [1, 0.002]}, "d": "no"}
    assert from_values(made.to_dict()) == from_values({**made.to_dict()})


@pytest.mark.parametrize("text, value", [
    ("1e-4", 1e-4), ("1.5e3", 1500.0), ("-.5", -0.5), ("3", 3), ("+3", 3), ("007", "007"), ("0x10", "0x10"),
    ("no", "no"), ("on", "on"), ("true", True), ("False", False), ("null", None), ("~", None), ("1:30", "1:30"),
    ("2026-01-01", "2026-01-01"), ("runs/a", "runs/a"), ("'1'", "1"), ("[1, 2]", [1, 2]), (".inf", math.inf),
])  # fmt: skip
def test_yaml_means_what_it_looks_like(text, value):
    assert parse_yaml(text) == value and type(parse_yaml(text)) is type(value)


@pytest.mark.parametrize("text, words", [
    ("stepps: 3", r"config stepps: .*steps.*Did you mean steps\?"),
    ("optimizer: {learning_rate: 3}", r"config optimizer\.learning_rate: .*lr, weight_decay"),
    ("optimizer: 3", "config optimizer"),
    ("optimizer: {lr: fast}", r"config optimizer\.lr: expected a number above 0, but got 'fast'"),
    ("optimizer: {lr: 0}", r"optimizer\.lr"),
    ("optimizer: {betas: [0.9]}", r"optimizer\.betas: expected two numbers"),
    ("optimizer: {betas: [0.9, 1.0]}", r"optimizer\.betas"),
    ("optimizer: {schedule: linear}", "constant, cosine"),
    ("steps: 0", "steps: expected a whole number from 1"),
    ("steps: 1.5", "a whole number"),
    ("steps: true", "a whole number"),
    ("steps: .nan", "a whole number"),
    ("ema: 1", "config ema"),
    ("precision: fp8", "no, bf16, fp16, auto"),
    ("gradient_checkpointing: 1", "true or false"),
    ("recipe: 3", "config recipe"),
    ("profile: tiny", "config profile"),
    ("steps: 3\nsteps: 4", "given twice: steps"),
    ("- 1", "keys with values"),
    ("1: 2", "keys with values"),
    ("steps: [", "YAML"),
    ("a: !!python/object/apply:os.mkdir [x]", "YAML"),
    ("", "keys with values"),
    ("trainer: motion", "'line'"),
])  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, text, words):
    with pytest.raises(EMO2Error, match=words) as caught:
        load_settings("line", written(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["steps", "=3", "a..b=3", "steps.x=3", "recipe.a={", ".=1"])
def test_changes_that_cannot_be_made(tmp_path, change):
    with pytest.raises(EMO2Error, match="--set"):
        load_settings("line", written(tmp_path, "steps: 3"), [change])


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EMO2Error, match=r"x\.yaml"):
        load_settings("line", str(path))


def test_a_config_that_is_not_there():
    with pytest.raises(EMO2Error, match=r"quick.*tiny.*'huge', which is no file"):
        find_config("autoencoder", "huge")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from([*Settings.__dataclass_fields__, "other"])


@given(st.dictionaries(keys, values, max_size=4), st.dictionaries(st.sampled_from(["lr", "betas", "x"]), values))
def test_any_config_is_read_or_refused(config, optimizer):
    try:
        made = from_values({"trainer": "line", "optimizer": optimizer, **config})
    except EMO2Error as error:
        assert "config" in str(error)
    else:
        assert made.steps >= 1 and made.optimizer.lr > 0 and isinstance(made.recipe, dict)
        assert from_values(made.to_dict()) == from_values(made.to_dict())


@given(st.text(max_size=30))
def test_any_text_is_yaml_or_an_error(text):
    with contextlib.suppress(ValueError):
        parse_yaml(text)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configs_are_whole(path):
    trainer, profile = path.stem.split(".")
    made = load_settings(trainer, profile)
    assert made.profile == profile and profile.split("-")[0] in ("paper", "tiny", "quick")
    given = parse_yaml(Path(path).read_text())
    assert given["trainer"] == trainer in TRAINERS


def test_an_unknown_trainer():
    with pytest.raises(EMO2Error, match="autoencoder"):
        recipe_class("moton")
    assert recipe_class("autoencoder").name == "autoencoder"
