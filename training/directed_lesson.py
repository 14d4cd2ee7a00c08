"""The branches as they are trained: cross-entropy of masked motion tokens, and of the residual levels of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.direction.branches import MotionBranch, TwoBranch
from ..models.direction.conditions import Heard, Told
from ..models.direction.residual import ResidualHead
from ..models.direction.text import TextEncoder

RESIDUAL_SHARE = 4
"""One row of so many of a batch learns its residual levels: they want a second pass, without masks."""


class _Lesson(nn.Module):
    """What both lessons have: a text encoder, which learns along or is frozen, and the losses."""

    def __init__(self, encoder: TextEncoder, teach: bool):
        super().__init__()
        # A frozen encoder is no part of the training's state: inside a tuple it is not registered.
        self._frozen: tuple[Any, ...] = () if teach else (encoder.eval().requires_grad_(False),)
        if teach:
            self.text_encoder = encoder

    @property
    def encoder(self) -> TextEncoder:
        """The text encoder, trained or frozen."""
        return self._frozen[0] if self._frozen else self.text_encoder

    def told(self, batch: Mapping[str, Tensor]) -> Told:
        """The texts of a batch of `MaskedWindows`, encoded."""
        pieces, mask = batch["pieces"], batch["piece_mask"]
        teach = not self._frozen and torch.is_grad_enabled()
        encoder = self.encoder.to(pieces.device)
        with torch.set_grad_enabled(teach):
            # Most texts of a batch are the default one or none: each is encoded once.
            rows, back = torch.unique(pieces.flatten(0, 1), dim=0, return_inverse=True)
            first = torch.zeros(len(rows), dtype=torch.long, device=pieces.device)
            first[back] = torch.arange(len(back), device=pieces.device)
            said = encoder(rows, mask.flatten(0, 1)[first])
        shape = pieces.shape[:2]
        tokens, pooled = said.tokens[back].unflatten(0, shape), said.pooled[back].unflatten(0, shape)
        return Told(tokens, mask, pooled, batch["rows"], batch["edges"], batch["keep_text"])

    @staticmethod
    def masked_losses(logits: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy (B,) of the masked tokens, and how many of them come out right."""
        codes, masked = batch["codes"][:, 0], batch["masked"].float()
        each = F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none")
        right = (logits.argmax(-1) == codes).float()
        count = masked.sum(1).clamp_min(1)
        losses = (each * masked).sum(1) / count
        return losses, {"masked": losses.detach(), "right": ((right * masked).sum(1) / count).detach()}

    @staticmethod
    def residual_losses(
        head: ResidualHead, state: Tensor, batch: Mapping[str, Tensor], rows: int
    ) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy (rows,) of one further level of the valid tokens of the first `rows` rows, and what of it
        comes out right."""
        codes, level, valid = (batch[name][:rows] for name in ("codes", "level", "valid"))
        logits = head(state, codes, level, valid).float()
        wanted = codes.gather(1, level[:, None, None].expand(-1, 1, codes.shape[2]))[:, 0]
        count = valid.float().sum(1).clamp_min(1)
        each = F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        right = (logits.argmax(-1) == wanted).float()
        return (each * valid).sum(1) / count, ((right * valid).sum(1) / count).detach()

    def with_residual(
        self, losses: Tensor, parts: dict[str, Tensor], head: ResidualHead, state: Tensor, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses with the residual levels' beside them; the rows that learn them stand for all."""
        rows = len(state)
        further, right = self.residual_losses(head, state, batch, rows)
        share = len(losses) / rows
        fill = lambda v: torch.cat([v, v.new_zeros(len(losses) - rows)]) * share
        return losses + fill(further), parts | {"residual": fill(further.detach()), "residual_right": fill(right)}


class TextLesson(_Lesson):
    """`module(batch)` -> (losses (B,), parts): the text branch."""

    def __init__(self, branch: MotionBranch, encoder: TextEncoder, teach_encoder: bool):
        super().__init__(encoder, teach_encoder)
        self.branch = branch

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        told = self.told(batch)
        losses, parts = self.masked_losses(self.branch(batch["shown"], told, batch["valid"]), batch)
        head = self.branch.residual
        if head is None:
            return losses, parts
        rows = max(1, len(losses) // RESIDUAL_SHARE)
        codes = batch["codes"][:rows, 0]
        prepared = self.branch.prepare(*codes.shape, first_rows(told, rows), batch["valid"][:rows])
        state = self.branch.hidden(codes, prepared)[-1]
        return self.with_residual(losses, parts, head, state, batch)


class AudioLesson(_Lesson):
    """The audio branch on the frozen text branch."""

    def __init__(self, model: TwoBranch, encoder: TextEncoder):
        super().__init__(encoder, teach=False)
        self.model = model
        if model.text is not None:
            model.text.requires_grad_(False)

    def train(self, mode: bool = True) -> AudioLesson:
        """The frozen branch drops nothing at random."""
        super().train(mode)
        if self.model.text is not None:
            self.model.text.eval()
        return self

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        told = None if self.model.text is None else self.told(batch)
        heard = Heard(batch["sound"], batch["keep_sound"])
        logits = self.model(batch["shown"], told, heard, batch["valid"])
        losses, parts = self.masked_losses(logits, batch)
        head = self.model.residual
        if head is None:
            return losses, parts
        rows = max(1, len(losses) // RESIDUAL_SHARE)
        codes = batch["codes"][:rows, 0]
        less = None if told is None else first_rows(told, rows)
        prepared = self.model.prepare(
            *codes.shape, less, Heard(heard.states[:rows], heard.keep[:rows]), batch["valid"][:rows]
        )
        return self.with_residual(losses, parts, head, self.model.hidden(codes, prepared), batch)


def first_rows(told: Told, rows: int) -> Told:
    """The first `rows` samples of a batch of texts."""
    return Told(*(getattr(told, name)[:rows] for name in ("tokens", "mask", "pooled", "rows", "edges", "keep")))
