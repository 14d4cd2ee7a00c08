"""Sampling on a real network at a small size: continuity, ranges, strengths, seeds, guidance, cancel."""

import numpy as np
import pytest
import torch
import video_run_cases as cases
from emo2.models.errors import EMO2Error
from emo2.models.video.clips import frame_noise
from emo2.models.video.condition_batch import ConditionBatch
from emo2.models.video.conditions import Conditions, Settings
from emo2.models.video.sampler import Compute, sample_clips, sample_video
from emo2.models.video.windows import WindowOptions
from video_run_cases import CONFIG, LATENTS, one_thread  # noqa: F401

QUICK = Settings(seed=1, steps=2, cfg=1.0)
FRAMES = 15  # two whole clips of 6 and a short one of 3


@pytest.fixture(scope="module")
def model():
    return cases.network()


@pytest.fixture(scope="module")
def known(model):
    return cases.conditions(model, FRAMES)


@pytest.fixture(scope="module")
def whole(model, known):
    return sample_video(model, known, QUICK, count=FRAMES)


def change(known: Conditions, **changes) -> Conditions:
    values = {name: getattr(known, name) for name in ("reference", "motion", "audio", "hands")} | changes
    return Conditions(CONFIG, **values)


def far(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one - other).abs().max().item()


def test_clips_are_the_video_in_pieces(model, known, whole):
    clips = list(sample_clips(model, known, QUICK, count=FRAMES))
    assert [(clip.index, clip.start, len(clip.latents)) for clip in clips] == [(0, 0, 6), (1, 6, 6), (2, 12, 3)]
    assert torch.equal(torch.cat([clip.latents for clip in clips]), whole)
    assert whole.shape == (FRAMES, *LATENTS)
    made = torch.cat([clip.latents for clip in clips[:2]])
    assert torch.equal(clips[1].carried, made[-3:]), "the next clip continues from the last frames made"


@pytest.mark.parametrize("count", [1, 5, 6, 7, 12, 13])
def test_a_frame_does_not_depend_on_where_the_video_ends(model, known, whole, count):
    assert torch.equal(sample_video(model, known, QUICK, count=count), whole[:count])


def test_each_clip_continues_from_the_latents_before_it(model, known, whole):
    """Given the first clip's latents, frames from 6 on come out the same; given others, or none, they do not."""
    rest = sample_video(model, known, QUICK, start=6, count=9, previous=whole[:6])
    assert torch.equal(rest, whole[6:])
    assert torch.equal(sample_video(model, known, QUICK, start=6, count=9, previous=whole[3:6]), whole[6:])
    assert far(sample_video(model, known, QUICK, start=6, count=6), whole[6:12]) > 1e-3
    other = sample_video(model, known, QUICK, start=6, count=6, previous=whole[:6] + 0.5)
    assert far(other, whole[6:12]) > 1e-3


def test_skipped_clips_are_not_made_again(model, known, whole):
    steps = []
    clips = list(
        sample_clips(
            model, known, QUICK, count=FRAMES, skip=2, previous=whole[9:12], on_step=lambda *a: steps.append(a[:2])
        )
    )
    assert [clip.index for clip in clips] == [2] and torch.equal(clips[0].latents, whole[12:])
    assert steps == [(5, 6), (6, 6)], "progress goes on where it was"


def test_sound_and_motion_of_a_range_come_from_its_place(model):
    """Frames 6..11 of a video equal frames 0..5 of one whose sound and motion begin there, but for the noise."""
    noiseless = Settings(seed=1, steps=1, cfg=1.0)
    long = cases.conditions(model, 24)
    late = change(long, motion=long.motion.frames(6, 24))
    late.audio_windows = lambda frames: Conditions.audio_windows(long, frames + 6)
    seen = {}
    for name, known, start in (("range", long, 6), ("cut", late, 0)):
        maps, confidence = known.maps(np.arange(start, start + 6))
        seen[name] = (maps, confidence, known.audio_windows(np.arange(start, start + 6)))
    assert all(torch.equal(a, b) for a, b in zip(seen["range"], seen["cut"]))
    assert (
        far(sample_video(model, long, noiseless, start=6, count=6), sample_video(model, long, noiseless, count=6))
        > 1e-3
    )


def test_maps_do_not_depend_on_the_order_in_which_they_are_asked_for(known):
    fresh = change(known)
    frames = np.array([13, 14, 0, 1, 2])
    wrapped, confidence = fresh.maps(frames)
    for place, frame in enumerate(frames):
        single, trust = change(known).maps(np.array([frame]))
        assert torch.equal(wrapped[:, :, place], single[:, :, 0]) and torch.equal(confidence[:, place], trust[:, 0])
    assert wrapped.shape == (1, 6, 5, *CONFIG.size) and wrapped.max() <= 1 and wrapped[:, :3].max() > 0.3


