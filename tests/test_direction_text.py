"""Texts of directions: pieces, CLIP's text encoder, and its checkpoint."""

import numpy as np
import pytest
import torch
from direction_cases import SMALL_TEXT, TEXTS, encoder
from emo2.models.checkpoints.format import load_checkpoint, save_checkpoint
from emo2.models.direction.config import TextConfig
from emo2.models.direction.text import BEGIN, END, Pieces, build, train_pieces
from hypothesis import given, settings
from hypothesis import strategies as st

PIECES = Pieces(train_pieces(TEXTS, 320), 24)


def test_known_words_are_whole_and_unknown_ones_fall_to_bytes():
    assert PIECES.words("A Person  WAVES") == ["Ġa", "Ġperson", "Ġwaves"]
    assert len(PIECES.words("zebra")) > 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_fits_and_keeps_its_marks(texts):
    numbers, mask = PIECES.cut(texts)
    assert numbers.shape == mask.shape and numbers.shape[1] <= 24 and numbers.min() >= 0
    assert numbers.max() < len(PIECES)
    for row, shown in zip(numbers, mask):
        count = shown.sum()
        assert shown[:count].all() and row[0] == PIECES.begin and row[count - 1] == PIECES.end
        assert (row[count:] == PIECES.end).all()


@pytest.mark.parametrize("text", ["👋🏽", "שלום לכם", "你好", "ñandú", "wink 😉 twice"])
def test_no_text_is_unknown(text):
    """Different texts stay different whatever script they are written in."""
    (a, _), (b, _) = PIECES.cut([text]), PIECES.cut([text[:-1] + "?"])
    assert a.shape != b.shape or (a != b).any()
    assert len(PIECES.words(text)) >= len(text.encode()) // 4


def test_the_same_texts_give_the_same_pieces_in_any_order():
    assert train_pieces(TEXTS, 320) == train_pieces(reversed(TEXTS), 320)
    assert len(Pieces(train_pieces(TEXTS, 280), 9)) <= 280


def test_a_text_that_is_too_long_loses_its_end():
    numbers, mask = PIECES.cut(["wave " * 100])
    assert mask.all() and numbers.shape == (1, 24) and numbers[0, -1] == PIECES.end


def test_features_do_not_depend_on_the_company():
    made = encoder()
    together, alone = made.encode([TEXTS[1], "hi", TEXTS[2]]), made.encode(["hi"])
    count = int(alone.mask.sum())
    assert together.mask.sum(1)[1] == count
    torch.testing.assert_close(together.tokens[1, :count], alone.tokens[0, :count], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together.pooled[1], alone.tokens[0, count - 1], atol=1e-5, rtol=1e-5)


def test_rows_keep_what_they_need():
    features = encoder().encode(["hi", TEXTS[2], TEXTS[1]])
    some = features.rows([0])
    assert some.tokens.shape[1] == int(features.mask[0].sum()) and len(some) == 1
    torch.testing.assert_close(features.rows([2, 1]).pooled, features.pooled[[2, 1]])


def test_every_piece_of_a_text_is_heard_at_its_end():
    """The summary of a text changes with its first word; its causal attention looks back only."""
    made = encoder()
    a, b = made.encode(["wave with the right hand"]), made.encode(["point with the right hand"])
    assert (a.pooled - b.pooled).abs().max() > 1e-3
    torch.testing.assert_close(a.tokens[:, 0], b.tokens[:, 0])


def test_the_checkpoint_brings_its_pieces(tmp_path):
    made = encoder()
    path = save_checkpoint(tmp_path / "t.safetensors", "text_encoder", made.config.to_dict(), made.state_dict())
    loaded, header = load_checkpoint(path, "text_encoder", build)
    assert BEGIN in header.config["pieces"] and END in header.config["pieces"]
    torch.testing.assert_close(loaded.encode(TEXTS).pooled, made.encode(TEXTS).pooled)
    np.testing.assert_array_equal(loaded.pieces.cut(TEXTS)[0], made.pieces.cut(TEXTS)[0])


def test_wrong_configs_are_told():
    with pytest.raises(ValueError, match="unknown config keys wdth"):
        TextConfig.from_dict({"wdth": 3})
    with pytest.raises(ValueError, match="multiple of heads"):
        TextConfig(width=30, heads=4)
    with pytest.raises(Exception):
        build({**SMALL_TEXT.to_dict(), "pieces": "{}"})
