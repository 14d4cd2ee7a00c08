"""Codebooks, the motion tokenizer, and the figures that judge it."""

import numpy as np
import pytest
import torch
from emo2.evaluation.motion.tokens import HAND_SIZE, codes_used, hand_errors, report, velocity_errors, wrist_error
from emo2.models.body import WholeBody, skeleton, vector
from emo2.models.body.config import TokenizerConfig
from emo2.models.body.quantiser import Codebook, ResidualQuantiser
from emo2.models.body.tokenizer import MotionTokenizer, build
from emo2.models.checkpoints.format import load_checkpoint, save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import from_axis_angle, multiply
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures

SMALL = TokenizerConfig(width=16, depth=1, codes=32, code_width=8, residual=1)


def body(seed=0, count=40, fps=25.0):
    return WholeBody.from_motion(gestures(seed, count, fps)).replace(hands=None)


def untrained(seed=0, config=SMALL):
    torch.manual_seed(seed)
    return MotionTokenizer(config).eval()


# --- codebooks


def test_codes_move_to_where_the_data_is():
    """Four clusters, four codes: after some batches each code is a cluster's mean."""
    torch.manual_seed(0)
    means = torch.tensor([[0.0, 0], [5, 0], [0, 5], [5, 5]])
    quantiser = ResidualQuantiser(1, 4, 2).train()
    for _ in range(300):
        points = means[torch.randint(4, (64,))] + 0.1 * torch.randn(64, 2)
        quantiser(points[None])
    found = quantiser.books[0].codes
    assert torch.cdist(means, found).min(1).values.max() < 0.1


def test_dead_codes_come_back_to_life():
    torch.manual_seed(0)
    quantiser = ResidualQuantiser(1, 16, 2).train()
    quantiser(torch.zeros(1, 32, 2))  # all codes begin in one place
    assert quantiser.eval()(torch.rand(1, 256, 2)).perplexity.item() < 3
    quantiser.train()
    for _ in range(300):
        quantiser(torch.rand(1, 64, 2))
    assert quantiser(torch.rand(1, 256, 2)).perplexity.item() > 12


def test_without_reset_a_far_code_would_never_be_chosen():
    book = Codebook(4, 2)
    book.begun.fill_(True)
    book.codes.copy_(torch.tensor([[0.0, 0], [1, 0], [0, 1], [100, 100]]))
    book.sums.copy_(book.codes)
    points = torch.rand(64, 2)
    for _ in range(400):
        book.follow(points, book.nearest(points), torch.ones(64, dtype=torch.bool))
    assert book.codes.max() < 1.5 and len(book.nearest(points).unique()) == 4


def test_gradients_go_straight_through_and_codes_get_none():
    torch.manual_seed(0)
    quantiser = ResidualQuantiser(3, 8, 4).eval()
    x = torch.randn(2, 5, 4, requires_grad=True)
    (quantiser(x).values * torch.arange(4.0)).sum().backward()
    assert torch.equal(x.grad, torch.arange(4.0).expand(2, 5, 4))
    assert not list(quantiser.parameters())
    x.grad = None
    quantiser(x).commitment.sum().backward()
    assert x.grad.abs().max() > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_codes_say_what_the_values_are(seed, levels):
    torch.manual_seed(seed)
    quantiser = ResidualQuantiser(levels, 8, 4).eval()
    x = torch.randn(2, 5, 4)
    done = quantiser(x)
    assert torch.allclose(quantiser.lookup(done.codes), done.values, atol=1e-6)
    first = torch.cdist(x.reshape(-1, 4), quantiser.books[0].codes).argmin(1).reshape(2, 5)
    assert torch.equal(done.codes[:, 0], first)
    assert (done.perplexity >= 1 - 1e-5).all() and (done.perplexity <= 8 + 1e-5).all()


def test_further_levels_lose_less():
    torch.manual_seed(0)
    x = torch.randn(8, 16, 4)
    quantiser = ResidualQuantiser(3, 16, 4).train()
    for _ in range(20):
        quantiser(x)
    codes = quantiser.eval()(x).codes
    off = [(quantiser.lookup(codes[:, :n]) - x).square().mean().item() for n in (1, 2, 3)]
    assert off[0] > 1.3 * off[1] > 1.3 * 1.3 * off[2]


def test_levels_that_are_left_out_say_nothing_and_teach_nothing():
    torch.manual_seed(0)
    quantiser = ResidualQuantiser(3, 8, 4).train()
    x = torch.randn(2, 6, 4)
    quantiser(x)
    before = quantiser.books[2].counts.clone()
    done = quantiser(x, torch.tensor([1, 2]))
    assert (done.codes[0, 1:] == -1).all() and (done.codes[1, :2] >= 0).all() and (done.codes[1, 2] == -1).all()
    after = quantiser.books[2].counts
    assert (after <= before.max()).all() and after.sum() < before.sum() + 1e-4, "nobody chose on the third level"


# --- the tokenizer


