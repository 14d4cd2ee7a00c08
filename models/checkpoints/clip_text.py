"""CLIP's text encoder (ViT-B/32, ViT-L/14 and their like) as a Hugging Face folder, with its byte-pair pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import EMO2Error
from .folders import read_json, weights_file
from .format import Header, Unfilled, load_strictly
from .torch_files import load_tensors

WANTED = "a CLIP text encoder"
PREFIX = "text_model."
PARTS = ("embeddings.", "encoder.", "final_layer_norm.")
"""An encoder by itself, as newer versions of transformers write it, has no prefix."""
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What CLIP's byte-pair encoding takes for a word (Radford et al. 2021, their published tokenizer)."""


def load_clip_text(path: Path | str, where: str = "text_encoder") -> tuple[Any, Header]:
    """The text encoder of a folder, float32, in evaluation mode, and a header with its config.

    An image encoder in the same files is left there. The pieces come from tokenizer.json, or from vocab.json and
    merges.txt; they stand in the folder, or beside it in one called tokenizer. EMO2Error that names what is missing.
    """
    from ..direction.config import TextConfig
    from ..direction.text import build

    folder = Path(path)
    told = read_json(folder / "config.json", where)
    told = told.get("text_config", told)
    file = weights_file(folder, where)
    tensors = {
        name.removeprefix(PREFIX): value.float()
        for name, value in load_tensors(file, where, WANTED).items()
        if name.startswith((PREFIX, *PARTS)) and not name.endswith("position_ids")
    }
    if "embeddings.token_embedding.weight" not in tensors:
        raise EMO2Error(where, WANTED, f"other weights ({file.name})", "Choose the folder of a CLIP model.")
    words, width = tensors["embeddings.token_embedding.weight"].shape
    layers = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("encoder.layers."))
    config = TextConfig(
        width=width, layers=layers, heads=int(told.get("num_attention_heads", max(1, width // 64))),
        mlp=tensors["encoder.layers.0.mlp.fc1.weight"].shape[0],
        length=tensors["embeddings.position_embedding.weight"].shape[0],
        activation=str(told.get("hidden_act", "quick_gelu")), pieces=read_pieces(folder, where),
    )  # fmt: skip
    with Unfilled():
        module = build(config.to_dict())
    if len(module.pieces) != words:
        given = f"{len(module.pieces)} pieces for {words} embeddings"
        raise EMO2Error(where, "the tokenizer of the same model", given, "Download the whole folder.")
    load_strictly(module, {f"network.{name}": value for name, value in tensors.items()}, file.name, where)
    return module.eval().requires_grad_(False), Header(file, "text_encoder", config.to_dict())


def read_pieces(folder: Path, where: str) -> str:
    """JSON of the byte-pair encoding of a CLIP folder."""
    for place in (folder, folder.parent / "tokenizer"):
        if (place / "tokenizer.json").is_file():
            return json.dumps(read_json(place / "tokenizer.json", where))
        if (place / "vocab.json").is_file() and (place / "merges.txt").is_file():
            return _from_lists(place, where)
    raise EMO2Error(
        where, f"tokenizer.json, or vocab.json and merges.txt, in {folder.name}", "neither",
        "Download the whole folder.",
    )  # fmt: skip


def _from_lists(folder: Path, where: str) -> str:
    """The same from the two files of older folders."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    words = read_json(folder / "vocab.json", where)
    try:
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
        split = [line.split(" ") for line in lines if line and not line.startswith("#version")]
        pairs = [(first, second) for first, second in split]
        model = models.BPE(words, pairs, end_of_word_suffix="</w>")
    except Exception as error:  # the tokenizers library raises plain exceptions
        raise EMO2Error(where, "a byte-pair encoding", f"{error} ({folder.name})", "Download it again.") from error
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORDS), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return str(tokenizer.to_str())
