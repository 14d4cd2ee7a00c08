"""Sampling of motion tokens: schedule, windows, guidance, fixed tokens, texts that change."""

import itertools
import math

import numpy as np
import pytest
import torch
from direction_cases import TEXTS, branch_config, encoder, two_branch_config
from emo2.models.direction.branches import MotionBranch, build
from emo2.models.direction.conditions import Conditions, conditions, listen, span_edges
from emo2.models.direction.config import DEFAULT_TEXT
from emo2.models.direction.sampling import FREE, _Guided, masked_count, sample, spans
from emo2.models.errors import EMO2Error
from emo2.models.types import AudioFeatures
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = encoder()


def branch(seed=0, **changes):
    torch.manual_seed(seed)
    return MotionBranch(branch_config(**changes)).eval().requires_grad_(False)


def both(seed=0, **changes):
    torch.manual_seed(seed)
    made = build(two_branch_config(**changes).to_dict()).eval().requires_grad_(False)
    for part in (made.text, made.audio):  # an untrained head says nearly the same everywhere
        part.out.weight.normal_(std=0.5)
    return made


def asked(n=20, strength=None, sound=False, seed=0):
    rows = np.zeros(n, np.int64)
    rows[4:9], rows[12:15] = 1, 2
    states = torch.randn(8 * n, 2, 6, generator=torch.Generator().manual_seed(seed)) if sound else None
    return Conditions(TEXT.encode(TEXTS[:3]), rows, strength, states)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400), st.integers(2, 64), st.data())
def test_windows_cover_everything_and_overlap(n, window, data):
    overlap = data.draw(st.integers(1, window - 1))
    found = list(spans(n, window, overlap))
    assert bool(found) is bool(n)
    reached = 0
    for start, stop in found:
        assert stop - start == min(window, n)
        assert start == 0 if reached == 0 else start <= reached - overlap or stop == n
        assert reached < stop and start <= reached
        reached = stop
    assert reached == n


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(0, 200))
def test_fewer_are_masked_from_step_to_step(steps, count):
    found = [masked_count(step, steps, count) for step in range(steps + 1)]
    assert found[0] == count and found[-1] == 0
    assert all(a >= b for a, b in itertools.pairwise(found))
    if steps > 2:
        assert found[steps // 2] == math.floor(count * math.cos(math.pi / 2 * (steps // 2) / steps) + 1e-9)


def test_the_seed_decides():
    made, c = both(), asked(sound=True)
    a, b, other = (sample(made, c, 20, seed=seed, steps=4) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != other).any() and a.shape == (1, 20) and a.dtype == np.int64
    assert a.min() >= 0 and a.max() < 16


def test_fixed_tokens_stand_over_windows():
    fixed = np.full(60, FREE)
    fixed[::7], fixed[30:36] = 5, 11
    c = Conditions(TEXT.encode(TEXTS[:1]), np.zeros(60, np.int64))
    codes = sample(branch(), c, 60, steps=3, fixed=fixed)[0]
    np.testing.assert_array_equal(codes[fixed != FREE], fixed[fixed != FREE])
    assert (codes >= 0).all()
    whole = np.arange(60) % 16
    np.testing.assert_array_equal(sample(branch(), c, 60, steps=3, fixed=whole)[0], whole)


def test_what_is_fixed_changes_its_neighbours():
    c, made = Conditions(TEXT.encode(TEXTS[:1]), np.zeros(12, np.int64)), both()
    free = sample(made, c, 12, temperature=0.0, steps=4)[0]
    fixed = np.full(12, FREE)
    fixed[:6] = (free[:6] + 5) % 16
    assert (sample(made, c, 12, temperature=0.0, steps=4, fixed=fixed)[0, 6:] != free[6:]).any()


def test_a_long_motion_is_the_short_one_carried_on():
    """The first window does not know what follows: its tokens are those of the short motion."""
    made, long = both(), asked(40)
    short = Conditions(long.encoded, long.texts[:16], None, edges=long.edges[:16])
    np.testing.assert_array_equal(sample(made, long, 40, steps=3)[0, :16], sample(made, short, 16, steps=3)[0])


def test_temperature_zero_takes_the_likeliest():
    made, c = both(), asked()
    a = sample(made, c, 20, temperature=0.0, seed=1, steps=4)
    np.testing.assert_array_equal(a, sample(made, c, 20, temperature=0.0, seed=2, steps=4))


def guided(made, c, g, h):
    return _Guided(made, c, g, h).logits(torch.full((len(c),), 16))


def test_guidance_is_what_its_equation_says():
    """Against the passes one by one."""
    made = both()
    strength = np.where(np.arange(20) < 10, 0.5, 1.0)
    c = asked(strength=strength, sound=True)
    like, codes = torch.zeros(()), torch.full((1, 20), 16)
    told, default, heard = c.told(like), c.told(like, default=True), c.heard(like)
    both_, usual = made(codes, told, heard), made(codes, default, heard)
    sound, nothing = made(codes, None, heard), made(codes)
    own = torch.from_numpy(np.where(c.texts > 0, strength, 1)).float()[:, None]
    wanted = usual + own * (both_ - usual)
    for g, h in ((3.0, 3.0), (3.0, 1.5), (1.0, 1.0), (2.0, 1.0)):
        expected = nothing + h * (sound - nothing) + g * (wanted - sound)
        torch.testing.assert_close(guided(made, c, g, h), expected[0], atol=1e-4, rtol=1e-4)


def test_strength_zero_is_the_default_text_and_one_the_text():
    made = both()
    plain = Conditions(TEXT.encode(TEXTS[:3]), np.zeros(20, np.int64))
    off, on = asked(strength=np.zeros(20)), asked(strength=np.ones(20))
    directed = on.texts > 0
    # Tokens see each other: without self-attention each stands for itself.
    for part in (made.text, made.audio):
        for layer in part.layers:
            layer.attend.out.weight.zero_()
    usual, none, full = (guided(made, c, 2.0, 2.0) for c in (plain, off, on))
    torch.testing.assert_close(none, usual, atol=1e-4, rtol=1e-4)
    assert ((full - usual).abs().amax(1) > 1e-3).numpy()[directed].all()
    torch.testing.assert_close(full[~directed], usual[~directed], atol=1e-4, rtol=1e-4)


def test_a_window_keeps_its_texts_and_edges():
    c = asked()
    cut = c.window(6, 14)
    assert len(cut.encoded) == 3 and cut.texts.tolist() == [1, 1, 1, 0, 0, 0, 2, 2]
    np.testing.assert_array_equal(cut.edges, c.edges[6:14])
    assert c.window(0, 3).texts.tolist() == [0, 0, 0] and len(c.window(0, 3).encoded) == 1
    behind = c.window(12, 14)  # the middle text is not used there
    assert behind.texts.tolist() == [1, 1]
    torch.testing.assert_close(behind.encoded.pooled[1], c.encoded.pooled[2])


def test_residual_levels_are_filled():
    made = branch(levels=3)
    codes = sample(made, asked(40), 40, steps=2)
    assert codes.shape == (3, 40) and codes.min() >= 0 and codes.max() < 16
    assert len(np.unique(codes[1])) > 1 and len(np.unique(codes[2])) > 1


def test_further_levels_take_the_code_of_least_expected_error():
    """Where two far codes are as likely as each other, the one in the middle; where one is sure, that one."""
    made = branch(levels=2)
    book = torch.arange(16.0)[:, None].repeat(1, 3)
    books = torch.stack([book, book])

    def told(weights):
        logits = torch.full((16,), -30.0)
        logits[list(weights)] = torch.tensor([math.log(value) for value in weights.values()])
        made.residual.forward = lambda state, codes, level: logits.expand(1, codes.shape[-1], 16)
        return sample(made, asked(20), 20, steps=2, codebooks=books)

    assert set(told({2: 0.5, 12: 0.5})[1]) == {7}
    assert set(told({2: 0.02, 12: 0.98})[1]) == {12}
    drawn = sample(made, asked(20), 20, steps=2)
    assert set(drawn[1]) <= {2, 12}, "without the codebooks they are drawn"
    assert np.array_equal(drawn[0], told({5: 1.0})[0]), "level 0 is what it was"


def test_progress_counts_every_step_of_every_window():
    seen = []
    sample(branch(), asked(40), 40, steps=3, on_step=lambda done, total: seen.append((done, total)))
    total = 3 * len(list(spans(40, 16, 4)))
    assert seen == [(k + 1, total) for k in range(total)]


def test_nothing_is_asked_for():
    empty = Conditions(TEXT.encode(TEXTS[:1]), np.zeros(0, np.int64))
    assert sample(branch(), empty, 0).shape == (1, 0)


def test_sound_is_cut_to_tokens():
    """Token j hears the eight states of its own 0.16 s, wherever the cut begins."""
    hidden = np.arange(200, dtype=np.float16)[:, None, None] * np.ones((1, 2, 6), np.float16)
    features = AudioFeatures(hidden, np.zeros(200, np.float32), 4.0)
    np.testing.assert_array_equal(listen(features, 6.25, 2, start=3)[:, 0, 0].numpy(), np.arange(24, 40))
    assert float(listen(features, 6.25, 30)[200:].abs().max()) == 0
    c = conditions(TEXT, ["wave"], [0, 1, 1], [1, 1, 0.5], features)
    assert len(c.encoded) == 2 and c.sound.shape == (24, 2, 6)
    torch.testing.assert_close(c.encoded.pooled[0], TEXT.encode([DEFAULT_TEXT]).pooled[0], atol=1e-5, rtol=1e-5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40))
