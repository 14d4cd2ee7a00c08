"""How precisely a file holds weights: in half precision, or in eight bits a number. Networks compute with ordinary
floats; a file is unpacked as it is read.

Eight bits: each row of a matrix as whole numbers from -127 to 127 with the row's own scale. At most half a step is
lost, 1/254 of the row's largest weight (per-channel symmetric quantisation, Jacob et al. 2018; of the weights alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

SCALE = ":scale"
"""What the name of a packed tensor's scales ends with."""
LEAST = 1024
"""Tensors of fewer numbers are not worth it."""


def halved(module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters in half precision; buffers, such as the statistics of its data, as they are."""
    names = {name for name, _ in module.named_parameters()}
    return {name: value.half() if name in names else value for name, value in module.state_dict().items()}


def packed(tensors: Mapping[str, Tensor], exact: Sequence[str] = ()) -> dict[str, Tensor]:
    """Matrices of floats in eight bits, with their scales beside them; other tensors as they are.

    exact: endings of names whose tensors go into half precision instead.
    """
    out: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if not value.is_floating_point() or value.ndim < 2 or value.numel() < LEAST:
            out[name] = value
        elif name.endswith(tuple(exact)):
            out[name] = value.half()
        else:
            rows = value.detach().float().flatten(1)
            scale = rows.abs().amax(1).clamp_min(1e-12) / 127
            out[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(value.shape)
            out[name + SCALE] = scale
    return out


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floats (float32) again from `packed`; what was not packed stays as it is."""
    out = {name: value for name, value in tensors.items() if not name.endswith(SCALE)}
    for name, scale in tensors.items():
        if name.endswith(SCALE):
            whole = name.removesuffix(SCALE)
            rows = out[whole].float()
            out[whole] = rows * scale.float().reshape(-1, *[1] * (rows.ndim - 1))
    return out
