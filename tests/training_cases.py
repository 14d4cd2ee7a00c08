"""A trainer as small as trainers come, for tests of the loop; run as a script it trains in a process of its own.

python training_cases.py FOLDER '{"steps": 20, ...}' '{"stop_after": 3}'   settings and arguments of `train`, as JSON
"""

import errno
import json
import logging
import os
import resource
import sys
import time
from pathlib import Path

import torch
from emo2.models.errors import EMO2Error
from emo2.models.whole_files import whole_file
from emo2.training.recipe import Recipe, normal, sample_rng
from emo2.training.settings import from_values
from torch import nn

DEFAULTS = {
    "trainer": "line", "seed": 3, "steps": 12, "batch": 4, "ema": 0.9, "checkpoint_every": 4, "log_every": 1,
    "optimizer": {"lr": 1e-2, "warmup": 3},
}  # fmt: skip


def line_settings(**values):
    return from_values({**DEFAULTS, **values}, "test")


class LineRecipe(Recipe):
    """Learns y = x @ w. Options: wrong (index that cannot be read), nan (index whose loss is NaN), full (index from
    which on the disk takes no files above 2 kB), pause (seconds a sample), rough (NaN in the gradient only)."""

    name = "line"
    harmless = frozenset({"pause"})

    def build(self):
        return Line(self.options)

    def dataset(self):
        if "missing" in self.options:
            Path(self.options["missing"]).read_bytes()
        return Points(self.seed, self.options)

    def export(self, module, folder, notes):
        path = folder / "line.json"
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps({"weight": module.lin.weight.tolist(), "notes": dict(notes)}))
        return [path]

    def preview(self, module, folder, step):
        import cv2
        import numpy as np

        assert not module.training and not torch.is_grad_enabled()
        path = folder / "grey.png"
        cv2.imwrite(str(path), np.full((8, 8, 3), 100, np.uint8))
        return [path]

    def measure(self, module):
        torch.rand(7)  # must not disturb the training
        return {"weight": float(module.lin.weight.mean())}


class Points:
    def __init__(self, seed, options):
        self.seed, self.options, self.seen = seed, options, []

    def __getitem__(self, index):
        self.seen.append(index)
        time.sleep(self.options.get("pause", 0))
        if index == self.options.get("wrong"):
            raise EMO2Error("data", "a whole record", "a damaged 00007.npz", "Make it again.")
        if index >= self.options.get("full", 2**40):
            resource.setrlimit(resource.RLIMIT_FSIZE, (2048, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        x = normal(sample_rng(self.seed, index), 6)
        scale = float("nan") if index == self.options.get("nan") else 1.0
        return {"x": x, "y": x.sum() * scale, "index": index}


class Line(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.options = options
        self.lin = nn.Linear(6, 1)
        self.frozen = nn.Linear(6, 1).requires_grad_(False)
        self.checkpoint_gradients = False

    def forward(self, batch):
        made = self.lin(batch["x"])[:, 0]
        if "rough" in self.options and int(batch["index"].max()) >= self.options["rough"]:
            made = made + (made * 0).sqrt() * 0  # 0 forwards, infinity times 0 backwards
        losses = (made.float() - batch["y"]).square()
        return losses, {"absolute": losses.detach().sqrt()}


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def run_script(folder, settings, arguments=None, **environment):
    """The command line and environment of a training in its own process."""
    command = [sys.executable, __file__, str(folder), json.dumps(settings), json.dumps(arguments or {})]
    return {"args": command, "env": {**os.environ, "OMP_NUM_THREADS": "1", **environment}}


if __name__ == "__main__":
    from emo2.training.loop import train

    logging.basicConfig(level=logging.INFO)
    chosen = line_settings(**json.loads(sys.argv[2]))
    train(chosen, Path(sys.argv[1]), recipe=LineRecipe(chosen.recipe, chosen.seed), quiet=True,
          **json.loads(sys.argv[3]))  # fmt: skip
