"""`emo2 train`: what it says, what it refuses, what it leaves."""

import json
import subprocess
import sys

import pytest
from emo2.runner.cli import main
from emo2.training import registry
from training_cases import DEFAULTS, LineRecipe


@pytest.fixture
def line(monkeypatch, tmp_path):
    """The test's own trainer in the list, its config, and a folder to run in."""
    monkeypatch.setitem(registry.TRAINERS, "line", ("line", "LineRecipe", "a line"))
    module = type(sys)("line")
    module.LineRecipe = LineRecipe
    monkeypatch.setitem(sys.modules, "emo2.training.line", module)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "line.yaml"
    path.write_text(json.dumps(DEFAULTS))
    return str(path)


def test_it_trains_goes_on_and_prints_what_it_wrote(line, tmp_path, capsys):
    assert main(["train", "line", "--config", line, "--set", "steps=5", "--quiet"]) == 0
    assert capsys.readouterr().out == "runs/line/export/line.json\n"
    assert main(["train", "line", "--config", line, "--set", "steps=7", "--quiet", "--resume", "must"]) == 0
    said = capsys.readouterr()
    assert "going on after step 5 of 7" in said.err
    state = json.loads((tmp_path / "runs" / "line" / "export" / "line.json").read_text())
    assert state["notes"]["steps"] == "7" and state["notes"]["profile"] == "line"
    import yaml

    assert yaml.safe_load((tmp_path / "runs" / "line" / "config.yaml").read_text())["steps"] == 7


def test_stopped_early_it_says_so(line, tmp_path, capsys):
    arguments = ["train", "line", "--config", line, "--set", "recipe.pause=0.1", "--stop-after", "0.1", "--out", "a"]
    assert main([*arguments, "--quiet"]) == 0
    assert "stopped after step 1 of 12; the same command goes on" in capsys.readouterr().out


def test_the_bar_shows_loss_and_time(line, capsys):
    assert main(["train", "line", "--config", line]) == 0
    assert "12/12" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, words", [
    (["lines"], "NAME: expected one of motion, autoencoder"),
    (["line", "--set", "stepps=3"], "Did you mean steps?"),
    (["line", "--threads", "0"], "--threads"),
    (["line", "--stop-after", "-1"], "--stop-after"),
    (["line", "--set", "recipe.missing=nowhere.npz"], "no file nowhere.npz"),
    (["line", "--resume", "must"], "--resume must"),
    (["line", "--set", "recipe.wrong=3"], "a damaged 00007.npz"),
    (["line", "--set", "recipe.nan=3"], "finite loss"),
])  # fmt: skip
def test_what_is_wrong_is_one_line(line, capsys, arguments, words):
    assert main(["train", *arguments, "--config", line, "--quiet"]) == 2
    said = capsys.readouterr()
    lines = [text for text in said.err.splitlines() if text.startswith("emo2: ")]
    assert len(lines) == 1 and words in lines[0] and said.out == ""


def test_an_unknown_config(line, capsys):
    assert main(["train", "autoencoder", "--config", "huge"]) == 2
    assert "quick, tiny, tiny-decoder, tiny-faces or a .yaml file" in capsys.readouterr().err


def test_help_answers_at_once():
    """The list of trainers and every option without torch, which takes seconds to import."""
    script = (
        "import sys\n"
        "from emo2.runner.cli import build_parser\n"
        "text = build_parser().format_help()\n"
        "train = build_parser()._subparsers._group_actions[0].choices['train'].format_help()\n"
        "assert 'train' in text and 'video-clip' in train and '--resume' in train, train\n"
        "print([name for name in ('torch', 'numpy', 'cv2', 'yaml', 'accelerate') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