def test_motion_holds_its_last_pose_and_hidden_hands_have_no_confidence(known):
    maps, confidence = known.maps(np.array([FRAMES - 1, FRAMES, FRAMES + 7]))
    assert torch.equal(maps[:, :, 0], maps[:, :, 1]) and torch.equal(maps[:, :, 0], maps[:, :, 2])
    hidden = change(known, motion=known.motion.replace(visible=np.tile([True, False], (FRAMES, 1))))
    assert (hidden.maps(np.arange(3))[1][..., 1] == 0).all() and (confidence > 0).all()


@pytest.mark.parametrize("name", ["reference", "audio", "motion"])
def test_strength_zero_is_the_same_as_nothing(model, known, whole, name):
    strength = {"motion": "pose"}.get(name, name) + "_strength"
    without = sample_video(model, change(known, **{name: None}), QUICK, count=8)
    zero = sample_video(model, known, Settings(seed=1, steps=2, cfg=1.0, **{strength: 0.0}), count=8)
    half = sample_video(model, known, Settings(seed=1, steps=2, cfg=1.0, **{strength: 0.5}), count=8)
    assert torch.equal(zero, without)
    assert far(without, whole[:8]) > 1e-3 and far(half, whole[:8]) > 1e-3 and far(half, without) > 1e-3


def test_no_condition_at_all_still_paints(model):
    assert sample_video(model, Conditions(CONFIG), QUICK, count=3).isfinite().all()


def test_the_seed_decides(model, known, whole):
    assert torch.equal(sample_video(model, known, QUICK, count=FRAMES), whole)
    other = sample_video(model, known, Settings(seed=2, steps=2, cfg=1.0), count=6)
    assert far(other, whole[:6]) > 1e-2
    torch.manual_seed(99)
    again = sample_video(model, known, Settings(seed=1, steps=3, cfg=1.0, scheduler="lcm"), count=8)
    torch.manual_seed(1)
    assert torch.equal(again, sample_video(model, known, Settings(seed=1, steps=3, cfg=1.0, scheduler="lcm"), count=8))


def test_one_step_of_guidance_is_the_formula(model, known):
    """At the first of one DDIM step from pure noise (zero terminal SNR) the clean latents are -v of the guided v."""
    noise = frame_noise(1, 0, 6, LATENTS).transpose(0, 1)[None]
    bare = Conditions(CONFIG, reference=known.reference)
    with torch.no_grad():
        told = model(noise, torch.tensor(999), reference=known.reference.features)
        without = model(noise, torch.tensor(999))
    expected = -(without + 3.0 * (told - without))[0].transpose(0, 1) / CONFIG.latent_scale
    made = sample_video(model, bare, Settings(seed=1, steps=1, cfg=3.0), count=6)
    assert torch.allclose(made, expected, atol=2e-4)


def test_guidance_in_one_batch_equals_two_passes(model, known):
    settings = Settings(seed=1, steps=2, cfg=2.5)
    two = sample_video(model, known, settings, count=8)
    one = sample_video(model, known, settings, count=8, compute=Compute(fits=lambda: 2))
    assert torch.allclose(one, two, atol=1e-4) and far(two, sample_video(model, known, QUICK, count=8)) > 1e-3


class Counting(torch.nn.Module):
    """The network, with a count of what is called."""

    def __init__(self, model):
        super().__init__()
        self.model, self.calls = model, []

    def __getattr__(self, name):
        if name in ("encode_reference", "encode_audio", "encode_maps", "encode_motion_frames", "prepare"):
            self.calls.append(name)
            return getattr(super().__getattr__("model"), name)
        return super().__getattr__(name)

    def forward(self, *args, **kwargs):
        self.calls.append("told" if kwargs["conditions"].reference is not None else "without")
        return self.model(*args, **kwargs)


@pytest.mark.parametrize("cfg, passes", [(1.0, {"told": 8, "without": 0}), (2.0, {"told": 8, "without": 8})])
def test_what_does_not_change_is_computed_once_a_clip(model, known, cfg, passes):
    counting = Counting(model)
    sample_video(counting, known, Settings(steps=4, cfg=cfg), count=12)
    expected = {"encode_reference": 0, "encode_audio": 2, "encode_maps": 2, "encode_motion_frames": 1, **passes}
    assert {name: counting.calls.count(name) for name in expected} == expected


class Cancelled(BaseException):
    """As ComfyUI's: no Exception."""


