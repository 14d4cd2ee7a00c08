"""Refocusing: accents enlarge, silence calms, hands stay in reach and in the picture, amount 0 changes nothing."""

import numpy as np
import pytest
from emo2 import NODE_CLASS_MAPPINGS
from emo2.evaluation.bootstrap import bootstrap, paired_difference
from emo2.evaluation.motion import (
    diversity,
    hand_points,
    hand_speed,
    jerk,
    motion_in_silence,
    pauses,
    speed_intensity,
)
from emo2.models.audio import intensity
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import from_axis_angle, multiply, normalise
from emo2.models.motion.refocus import REACH, emphasis, refocus
from emo2.models.pose.body import SHOULDERS, WRISTS, arm_keypoints, body_joints
from emo2.models.types import FRAME_FIELDS, AudioFeatures, Framing
from hypothesis import given, settings
from hypothesis import strategies as st
from puppet_cases import still_motion

FPS = 25.0
SAME = tuple(name for name in FRAME_FIELDS if name not in ("rotations", "translations", "keypoints", "pose_strength"))


def swinging(count=250, reach=0.06, seconds=0.8, framing=None, wrists=None):
    """Both hands swing evenly, left and right against each other, wrists turning along; arms in the picture."""
    motion = still_motion(count, framing or Framing((0.5, 0.35), 0.3, (704, 512)), wrists)
    swing = np.sin(2 * np.pi * np.arange(count) / FPS / seconds)
    translations = motion.translations.astype(np.float64)
    translations[:, 0, 1] += reach * swing
    translations[:, 1, 0] -= reach * swing
    turn = from_axis_angle(0.4 * swing[:, None] * np.array([0.0, 0.0, 1.0]))
    rotations = motion.rotations.astype(np.float64)
    rotations[:, :, 0] = normalise(multiply(turn[:, None], rotations[:, :, 0]))
    moved = motion.replace(translations=translations, rotations=rotations)
    points, scores = arm_keypoints(moved.framing, moved.wrists())
    return moved.replace(keypoints=points, keypoint_scores=scores)


def bursts(count=250, at=(3.0, 6.0), width=0.8):
    """Ordinary speech with two strong accents, two weak stretches, and silence from 8 s on."""
    time = (np.arange(count) + 0.5) / FPS
    curve = np.where(time < 8, 0.3, 0.0)
    for second, more in [*((second, 0.6) for second in at), (4.5, -0.25), (7.2, -0.25)]:
        curve += more * np.exp(-0.5 * ((time - second) / (width / 2.355)) ** 2) * (time < 8)
    return np.clip(curve, 0, 1)


def size_near(motion, second, width=0.5):
    """How far the hands are from their place within a stretch, root mean square in metres."""
    time = (np.arange(len(motion)) + 0.5) / FPS
    near = np.abs(time - second) < width
    away = motion.translations - still_motion(1).translations
    return float(np.sqrt(np.mean(np.sum(away[near].astype(np.float64) ** 2, -1))))


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_amount_0_is_the_same_motion_bit_for_bit(seed, count):
    motion = swinging(count)
    result = refocus(motion, np.random.default_rng(seed).uniform(0, 1, count), 0.0)
    for name in FRAME_FIELDS:
        np.testing.assert_array_equal(getattr(result, name), getattr(motion, name))


def test_accents_enlarge_and_silence_calms():
    motion = swinging()
    result = refocus(motion, bursts())
    for second in (3.0, 6.0):
        assert size_near(result, second) > 1.4 * size_near(motion, second)
    assert size_near(result, 9.3) < 0.45 * size_near(motion, 9.3)
    assert 0.8 < size_near(result, 1.0) / size_near(motion, 1.0) < 1.3, "ordinary speech stays nearly as it is"
    for name in SAME:
        np.testing.assert_array_equal(getattr(result, name), getattr(motion, name))


@pytest.mark.parametrize("amount", [0.3, 1.0, 2.0])
def test_more_amount_does_more(amount):
    less, more = (refocus(swinging(), bursts(), amount * share) for share in (0.5, 1.0))
    assert size_near(more, 3.0) > size_near(less, 3.0)
    assert size_near(more, 9.3) < size_near(less, 9.3)


def test_without_lead_it_is_symmetric_in_time():
    motion, curve = swinging(), bursts()
    back = motion.replace(**{name: getattr(motion, name)[::-1] for name in FRAME_FIELDS})
    there = refocus(motion, curve, lead_seconds=0.0)
    mirrored = refocus(back, curve[::-1], lead_seconds=0.0)
    np.testing.assert_allclose(mirrored.translations[::-1], there.translations, atol=1e-6)
    gain = emphasis(curve, FPS, lead_seconds=0.0)[0]
    for second in (3.0, 6.0):
        around = np.arange(int((second - 0.4) * FPS), int((second + 0.4) * FPS) + 1)
        centre = np.average((around + 0.5) / FPS, weights=gain[around] - gain[around].min())
        assert abs(centre - second) < 0.02


