"""What one trainer teaches: a `Recipe` names the networks, the data, loss and checkpoint; the loop does the rest.

All randomness of a sample (timestep, noise, what is dropped) is drawn by the dataset from (seed, index). So a run goes
on after a kill as if nothing had happened, and two processes see what one with the doubled batch sees.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Recipe(ABC):
    """One trainer. `options` is the config file's `recipe` section, `seed` the run's.

    A recipe is cheap to make: files are opened and networks built by its methods. An option that is unknown or wrong is
    an EMO2Error from the constructor, before any work.
    """

    name: ClassVar[str]
    """The trainer's name on the command line."""

    def __init__(self, options: Mapping[str, Any], seed: int):
        self.options, self.seed = dict(options), seed

    @abstractmethod
    def build(self) -> nn.Module:
        """The module to train: `module(batch)` -> (losses (B,), {name: (B,)}).

        torch is seeded before. Frozen networks inside have requires_grad False; they are neither optimised, averaged
        nor saved with the training state when they are kept outside the module's registered children.
        """

    @abstractmethod
    def dataset(self) -> Dataset[Any]:
        """Samples for any index from 0 to 2**31: dicts of tensors of one shape, the same for the same index."""

    @abstractmethod
    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        """Write what was learned as checkpoints of ours into `folder` and return their paths.

        `module` holds the averaged weights. `notes`: metadata that the loop knows (seed, steps, data, loss).
        """

    def preview(self, module: nn.Module, folder: Path, step: int) -> list[Path]:
        """Sample pictures of what is learned so far (PNG); none by default."""
        return []

    def parameter_groups(self, module: nn.Module) -> list[dict[str, Any]]:
        """What the optimiser gets: groups of parameters, each with its own factor on the learning rate as `scale`."""
        return [{"params": [p for p in module.parameters() if p.requires_grad], "scale": 1.0}]


def sample_rng(seed: int, index: int) -> np.random.Generator:
    """The random numbers of sample `index` of a run, independent of every other sample's."""
    return np.random.default_rng([seed, index])


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal float32 numbers from a sample's own generator."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