@pytest.mark.parametrize("when", [1, 3, 5])
def test_cancel_takes_effect_within_one_step(model, known, when):
    """`check` raises at its `when`-th call: no further pass of the network runs, whichever half of guidance is next."""
    counting, asked = Counting(model), []

    def check():
        asked.append(len(counting.calls))
        if len(asked) == when:
            raise Cancelled

    with pytest.raises(Cancelled):
        sample_video(counting, known, Settings(steps=4, cfg=2.0), count=12, compute=Compute(check=check))
    assert len(counting.calls) == asked[-1]
    assert sum(call in ("told", "without") for call in counting.calls) == max(0, when - 2)


def test_what_on_step_raises_ends_the_sampling(model, known):
    counting = Counting(model)

    def stop(done, total, preview):
        assert total == 8
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        sample_video(counting, known, Settings(steps=4, cfg=1.0), count=12, on_step=stop)
    assert counting.calls.count("told") == 2


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++", "lcm", "euler"])
def test_previews_come_closer_and_end_at_the_result(model, known, scheduler):
    seen = []
    settings = Settings(seed=1, steps=4, cfg=1.0, scheduler=scheduler)
    made = sample_video(model, known, settings, count=6, on_step=lambda d, t, preview: seen.append(preview()))
    assert [len(latents) for latents in seen] == [6] * 4
    assert far(seen[-1], made) < 0.05 * made.abs().max() + 0.05
    assert far(seen[0], made) > far(seen[-1], made)


def test_a_network_that_overflows_is_an_error_not_a_black_video(model, known):
    class Broken(Counting):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs) * float("inf")

    with pytest.raises(EMO2Error, match="NaN or infinity"):
        sample_video(Broken(model), known, QUICK, count=3)


def test_previous_latents_of_another_model_are_refused(model, known):
    with pytest.raises(EMO2Error, match="previous"):
        sample_video(model, known, QUICK, start=6, count=3, previous=torch.zeros(4, 4, 16, 16))


def test_a_single_window_is_a_clip_without_motion_frames(model, known, whole):
    made = sample_video(model, known, QUICK, count=6, windows=WindowOptions(6, 2))
    assert torch.equal(made, whole[:6])


@pytest.mark.parametrize("closed, weights", [(True, "uniform"), (False, "uniform"), (True, "pyramid")])
def test_windows_average_what_overlaps(closed, weights, known):
    """With a network whose prediction is the frame's place in its window, the average is known for every frame."""

    class Places(torch.nn.Module):
        def encode_audio(self, *args, **kwargs): ...
        def encode_maps(self, *args, **kwargs): ...
        def prepare(self, **kwargs):
            return ConditionBatch()

        def forward(self, noisy, timestep, conditions):
            return torch.arange(noisy.shape[2]).float()[:, None, None].expand_as(noisy)

    made = sample_video(
        Places(), known, Settings(steps=1, cfg=1.0), count=10, windows=WindowOptions(6, 2, closed, 0, weights)
    )
    starts = [0, 4, 8] if closed else [0, 4]
    total, weight = np.zeros(10), np.zeros(10)
    for start in starts:
        for place in range(6):
            share = min(place + 1, 6 - place) if weights == "pyramid" else 1
            total[(start + place) % 10] += share * place
            weight[(start + place) % 10] += share
    expected = -total / weight / CONFIG.latent_scale
    assert np.allclose(made[:, 0, 0, 0].numpy(), expected, atol=0.02)


def test_windows_longer_than_the_position_table_are_refused(model, known):
    with pytest.raises(EMO2Error, match="at most 6 frames"):
        sample_video(model, known, QUICK, count=8, windows=WindowOptions(7, 2))


def test_keypoints_are_steadied_clip_by_clip_as_in_the_whole():
    """The maps of any stretch of frames are those of the whole motion after its median filter."""
    from dataclasses import replace

    from emo2.models.video.guidance import guidance_maps, steadied

    rng = np.random.default_rng(0)
    shaken = cases.motion(14)
    points = rng.uniform(0.2, 0.8, (14, 18, 2)).astype(np.float32)
    shaken = shaken.replace(keypoints=points, keypoint_scores=rng.random((14, 18)).astype(np.float32).round())
    known = cases.conditions(cases.network(), 14)
    known = replace(known, config=replace(cases.CONFIG, keypoint_median=5), motion=shaken)
    whole = guidance_maps(steadied(shaken, 5), known.hands, known.config)
    for frames in (np.arange(14), np.arange(3), np.array([5, 6, 7, 12, 13]), np.array([13])):
        maps = (known.maps(frames)[0][0] * 255).round().byte().permute(1, 2, 3, 0).numpy()
        assert np.array_equal(maps, whole[frames])
    assert not np.array_equal(whole, guidance_maps(shaken, known.hands, known.config))