def test_edges_count_within_a_run(rows):
    edges = span_edges(np.array(rows, np.int64))
    for i, row in enumerate(rows):
        since = until = 0
        while row and i - since > 0 and rows[i - since - 1] == row:
            since += 1
        while row and i + until + 1 < len(rows) and rows[i + until + 1] == row:
            until += 1
        assert row == 0 or edges[i].tolist() == [since, until]


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"texts": np.array([0, 3])}, "rows below 3"), ({"texts": np.array([0.0, 1.0])}, "one row a token"),
     ({"strength": [1.0, -1.0]}, "from 0 up"), ({"strength": [1.0]}, "2 numbers"),
     ({"sound": torch.zeros(8, 2, 6)}, r"\(16, L, D\)")],
)  # fmt: skip
def test_wrong_conditions_are_told(changes, said):
    with pytest.raises(EMO2Error, match=said):
        Conditions(**{"encoded": TEXT.encode(TEXTS[:3]), "texts": np.array([0, 1]), **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"steps": 0}, "steps"), ({"temperature": -1}, "temperature"), ({"guidance": math.nan}, "guidance"),
     ({"fixed": np.full(20, 16)}, "codes from 0 to 15"), ({"fixed": np.zeros(3, int)}, r"\(20,\)")],
)  # fmt: skip
def test_wrong_wishes_are_told(changes, said):
    with pytest.raises(EMO2Error, match=said):
        sample(branch(), asked(), 20, **changes)
    with pytest.raises(EMO2Error, match="19 tokens"):
        sample(branch(), asked(), 19)
