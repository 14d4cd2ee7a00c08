"""`emo2 build-pose-bank` makes a bank of puppets, says what it needs, and never writes half a file."""

import numpy as np
import pytest
import torch
from emo2.models.body.config import TokenizerConfig
from emo2.models.body.tokenizer import MotionTokenizer
from emo2.models.checkpoints.format import fingerprint, save_checkpoint
from emo2.models.direction.bank import load_bank
from emo2.models.direction.translator import translate
from emo2.runner.cli import main


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A small tokenizer with random weights, and its file."""
    torch.manual_seed(0)
    config = TokenizerConfig(width=32, depth=1, codes=32, code_width=16)
    network = MotionTokenizer(config).eval()
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.safetensors"
    save_checkpoint(path, "tokenizer", config.to_dict(), network.state_dict())
    return network, path


def test_puppets_become_a_bank_that_gives_them_back(tokenizer, tmp_path, capsys):
    network, path = tokenizer
    out = tmp_path / "bank.npz"
    assert main(["build-pose-bank", "--tokenizer", str(path), "--puppets", "2", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    bank = load_bank(out)
    assert "2 clips (0 projected)" in told and f"{len(bank) * 0.16:.0f} s" in told
    assert bank.tokenizer == fingerprint(path) and not bank.projected.any() and bank.motion.visible.all()
    codes = bank.codes[bank.clips == 1]
    made = translate(bank, codes, np.asarray(network.quantiser.books[0].codes))
    assert len(made) == 4 * len(codes)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--out", "bank.npz"], "--puppets or --beat2"),
        (["--out", "bank.pt", "--puppets", "1"], ".npz"),
        (["--out", "bank.npz", "--puppets", "-1"], "--puppets"),
    ],
)
def test_what_is_missing_is_told_at_once(tokenizer, tmp_path, capsys, monkeypatch, more, told):
    monkeypatch.chdir(tmp_path)
    assert main(["build-pose-bank", "--tokenizer", str(tokenizer[1]), *more]) == 2
    assert told in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_other_files_are_no_tokenizer_and_nothing_is_replaced(tokenizer, tmp_path, capsys):
    there = tmp_path / "bank.npz"
    there.write_bytes(b"mine")
    arguments = ["build-pose-bank", "--tokenizer", str(tokenizer[1]), "--puppets", "1", "--out", str(there)]
    assert main(arguments) == 2 and there.read_bytes() == b"mine" and "--force" in capsys.readouterr().err
    arguments[2] = str(there)
    assert main([*arguments[:-1], str(tmp_path / "new.npz")]) == 2 and not (tmp_path / "new.npz").exists()
