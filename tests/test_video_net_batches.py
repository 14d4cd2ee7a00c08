"""Rows of a batch may lack conditions (guidance in one batch, training with drops); what is prepared stays equal."""

import logging
from dataclasses import replace

import pytest
import torch
from emo2.models.video.condition_batch import NAMES, ConditionBatch, FrameTokens
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel
from hypothesis import given
from hypothesis import strategies as st

CONFIG = replace(VideoConfig.tiny(), face_control=16, face_identity=8)
FRAMES, HEIGHT, WIDTH = 4, 64, 48
LATENTS = (CONFIG.latent_channels, HEIGHT // 8, WIDTH // 8)
TIME = 300


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model() -> VideoModel:
    """Random weights everywhere."""
    model = VideoModel(CONFIG).eval().requires_grad_(False)
    for place, parameter in enumerate(model.parameters()):
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3
        parameter.copy_(draw(*parameter.shape, seed=place) * scale)
    return model


def everything(model: VideoModel, seed: int = 0, rows: int = 1) -> dict:
    """All conditions of `rows` clips."""
    windows = (rows, FRAMES, CONFIG.audio_window, CONFIG.audio_layers, CONFIG.audio_dim)
    return {
        "reference": model.encode_reference(draw(rows, *LATENTS, seed=seed)),
        "motion_frames": model.encode_motion_frames(draw(rows, LATENTS[0], 3, *LATENTS[1:], seed=seed + 1)),
        "audio": model.encode_audio(draw(*windows, seed=seed + 2), 0.8),
        "pose": model.encode_maps(draw(rows, 6, FRAMES, HEIGHT, WIDTH, seed=seed + 3).sigmoid()),
        "face": model.encode_face(
            draw(rows, FRAMES, 8, seed=seed + 4).softmax(-1),
            draw(rows, FRAMES, seed=seed + 5).sigmoid(),
            draw(rows, 8, seed=seed + 6),
            frames=FRAMES,
            rows=rows,
        ),
        "reference_strength": 0.7,
    }


def noise(rows: int = 1, seed: int = 40) -> torch.Tensor:
    return draw(rows, LATENTS[0], FRAMES, *LATENTS[1:], seed=seed)


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("prepared", [False, True])
def test_guidance_in_one_batch_equals_two_passes(model, prepared):
    given_ = everything(model)
    conditions = model.prepare(**given_) if prepared else ConditionBatch(1, **given_)
    noisy = noise()
    both = model(noisy.repeat(2, 1, 1, 1, 1), TIME, conditions=conditions.with_unconditional())
    close(both[:1], model(noisy, TIME))
    close(both[1:], model(noisy, TIME, **given_))
    assert not torch.allclose(both[0], both[1], atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_the_unconditional_row_sees_no_condition(model, name):
    """Whatever the condition is, the first row is the same number for number."""
    noisy = noise().repeat(2, 1, 1, 1, 1)
    first, second = everything(model, 0), everything(model, 50)
    batches = [ConditionBatch(1, **(first | {name: value})) for value in (first[name], second[name])]
    before, after = (model(noisy, TIME, conditions=batch.with_unconditional()) for batch in batches)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


@pytest.mark.parametrize("rows", [1, 2])
def test_prepared_keys_and_values_equal_the_features(model, rows):
    given_ = everything(model, rows=rows)
    noisy = noise(rows)
    close(model(noisy, TIME, conditions=model.prepare(rows=rows, **given_)), model(noisy, TIME, **given_))


def test_what_is_prepared_is_not_computed_again(model, monkeypatch):
    conditions = model.prepare(**everything(model))
    again = model.prepare(**{name: getattr(conditions, name) for name in NAMES})
    assert again.audio is conditions.audio and again.face is conditions.face
    kept = {id(pair) for pair in conditions.reference.values()}
    assert all(id(pair) in kept for pair in again.reference.values())

    calls = []
    for module in [model.reference_net.conv_in, model.audio_projection, model.guider]:
        module.register_forward_hook(lambda *_: calls.append(1))
    for block in model.backbone.spatial().values():
        monkeypatch.setattr(block.attn2.to_k, "forward", lambda *_: calls.append(1))
    model(noise(), TIME, conditions=conditions)
    assert not calls


@pytest.mark.parametrize("name", NAMES)
def test_a_condition_dropped_from_one_row_is_absent_there_and_nowhere_else(model, name):
    """A batch of three, as in training; the middle row loses one condition."""
    given_ = everything(model, rows=3)
    conditions = ConditionBatch(3, **given_).keep(**{name: (True, False, True)})
    noisy = noise(3)
    out = model(noisy, TIME, conditions=conditions)
    whole = model(noisy, TIME, **given_)
    lacking = model(noisy, TIME, **(given_ | {name: None}))
    close(out[[0, 2]], whole[[0, 2]])
    close(out[1], lacking[1])
    assert not torch.allclose(out[1], whole[1], atol=1e-4)


def test_rows_know_nothing_of_each_other_and_have_their_own_times(model):
    given_ = everything(model, rows=2)
    noisy = noise(2)
    out = model(noisy, torch.tensor([100, 900]), **given_)
    for row, time in enumerate((100, 900)):
        mine = [row == place for place in range(2)]
        alone = ConditionBatch(2, **given_).keep(**dict.fromkeys(NAMES, mine))
        close(out[row], model(noisy[[row]], time, conditions=ConditionBatch(1, **_values(alone))).squeeze(0))
    assert not torch.allclose(out, model(noisy, 100, **given_), atol=1e-3)


def _values(batch: ConditionBatch) -> dict:
    return {name: getattr(batch, name) for name in (*NAMES, "reference_strength")}


def test_dropping_from_all_rows_is_absence(model):
    conditions = ConditionBatch(2, **everything(model, rows=2)).keep(**dict.fromkeys(NAMES, (False, False)))
    assert all(getattr(conditions, name) is None for name in NAMES)
    assert torch.equal(model(noise(2), TIME, conditions=conditions), model(noise(2), TIME))
    assert conditions.null() == ConditionBatch(rows=2)


def test_dropping_twice_takes_the_right_rows():
    pose = torch.arange(4.0)[:, None, None, None, None]
    once = ConditionBatch(4, pose=pose).keep(pose=(True, False, True, True))
    twice = once.keep(pose=(True, True, False, True))
    assert twice.mask("pose") == (True, False, False, True)
    assert twice.pose.flatten().tolist() == [0, 3]


def test_windows_take_the_frames_they_name(model):
    given_ = everything(model)
    index = [3, 0, 1]
    whole = model.prepare(**given_)
    part = whole.at_frames(index)
    assert torch.equal(part.pose, given_["pose"][:, :, index])
    for name, pair in part.audio.keys_values.items():
        assert all(torch.equal(a, b[:, index]) for a, b in zip(pair, whole.audio.keys_values[name]))
    assert part.audio.frames == 3 and part.reference is whole.reference
    model(noise()[:, :, index], TIME, conditions=part)


def test_conditions_move_and_convert(model):
    conditions = model.prepare(**everything(model)).to(torch.float64)
    assert conditions.pose.dtype == conditions.audio.tokens.dtype == torch.float64
    pairs = [*conditions.reference.values(), *conditions.audio.keys_values.values()]
    pairs += [pair for pairs_ in conditions.motion_frames.values() for pair in pairs_]
    assert {tensor.dtype for pair in pairs for tensor in pair} == {torch.float64}


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.booleans())
def test_runs_hand_every_row_its_own_values(mask, shared):
    """Row r of a batch with some rows lacking sound gets the values that were given for it, or the one for all."""
    had = [row for row, there in enumerate(mask) if there]
    values = torch.zeros(1, 1) if shared else torch.tensor(had, dtype=torch.float32)[:, None]
    batch = ConditionBatch(len(mask), audio=FrameTokens(values), present={"audio": tuple(mask)})
    seen = []
    for run in batch.runs("audio"):
        rows = list(range(run.start, run.stop))
        assert len({mask[row] for row in rows}) == 1 and (run.first is not None) == mask[run.start]
        seen += rows
        if run.first is not None:
            assert run.take(values).flatten().tolist() == ([0] * len(rows) if shared else rows)
    assert seen == list(range(len(mask)))


def test_diffusers_says_nothing(model):
    """Processors that do not know an argument make diffusers warn at every call."""
    records: list = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("diffusers")
    logger.addHandler(handler)
    try:
        model(noise(), TIME, **everything(model))
    finally:
        logger.removeHandler(handler)
    assert not records