def test_lead_comes_before_the_voice():
    at = [int(np.argmax(emphasis(bursts(at=(3.0,)), FPS, lead_seconds=lead)[0][:150])) for lead in (0.0, 0.2)]
    assert at[0] - at[1] == 5


@settings(max_examples=20)
@given(st.floats(1.0, 1.6), st.floats(0.0, 0.15))
def test_it_is_relative_to_the_voice_itself(scale, offset):
    """Emphasis does not change with a livelier or a fuller voice."""
    curve = 0.3 + 0.2 * np.sin(np.arange(200) / 12)
    np.testing.assert_allclose(emphasis(curve * scale + offset, FPS)[0], emphasis(curve, FPS)[0], atol=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80))
def test_emphasis_has_its_range(seed, count):
    stress, said = emphasis(np.random.default_rng(seed).uniform(0, 1, count), FPS)
    assert stress.shape == said.shape == (count,)
    assert np.abs(stress).max() <= 1 and said.min() >= 0 and said.max() <= 1


def test_no_speech_at_all_calms_everything():
    motion = swinging()
    result = refocus(motion, np.zeros(len(motion)))
    assert size_near(result, 5.0, 4.0) < 0.4 * size_near(motion, 5.0, 4.0)


def test_one_hand_alone():
    motion = swinging()
    result = refocus(motion, bursts(), hands="left")
    np.testing.assert_array_equal(result.translations[:, 1], motion.translations[:, 1])
    np.testing.assert_array_equal(result.rotations[:, 1], motion.rotations[:, 1])
    assert not np.array_equal(result.translations[:, 0], motion.translations[:, 0])


def test_arms_of_the_body_points_follow():
    motion = swinging()
    result = refocus(motion, bursts())
    np.testing.assert_allclose(
        result.keypoints[:, list(WRISTS)], result.framing.project(result.wrists()).astype(np.float32), atol=1e-5
    )
    others = [i for i in range(18) if i not in (3, 4, 6, 7)]
    np.testing.assert_array_equal(result.keypoints[:, others], motion.keypoints[:, others])


@pytest.mark.parametrize("place", [(0.35, 0.42, -0.12), (0.36, 0.16, -0.3)], ids=["low", "wide"])
def test_wrists_stay_in_reach_and_hands_in_the_picture(place):
    wrists = np.array([place, place]) * [[1, 1, 1], [-1, 1, 1]]
    motion = swinging(reach=0.12, framing=Framing((0.5, 0.3), 0.4, (704, 512)), wrists=wrists)
    result = refocus(motion, bursts(), 2.0)
    stretch = [
        np.linalg.norm(m.wrists() - body_joints(m.framing, m.wrists())[:, SHOULDERS], axis=-1) for m in (motion, result)
    ]
    assert (stretch[1] <= np.maximum(stretch[0], REACH) + 1e-4).all()
    placed = [m.framing.project(hand_points(m) + m.framing.root()) for m in (motion, result)]
    inside = [((p >= -0.003) & (p <= 1.003)).all(-1) for p in placed]
    was = ((placed[0] >= 0) & (placed[0] <= 1)).all(-1)
    assert not was.all() or stretch[0].max() > REACH - 0.08, "the case must press against a limit"
    assert (inside[1] | ~was).all()


def test_changing_gain_does_not_make_it_tremble():
    motion = swinging()
    before, after = jerk(hand_points(motion), FPS), jerk(hand_points(refocus(motion, bursts())), FPS)
    assert after < 1.5 * before


def test_hidden_frames_do_not_pull_the_rest_pose():
    motion = swinging()
    translations, visible = motion.translations.copy(), motion.visible.copy()
    translations[100:110, 0] += 3.0
    visible[100:110, 0] = False
    result = refocus(motion.replace(translations=translations, visible=visible), bursts())
    seen = np.r_[0:100, 110:250]
    whole = refocus(motion, bursts())
    assert np.abs(result.translations[seen] - whole.translations[seen]).max() < 0.05


def test_pose_strength_follows_the_voice():
    motion = swinging().replace(pose_strength=np.full(250, 0.8))
    result = refocus(motion, bursts(), 0.0, strength_amount=0.5)
    assert result.pose_strength[75] > 0.7 and result.pose_strength[235] < 0.5
    assert result.pose_strength.max() <= 0.8
    np.testing.assert_array_equal(result.translations, motion.translations)
    assert refocus(motion, bursts()).pose_strength.tolist() == motion.pose_strength.tolist()


