"""Every condition of stage 1 matters, only where it should, and not at all to the unconditional branch.

All parameters are random and not zero, so that no zero-initialised layer hides a path; float64, so that equal is equal.
"""

import dataclasses

import pytest
import torch
from emo2.models.motion import Conditions, MotionConfig, MotionTransformer
from emo2.models.motion.conditions import NAMES

CONFIG = MotionConfig(
    width=32, depth=2, heads=4, audio_layers=3, audio_width=8, image_width=6, styles=("speaking", "singing", "dance")
)
BATCH, FRAMES = 2, 9


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = MotionTransformer(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.double().eval().requires_grad_(False)


@pytest.fixture
def noisy():
    return torch.randn(BATCH, FRAMES, 170, generator=torch.Generator().manual_seed(1)).double()


@pytest.fixture
def full():
    """Conditions with everything given."""
    g = torch.Generator().manual_seed(2)
    offset = torch.randn(BATCH, FRAMES, 7, generator=g) * 0.3
    mask = torch.ones(BATCH, FRAMES, 2, dtype=torch.bool)
    mask[0, 2, 1] = False
    return Conditions(
        audio=torch.randn(BATCH, FRAMES, 3, 8, generator=g),
        style=torch.tensor([0, 2]),
        speed=torch.tensor([[0.002, 0.01], [0.0005, 0.03]]),
        image=torch.randn(BATCH, 6, generator=g),
        mask=mask,
        offset=offset,
    )


def run(network, noisy, conditions, **more):
    return network(noisy, torch.full((len(noisy),), 400), conditions, **more)


def moved(a, b):
    """Per sample, the largest change."""
    return (a - b).abs().flatten(1).amax(1)


def changed(tensor, index, value):
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


def expect_only_first(network, noisy, before, after):
    """Changing sample 0's condition changes sample 0 and leaves sample 1 alone."""
    difference = moved(run(network, noisy, before), run(network, noisy, after))
    assert difference[0] > 1e-3, "the condition does not matter"
    assert difference[1] < 1e-9, "the condition reaches another sample"


@pytest.mark.parametrize("frame", range(FRAMES))
def test_audio_of_every_frame_matters(network, noisy, full, frame):
    other = changed(full.audio, (0, frame), full.audio[0, frame] + 1.5)
    other[0, frame, 1, 3] -= 4
    expect_only_first(network, noisy, full, dataclasses.replace(full, audio=other))


def test_audio_is_heard_at_its_own_time(network, noisy, full):
    """The same sounds in another order are another input: audio features know their place."""
    expect_only_first(
        network, noisy, full, dataclasses.replace(full, audio=changed(full.audio, 0, full.audio[0].flip(0)))
    )


@pytest.mark.parametrize("layer", range(3))
def test_every_audio_layer_is_mixed_in(network, noisy, full, layer):
    other = changed(full.audio, (0, slice(None), layer), torch.randn(FRAMES, 8))
    expect_only_first(network, noisy, full, dataclasses.replace(full, audio=other))


@pytest.mark.parametrize("hand", [0, 1], ids=["left", "right"])
def test_speed_of_each_hand_matters(network, noisy, full, hand):
    expect_only_first(network, noisy, full, dataclasses.replace(full, speed=changed(full.speed, (0, hand), 0.02)))


def test_hands_have_speed_embeddings_of_their_own(network, noisy, full):
    expect_only_first(
        network, noisy, full, dataclasses.replace(full, speed=changed(full.speed, 0, full.speed[0].flip(0)))
    )


def test_speed_buckets_follow_the_paper(network):
    """s_d = tanh(3 (w - c_d) / r_d)"""
    embed = network.conditions.speed[0]
    buckets = embed.buckets(torch.tensor([0.006, 0.0])).float()
    centres, radii = torch.tensor(CONFIG.speed_centres), torch.tensor(CONFIG.speed_radii)
    torch.testing.assert_close(buckets[0], torch.tanh(3 * (0.006 - centres) / radii))
    assert buckets[0, CONFIG.speed_centres.index(0.006)].abs() < 1e-5 and buckets[1, 0] == 0
    amounts = torch.linspace(0, 3, 200).square() * CONFIG.ordinary_speed
    steps = embed.buckets(amounts).diff(dim=0)
    assert (steps >= 0).all() and (steps.amax(1) > 1e-3).all(), "some amounts cannot be told apart"


def test_every_style_is_another_one_and_none_is_another_still(network, noisy, full):
    results = [
        run(network, noisy, dataclasses.replace(full, style=torch.tensor([style, 2]))) for style in (-1, 0, 1, 2)
    ]
    for i, a in enumerate(results):
        for b in results[:i]:
            difference = moved(a, b)
            assert difference[0] > 1e-3 and difference[1] < 1e-9


def test_image_embedding_matters(network, noisy, full):
    expect_only_first(network, noisy, full, dataclasses.replace(full, image=changed(full.image, 0, -full.image[0])))


@pytest.mark.parametrize("number", range(7), ids=["x", "y", "z", "qw", "qx", "qy", "qz"])
def test_every_number_of_the_offset_matters(network, noisy, full, number):
    other = changed(full.offset, (0, 5, number), full.offset[0, 5, number] + 1)
    expect_only_first(network, noisy, full, dataclasses.replace(full, offset=other))


@pytest.mark.parametrize("hand", [0, 1], ids=["left", "right"])
@pytest.mark.parametrize("frame", [0, 4, FRAMES - 1])
def test_mask_of_each_hand_and_frame_matters(network, noisy, full, hand, frame):
    expect_only_first(network, noisy, full, dataclasses.replace(full, mask=changed(full.mask, (0, frame, hand), False)))


def test_mask_says_more_than_that_the_numbers_are_zero(network, noisy, full):
    """Also with nothing in the hand's numbers, hidden differs from visible: the mask has embeddings of its own."""
    noisy[:, 3, :67] = 0
    expect_only_first(network, noisy, full, dataclasses.replace(full, mask=changed(full.mask, (0, 3, 0), False)))


def test_what_stands_in_a_hidden_hand_is_not_looked_at(network, noisy, full):
    hidden = changed(full.mask, (slice(None), 3, 0), False)
    other = changed(noisy, (slice(None), 3, slice(0, 67)), 5.0)
    before, after = (run(network, x, dataclasses.replace(full, mask=hidden)) for x in (noisy, other))
    assert moved(before, after).max() < 1e-9
    assert moved(run(network, noisy, full), run(network, other, full)).min() > 1e-3
    rest = changed(noisy, (slice(None), 3, slice(67, 170)), 5.0)  # the other hand and the body points still count
    assert moved(before, run(network, rest, dataclasses.replace(full, mask=hidden))).min() > 1e-3


def test_carried_frames_are_told_apart_from_noisy_ones(network, noisy, full):
    clean = torch.zeros(BATCH, FRAMES, dtype=torch.bool)
    marked = changed(clean, (0, slice(0, 3)), True)
    difference = moved(run(network, noisy, full, clean=clean), run(network, noisy, full, clean=marked))
    assert difference[0] > 1e-3 and difference[1] < 1e-9
    other = changed(noisy, (0, 1), noisy[0, 1] + 1)
    new = run(network, other, full, clean=marked) - run(network, noisy, full, clean=marked)
    assert new[0, 3:].abs().amax(-1).min() > 1e-6, "a carried frame does not reach the new ones"


def test_timestep_matters(network, noisy, full):
    a = network(noisy, torch.tensor([400, 400]), full)
    b = network(noisy, torch.tensor([401, 400]), full)
    assert moved(a, b)[0] > 1e-4 and moved(a, b)[1] < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_a_dropped_condition_is_an_absent_one(network, noisy, full, name):
    absent = run(network, noisy, dataclasses.replace(full, **{name: None}))
    given = run(network, noisy, full)
    dropped = run(network, noisy, full.dropped(**{name: torch.tensor([False, True])}))
    torch.testing.assert_close(dropped[0], absent[0], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(dropped[1], given[1], atol=1e-9, rtol=1e-9)
    assert moved(given, absent).min() > 1e-3


def test_one_hands_speed_may_be_free(network, noisy, full):
    free = run(network, noisy, dataclasses.replace(full, speed=changed(full.speed, (slice(None), 0), -1.0)))
    none = run(network, noisy, dataclasses.replace(full, speed=torch.full((2, 2), -1.0)))
    absent = run(network, noisy, dataclasses.replace(full, speed=None))
    torch.testing.assert_close(none, absent)
    assert moved(free, absent).min() > 1e-3 and moved(free, run(network, noisy, full)).min() > 1e-3


def test_the_unconditional_branch_sees_none_of_them(network, noisy, full):
    """In guidance the second half of the batch is the same whatever is given, and equal to no conditions at all."""
    twice = torch.cat([noisy, noisy])
    guided = run(network, twice, full.guided())
    torch.testing.assert_close(guided[:BATCH], run(network, noisy, full), atol=1e-9, rtol=1e-9)
    nothing = run(network, noisy, Conditions())
    torch.testing.assert_close(guided[BATCH:], nothing, atol=1e-9, rtol=1e-9)
    g = torch.Generator().manual_seed(9)
    other = Conditions(
        audio=torch.randn(full.audio.shape, generator=g),
        style=torch.tensor([1, 0]),
        speed=torch.rand((2, 2), generator=g),
        image=torch.randn(2, 6, generator=g),
        mask=torch.zeros(BATCH, FRAMES, 2, dtype=torch.bool),
        offset=torch.randn(BATCH, FRAMES, 7, generator=g),
    )
    torch.testing.assert_close(run(network, twice, other.guided())[BATCH:], guided[BATCH:], atol=1e-9, rtol=1e-9)


def test_guidance_of_a_dropped_batch_keeps_what_was_dropped(network, noisy, full):
    dropped = full.dropped(audio=torch.tensor([False, True]))
    guided = run(network, torch.cat([noisy, noisy]), dropped.guided())
    torch.testing.assert_close(guided[:BATCH], run(network, noisy, dropped), atol=1e-9, rtol=1e-9)
    both = dropped.dropped(audio=torch.tensor([True, False]))
    assert not both.where("audio").any()
    with pytest.raises(ValueError, match="voice"):
        full.dropped(voice=torch.tensor([True, False]))


def test_a_network_without_image_condition_has_no_parameters_for_it():
    model = MotionTransformer(dataclasses.replace(CONFIG, image_width=0))
    assert not [name for name, _ in model.named_parameters() if "image" in name]
    assert torch.isfinite(model(torch.randn(1, 4, 170), torch.tensor([5]))).all()
