"""The memory that a device would need, counted on the meta device: what is moved there has a size and no content."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class DeviceMemory(TorchDispatchMode):
    """Counts the bytes of storages on the meta device that are alive. Several may be put on one another.

    now, peak: bytes of what came up while it was on. Attention counts as a fused kernel has it: no matrix of weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {storage._cdata for storage in _storages((args, kwargs))}
        made = function(*args, **(kwargs or {}))
        for storage in _storages(made):
            if storage._cdata not in given:  # a view of what was there before, such as a weight, is nothing new
                self._see(storage)
        return made

    def _see(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def _storages(values: Any) -> list[torch.UntypedStorage]:
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]
    return [tensor.untyped_storage() for tensor in tensors if tensor.device.type == "meta"]


@contextmanager
def fused_attention():
    """Attention on the meta device without its matrix of weights, as every fused kernel computes it."""
    plain = torch.nn.functional.scaled_dot_product_attention

    def fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        if query.device.type != "meta":
            return plain(query, key, value, *given, **named)
        return torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device="meta")

    torch.nn.functional.scaled_dot_product_attention = fused
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = plain


class OnMeta:
    """A video model on the meta device, whose predictions come back to the CPU as noise: the sampler sees a device."""

    def __init__(self, model: Any):
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, noisy: torch.Tensor, timestep: torch.Tensor, **known: Any) -> torch.Tensor:
        out = self.model(noisy, timestep, **known)
        return torch.zeros(out.shape)
