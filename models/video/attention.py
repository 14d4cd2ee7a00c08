"""The spatial attentions of both networks: reference features as further keys and values, sound as keys and values.

Frames are folded into the batch as (rows, frames), so one row of the conditions serves `frames` pictures.
"""

from __future__ import annotations

import math

import torch
from diffusers.models.attention_processor import Attention
from torch import nn
from torch.nn import functional as F

from .condition_batch import ConditionBatch, FrameTokens, KeysValues, Run

MAX_BATCH = 65535
"""CUDA's attention kernels put the batch on a grid axis of this length."""


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Softmax attention of (N, heads, Q, d) on (N, heads, K, d) twice -> (N, Q, heads d).

    bias: (1, 1, 1, K), added to the logits.
    """
    if query.shape[0] > MAX_BATCH:
        parts = zip(query.split(MAX_BATCH), key.split(MAX_BATCH), value.split(MAX_BATCH))
        return torch.cat([attend(q, k, v, bias) for q, k, v in parts])
    if query.requires_grad and query.device.type == "cpu" and query.dtype == torch.bfloat16:
        out = _plain_attention(query, key, value, bias)
    else:
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return out.transpose(1, 2).flatten(2)


def _plain_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None):
    """The formula as it stands, for training on a CPU: the backward pass of torch's fused kernel in bfloat16 takes
    three to ten times as long on matrices this small. The softmax is computed in float32 inside either way."""
    logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return (logits if bias is None else logits + bias.to(logits.dtype)).softmax(dim=-1).to(value.dtype) @ value


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(..., T, C) -> (..., heads, T, C / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def keys_values(attention, x: torch.Tensor | KeysValues) -> KeysValues:
    """Keys and values (..., heads, T, d) of features (..., T, C) in an attention layer; what is prepared stays."""
    if isinstance(x, torch.Tensor):
        return split_heads(attention.to_k(x), attention.heads), split_heads(attention.to_v(x), attention.heads)
    return x


def project_out(attention, x: torch.Tensor) -> torch.Tensor:
    """The attention layer's output projection (and dropout)."""
    for layer in attention.to_out:
        x = layer(x)
    return x


