"""CLIP's text encoder from a Hugging Face folder, and the pieces it brings."""

import json

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.clip_text import load_clip_text
from emo2.models.direction.text import BEGIN, END
from emo2.models.errors import EMO2Error

TEXTS = ["wave the hand", "a hand waves", ""]


def vocabulary():
    """Bytes with and without the end of a word, two merges and the marks, as CLIP's own."""
    from tokenizers.pre_tokenizers import ByteLevel

    single = sorted(ByteLevel.alphabet())
    words = [*single, *(one + "</w>" for one in single), "ha", "nd</w>", "hand</w>", BEGIN, END]
    return {word: number for number, word in enumerate(words)}, ["h a", "n d</w>", "ha nd</w>"]


@pytest.fixture
def folder(tmp_path):
    """A small CLIP folder as transformers writes it, with the tokenizer's older files."""
    from transformers import CLIPTextConfig, CLIPTextModel

    words, merges = vocabulary()
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=20, bos_token_id=words[BEGIN], eos_token_id=words[END], pad_token_id=words[END],
        hidden_act="gelu",
    )  # fmt: skip
    network = CLIPTextModel(config).eval()
    network.save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps(words))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return tmp_path, network


def test_it_says_what_the_original_says(folder):
    path, network = folder
    loaded, header = load_clip_text(path)
    assert header.config["activation"] == "gelu" and header.config["heads"] == 4
    assert loaded.pieces.words("HAND") == ["hand</w>"] and len(loaded.pieces.words("wave")) == 4
    numbers, mask = loaded.pieces.cut(TEXTS)
    with torch.no_grad():
        wanted = network(input_ids=torch.from_numpy(numbers))
    found = loaded.encode(TEXTS)
    torch.testing.assert_close(found.tokens, wanted.last_hidden_state, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.pooled, wanted.pooler_output, atol=1e-5, rtol=1e-4)
    np.testing.assert_array_equal(found.mask.numpy(), mask)


def test_pieces_from_tokenizer_json_and_from_the_folder_beside_it(folder):
    path, _ = folder
    loaded, _ = load_clip_text(path)
    pieces = loaded.config.pieces
    for name in ("vocab.json", "merges.txt"):
        (path / name).unlink()
    with pytest.raises(EMO2Error, match=r"tokenizer\.json"):
        load_clip_text(path)
    beside = path.parent / "tokenizer"
    beside.mkdir()
    (beside / "tokenizer.json").write_text(pieces)
    again, _ = load_clip_text(path)
    np.testing.assert_array_equal(again.pieces.cut(TEXTS)[0], loaded.pieces.cut(TEXTS)[0])


def test_what_is_wrong_is_told(folder, tmp_path):
    path, _ = folder
    words, _ = vocabulary()
    (path / "vocab.json").write_text(json.dumps(words | {"more": len(words)}))
    with pytest.raises(EMO2Error, match="tokenizer of the same model"):
        load_clip_text(path)
    (path / "vocab.json").write_text("{}")
    with pytest.raises(EMO2Error, match="text_encoder"):
        load_clip_text(path)
    with pytest.raises(EMO2Error, match=r"config\.json"):
        load_clip_text(tmp_path / "nowhere")