@pytest.mark.parametrize("count", [1, 4, 30, 33])
def test_shapes_and_lengths(count):
    module = untrained()
    codes = module.tokens(body(0, count))
    assert codes.shape == (2, -(-count // 4)) and codes.min() >= 0 and codes.max() < 32
    made = module.body(codes)
    assert len(made) == 4 * codes.shape[1] and made.fps == 25 and made.hands.all()
    assert len(module.body(codes[0])) == len(made), "the first codebook alone"


def test_forward_encode_and_decode_agree():
    module = untrained()
    x = torch.from_numpy(vector.to_vector(body(1, 32)))[None]
    result = module(x)
    assert torch.equal(result.codes, module.encode(x))
    assert torch.allclose(module.decode(result.codes), result.reconstruction, atol=1e-5)
    assert result.commitment.shape == (1,) and result.perplexity.shape == (2,)


def test_what_an_unknown_hand_says_does_not_matter():
    module = untrained()
    known = body(2, 32)
    unknown = known.replace(hands=np.tile([True, False], (32, 1)))
    turns = unknown.rotations.copy()
    turns[:, skeleton.fingers(1)] = from_axis_angle(np.full((32, 15, 3), 0.7))
    turns[:, skeleton.WRISTS[1]] = multiply(turns[:, skeleton.WRISTS[1]], from_axis_angle(np.array([0.5, 0, 0])))
    assert np.array_equal(module.tokens(unknown), module.tokens(unknown.replace(rotations=turns)))
    features = lambda b: module.features(torch.from_numpy(vector.to_vector(b))[None])
    assert (features(known) - features(known.replace(rotations=turns))).abs().max() > 1e-3


def test_the_frame_rate_of_the_motion_does_not_matter():
    module = untrained()
    slow = body(3, 40)
    assert module.tokens(slow.resampled(50.0)).shape == module.tokens(slow).shape


def test_a_checkpoint_holds_the_codebooks(tmp_path):
    module = untrained(3)
    module.train()(torch.from_numpy(vector.to_vector(body(0, 40)))[None])
    module.eval()
    path = save_checkpoint(tmp_path / "t.safetensors", "tokenizer", SMALL.to_dict(), module.state_dict())
    loaded, header = load_checkpoint(path, "tokenizer", build)
    assert header.config["residual"] == 1 and isinstance(loaded, MotionTokenizer)
    assert np.array_equal(loaded.tokens(body(4)), module.tokens(body(4)))
    with pytest.raises(EMO2Error, match="motion tokenizer"):
        load_checkpoint(path, "motion", build)


def test_sizes():
    count = lambda config: sum(p.numel() for p in MotionTokenizer(config).parameters())
    assert count(TokenizerConfig.tiny()) <= 550_000, "half a megabyte in eight bits"
    assert 15e6 < count(TokenizerConfig.paper()) < 25e6 and TokenizerConfig.paper().levels == 1
    assert TokenizerConfig.tiny().codes == TokenizerConfig.paper().codes == 512


WRONG = {
    "shape": (np.zeros((1, 2, 3), int), "shape"),
    "levels": (np.zeros((3, 4), int), "Q from 1 to 2"),
    "none": (np.zeros((2, 0), int), "shape"),
    "high": (np.full((2, 4), 32), "0 to 31"),
    "low": (np.full((2, 4), -2), "0 to 31"),
    "first": (np.array([[0, -1], [3, 3]]), "further levels"),
    "real": (np.zeros((2, 4)), "whole numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_code_is_refused(case):
    codes, words = WRONG[case]
    with pytest.raises(EMO2Error, match=words):
        untrained().body(codes)


@pytest.mark.parametrize(
    "wrong", [{"kernel": 2}, {"codes": 1}, {"residual": -1}, {"fps": 0}, {"depth": 0}, {"widht": 8}]
)
def test_wrong_configs(wrong):
    with pytest.raises(ValueError):
        TokenizerConfig.from_dict(wrong)


# --- figures


def test_errors_are_measured_in_metres():
    true = body(5, 20)
    assert hand_errors(true, true) == (0, 0) and wrist_error(true, true) == 0
    assert velocity_errors(true, true)[0] == 0 < velocity_errors(true, true)[1]
    assert 0.17 < HAND_SIZE < 0.21
    # A wrist that is turned by 0.1 rad moves no finger against it, but all of them from their place.
    turns = true.rotations.astype(float).copy()
    for wrist in skeleton.WRISTS:
        turns[:, wrist] = multiply(turns[:, wrist], from_axis_angle(np.array([0, 0.1, 0])))
    turned = true.replace(rotations=turns)
    hands, fingers = hand_errors(turned, true)
    assert 0.005 < hands < 0.1 * HAND_SIZE and fingers < 1e-6 and wrist_error(turned, true) < 1e-6
    # The elbow carries wrist and hand.
    turns = true.rotations.astype(float).copy()
    for elbow in skeleton.ELBOWS:
        turns[:, elbow] = multiply(turns[:, elbow], from_axis_angle(np.array([0, 0.1, 0])))
    assert 0.02 < wrist_error(true.replace(rotations=turns), true) < 0.026
    shift = np.arange(20)[:, None] / 25 * np.array([0.3, 0, 0])
    assert velocity_errors(true.replace(root=true.root + shift), true)[0] == pytest.approx(0.3, rel=1e-4)


def test_unknown_hands_are_not_judged():
    true = body(6, 20)
    turns = true.rotations.copy()
    turns[:10, skeleton.fingers(1)] = from_axis_angle(np.full((10, 15, 3), 0.7))
    seen = np.ones((20, 2), bool)
    seen[:10, 1] = False
    wrong = true.replace(rotations=turns)
    assert hand_errors(wrong, true)[0] > 0.001 and hand_errors(wrong, true.replace(hands=seen))[0] < 1e-6
    assert np.isnan(hand_errors(wrong, true.replace(hands=np.zeros((20, 2))))).all()


def test_codes_used_counts_each_book():
    assert codes_used([np.array([[0, 1, 1], [2, -1, 2]]), np.array([[3], [2]])], 4) == (0.75, 0.25)


def test_a_report_of_an_untrained_network_is_bad():
    found = report(untrained(), [body(0), body(1, 30, 30.0)])
    assert len(found.used) == 2 and 0 < found.all_used < 1
    assert found.share > 0.2 and found.wrists > 0.05 and found.velocity > 0
    assert len(found.lines()) == 4 and "mm" in found.lines()[2]
    with pytest.raises(EMO2Error, match="at least one body"):
        report(untrained(), [])