class TappedAttention:
    """Self-attention of the reference network; notes its input (after norm1) in `bank` under the place's name."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, attn: Attention, hidden_states, encoder_hidden_states=None, attention_mask=None, bank=None):
        if bank is not None:
            bank[self.name] = hidden_states
        query = split_heads(attn.to_q(hidden_states), attn.heads)
        key, value = keys_values(attn, hidden_states)
        return project_out(attn, attend(query, key, value))


class ReferenceAttention:
    """Self-attention of the backbone in which the reference features stand beside the frame's own keys and values.

    A reference strength s adds log s to the logits of the reference's keys, that is, multiplies their weight before
    the softmax's normalisation: 0 takes them away exactly, 1 is the plain union.
    """

    def __init__(self, name: str):
        self.name = name

    def __call__(
        self, attn: Attention, hidden_states, encoder_hidden_states=None, attention_mask=None,
        conditions: ConditionBatch | None = None,
    ):  # fmt: skip
        query = split_heads(attn.to_q(hidden_states), attn.heads)
        key, value = keys_values(attn, hidden_states)
        if conditions is None or conditions.reference is None or conditions.reference_strength == 0:
            return project_out(attn, attend(query, key, value))
        frames = hidden_states.shape[0] // conditions.rows
        further = keys_values(attn, conditions.reference[self.name])
        parts = []
        for run in conditions.runs("reference"):
            own = slice(run.start * frames, run.stop * frames)
            q, k, v, bias = query[own], key[own], value[own], None
            if run.first is not None:
                k, v = (_beside(mine, run.take(other), frames) for mine, other in zip((k, v), further))
                bias = _log_weight(conditions.reference_strength, key.shape[2], k)
            parts.append(attend(q, k, v, bias))
        return project_out(attn, torch.cat(parts) if len(parts) > 1 else parts[0])


def _beside(own: torch.Tensor, other: torch.Tensor, frames: int) -> torch.Tensor:
    """Own (rows F, heads, T, d) and other (rows, heads, R, d) tokens of each frame: (rows F, heads, T + R, d)."""
    rows = other.shape[0]
    shared = other.to(own.dtype)[:, None].expand(rows, frames, *other.shape[1:])
    return torch.cat([own.unflatten(0, (rows, frames)), shared], dim=3).flatten(0, 1)


def _log_weight(strength: float, own: int, key: torch.Tensor) -> torch.Tensor | None:
    """Bias (1, 1, 1, T + R): nothing on the first `own` keys, log strength on the others. None where it is all zero."""
    if strength == 1:
        return None
    bias = key.new_full((1, 1, 1, key.shape[2]), math.log(strength))
    bias[..., :own] = 0
    return bias


class AudioAttention(nn.Module):
    """Cross-attention of every frame to the tokens of its own window of sound.

    Its output is multiplied by `scale` (projection bias included). What the absence of sound means is the config's
    `audio_absent`: the layer adds nothing ("skip"), or what it makes of zeros, its scaled output bias ("zeros"). A
    strength between 0 and 1 goes from there to the full sound in a straight line. `face`: the attention to the face's
    controls that comes after it, where the network has one.
    """

    def __init__(self, name: str, scale: float, zeros: bool, face: nn.Module | None = None):
        super().__init__()
        self.name, self.scale, self.zeros, self.face = name, scale, zeros, face

    def __call__(
        self, attn: Attention, hidden_states, encoder_hidden_states=None, attention_mask=None,
        conditions: ConditionBatch | None = None,
    ):  # fmt: skip
        out = self._heard(attn, hidden_states, conditions)
        face = conditions.face if conditions is not None else None
        if self.face is None or face is None or face.strength == 0:
            return out
        return out + self.face(hidden_states + out, conditions)

    def _heard(self, attn: Attention, hidden_states: torch.Tensor, conditions: ConditionBatch | None) -> torch.Tensor:
        """What the sound adds."""
        audio = conditions.audio if conditions is not None else None
        absent = self._absent(attn, hidden_states)
        if conditions is None or audio is None or audio.strength == 0:
            return absent.expand_as(hidden_states)
        frames = hidden_states.shape[0] // conditions.rows
        parts = []
        for run in conditions.runs("audio"):
            x = hidden_states[run.start * frames : run.stop * frames]
            if run.first is None:
                parts.append(absent.expand_as(x))
                continue
            query = split_heads(attn.to_q(x), attn.heads)
            k, v = self._keys_values(attn, audio, run, x, conditions)
            out = project_out(attn, attend(query, k.to(query.dtype), v.to(query.dtype))) * self.scale
            parts.append(out if audio.strength == 1 else absent + audio.strength * (out - absent))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _keys_values(
        self, attn: Attention, audio: FrameTokens, run: Run, x: torch.Tensor, conditions: ConditionBatch
    ) -> KeysValues:
        """Keys and values (frames of the run, heads, T, d)."""
        if audio.keys_values is not None:
            key, value = audio.keys_values[self.name]
            return run.take(key).flatten(0, 1), run.take(value).flatten(0, 1)
        return keys_values(attn, run.take(audio.tokens).flatten(0, 1))

    def _absent(self, attn: Attention, x: torch.Tensor) -> torch.Tensor:
        """(1, 1, C): what the layer adds where there is no sound."""
        nothing = x.new_zeros((1, 1, x.shape[-1]))
        return project_out(attn, nothing) * self.scale if self.zeros else nothing


class InteractiveAudioAttention(AudioAttention):
    """The same with tokens that take something from their frame first (`interaction`), so nothing can be prepared."""

    def __init__(self, name: str, scale: float, zeros: bool, face: nn.Module | None, interaction: nn.Module):
        super().__init__(name, scale, zeros, face)
        self.interaction = interaction

    def _keys_values(
        self, attn: Attention, audio: FrameTokens, run: Run, x: torch.Tensor, conditions: ConditionBatch
    ) -> KeysValues:
        assert conditions.prior is not None
        tokens = run.take(audio.tokens).flatten(0, 1).to(x.dtype)
        return keys_values(attn, self.interaction(tokens, x, conditions.prior[run.start : run.stop].flatten(0, 1)))
