"""A small world for the trainings of directed motion: three actions with codes of their own, and speech that follows
its sound."""

from types import SimpleNamespace

import numpy as np
import torch
from direction_cases import branch_config, encoder
from emo2.models.direction.config import DEFAULT_TEXT
from emo2.training.directed_clips import DirectedClip, Drawn, Saying
from emo2.training.directed_windows import MaskedWindows, MaskOptions

ACTIONS = ("wave the right hand", "clap both hands", "point at the camera")
LENGTH, SPAN = 24, (8, 16)
LOUD, SOFT = 2, 3
NUMBERS = 384


def clip(seed, action=None, sound=True, levels=2):
    """An action's codes are 5 + 2 k and 6 + 2 k in turn; outside of it the code says whether the sound is loud."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(len(ACTIONS))) if action is None else action
    loud = rng.random(LENGTH) < 0.5
    base = np.where(loud, LOUD, SOFT)
    inside = np.arange(*SPAN)
    base[inside] = 5 + 2 * number + inside % 2
    codes = np.stack([base] + [(base + level) % 16 for level in range(1, levels)])
    states = rng.normal(0, 0.3, (8 * LENGTH, 2, 6))
    states[..., :3] += np.where(np.repeat(loud, 8), 1.0, -1.0)[:, None, None]
    vectors = rng.normal(0, 0.3, (4 * LENGTH, NUMBERS))
    vectors[4 * SPAN[0] : 4 * SPAN[1], number * 20 : number * 20 + 20] += 2.0
    told = (Saying((ACTIONS[number], f"please {ACTIONS[number]}"), *map(float, SPAN)),)
    return DirectedClip(
        codes, told, vectors.astype(np.float16), np.ones((4 * LENGTH, 2), bool),
        states.astype(np.float16) if sound else None,
    )  # fmt: skip


class Clips(list):
    """Clips as a folder has them."""

    def texts(self):
        return [text for one in self for saying in one.sayings for text in saying.choices]


def sources(count=24, **changes):
    return [Drawn(Clips([clip(seed, **changes) for seed in range(count)]))]


def text_encoder(seed=0):
    return encoder(seed, [DEFAULT_TEXT, *Clips([clip(seed) for seed in range(24)]).texts()])


def windows(config=None, pieces=None, sound=False, seed=0, found=None, **options):
    own = MaskOptions(**{"window": LENGTH, "pieces": 16, "texts": 2, **options})
    pieces = pieces or text_encoder().pieces
    return MaskedWindows(found or sources(), config or branch_config(), pieces, own, seed, sound=sound)


def tokenizer(levels=2):
    """What the recipes ask a tokenizer for."""
    config = SimpleNamespace(codes=16, levels=levels, fps=25.0)
    count = lambda x: torch.arange(-(-x.shape[1] // 4)) % 16
    books = torch.randn(levels, 16, 8, generator=torch.Generator().manual_seed(0))
    return SimpleNamespace(
        config=config, encode=lambda x, mask: count(x).expand(1, levels, -1), codebooks=lambda: books
    )  # fmt: skip


def learn(module, dataset, steps, lr=3e-3, batch=16):
    """The mean loss of the first and the last ten steps."""
    from torch.utils.data import default_collate

    optimiser = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr)
    losses = []
    for step in range(steps):
        each, _ = module(default_collate([dataset[step * batch + i] for i in range(batch)]))
        assert each.shape == (batch,)
        optimiser.zero_grad()
        each.mean().backward()
        optimiser.step()
        losses.append(each.mean().item())
    return np.mean(losses[:10]), np.mean(losses[-10:])
