"""Which samples a step sees, and how they get there.

Step s, micro-step a, process p, row b take sample ((s * accumulate + a) * world + p) * batch + b. So two processes see
what one with the doubled batch sees, and a run that goes on sees what it would have seen. Who prepares the samples, the
training process or workers beside it, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate


@dataclass(frozen=True)
class Micro:
    """One micro-step's batch of one process, or what went wrong while it was made."""

    indices: range
    batch: Any = None
    trouble: str = ""


class MicroBatches(Dataset[Micro]):
    """Item k is the batch of micro-step k (= s * accumulate + a) of process `rank`."""

    def __init__(self, samples: Dataset[Any], batch: int, rank: int = 0, world: int = 1):
        self.samples, self.batch, self.rank, self.world = samples, batch, rank, world

    def __getitem__(self, k: int) -> Micro:
        first = (k * self.world + self.rank) * self.batch
        indices = range(first, first + self.batch)
        rows = []
        for index in indices:
            # Exceptions of many kinds cannot travel from a worker process; their words can.
            try:
                rows.append(self.samples[index])
            except Exception as error:
                return Micro(indices, trouble=f"sample {index}: {type(error).__name__}: {' '.join(str(error).split())}")
        try:
            return Micro(indices, default_collate(rows))
        except Exception as error:
            words = " ".join(str(error).split())
            return Micro(indices, trouble=f"samples {first} to {indices[-1]} do not fit together: {words}")


def micro_batches(items: MicroBatches, start: int, stop: int, workers: int) -> Iterator[Micro]:
    """Items start..stop-1 in order, prepared by `workers` processes (0: by this one, when they are asked for)."""
    if workers == 0:
        return (items[k] for k in range(start, stop))
    loader: DataLoader[Micro] = DataLoader(
        items, batch_size=None, sampler=range(start, stop), num_workers=workers, worker_init_fn=_one_thread,
        prefetch_factor=2, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return iter(loader)


def to_device(batch: Any, device: torch.device) -> Any:
    """Tensors of nested dicts, lists and tuples on `device`."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def _one_thread(worker: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