@pytest.mark.parametrize(
    "name, values",
    [
        ("amount", {"amount": 3.0}), ("amount", {"amount": float("nan")}), ("calm", {"calm": 1.0}),
        ("hands", {"hands": "none"}), ("smooth_seconds", {"smooth_seconds": -1}), ("lead_seconds", {"lead_seconds": 5}),
        ("strength_amount", {"strength_amount": 2}), ("intensity", {"intensity": np.zeros(3)}),
        ("intensity", {"intensity": np.full(250, np.nan)}),
    ],
)  # fmt: skip
def test_wrong_values_are_named(name, values):
    with pytest.raises(EMO2Error, match=name):
        refocus(swinging(), **{"intensity": bursts(), **values})


def test_one_frame():
    motion = swinging(1)
    result = refocus(motion, np.ones(1))
    np.testing.assert_allclose(result.translations, motion.translations, atol=1e-6)


def features(curve):
    return AudioFeatures(np.zeros((len(curve), 1, 1), np.float16), curve, len(curve) / 50, intensity=curve)


def call(**values):
    cls = NODE_CLASS_MAPPINGS["EMO2RefocusMotion"]
    required = cls.INPUT_TYPES()["required"]
    defaults = {name: spec[1]["default"] for name, spec in required.items() if "default" in spec[1]}
    return cls().edit(**{**defaults, **values})[0]


def test_the_node_reads_the_voice_at_the_motion_s_frames():
    motion = swinging(100)
    fine = np.repeat(bursts(), 2).astype(np.float32)
    heard = features(fine)
    result = call(motion=motion, audio_features=heard, start_second=2.0)
    expected = refocus(motion, heard.intensity_at(FPS, 50, 100))
    np.testing.assert_array_equal(result.translations, expected.translations)
    with pytest.raises(EMO2Error, match="start_second"):
        call(motion=motion, audio_features=heard, start_second=60.0)


def test_the_level_of_the_recording_does_not_matter():
    time = np.arange(8 * 16000) / 16000
    voice = np.random.default_rng(0).normal(size=len(time)) * 0.05 * 10 ** (np.sin(2 * np.pi * time / 1.3) - 1)
    motion = swinging(200)
    results = []
    for gain in (0.1, 1.0, 10.0):
        curve = intensity((voice * gain).astype(np.float32))
        results.append(refocus(motion, features(curve).intensity_at(FPS, 0, 200)).translations)
    np.testing.assert_allclose(results[0], results[1], atol=1e-4)
    np.testing.assert_allclose(results[2], results[1], atol=1e-4)


@pytest.fixture(scope="module")
def spoken():
    """(motion, intensity) of stage 1 on eight held-out voices of the puppet world, with the shipped weights."""
    from pathlib import Path

    import torch
    from emo2.evaluation.tiny.bench import Scene
    from emo2.evaluation.tiny.networks import Networks
    from emo2.models.motion import sample_motion

    networks = Networks([Path(__file__).resolve().parents[1] / "weights"])
    if networks.untrained("motion", "audio") or networks.lacking("motion", "audio"):
        pytest.skip("the pack's motion weights are not trained here")
    clips, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)  # for networks this small more of them only wait for each other
    for number in range(8):
        scene = Scene(8_100_000 + number, 200, "speaking")
        heard = networks.features(scene.waveform)
        motion = sample_motion(
            networks.motion, heard, seed=number, steps=12, cfg=2.5, style="speaking", framing=scene.puppet.framing
        )
        clips.append((motion, heard.intensity_at(motion.fps, 0, len(motion))))
    torch.set_num_threads(threads)
    return clips


def measured(motion, curve):
    points = hand_points(motion)
    speed = hand_speed(points, motion.fps)
    correlations = [speed_intensity(speed, curve, lag) for lag in (0, -3)]
    return [*correlations, motion_in_silence(speed, pauses(curve, motion.fps)), diversity(points)]


def test_speed_follows_the_voice_on_held_out_speech_and_only_its_own(spoken):
    before = np.array([measured(m, c) for m, c in spoken])
    after = np.array([measured(refocus(m, c), c) for m, c in spoken])
    others = [spoken[(i + 3) % len(spoken)][1] for i in range(len(spoken))]
    wrong = np.array([measured(refocus(m, o), c) for (m, c), o in zip(spoken, others)])
    for lag in (0, 1):
        rise, control = (paired_difference(a[:, lag], before[:, lag]) for a in (after, wrong))
        assert rise.value >= 0.15 and rise.low > 0.1
        assert control.value < 0.1 and control.high < rise.low
    silence = after[:, 2] / before[:, 2]
    assert bootstrap(silence).value <= 0.5
    assert after[:, 3].mean() >= before[:, 3].mean(), "DIV does not fall"
