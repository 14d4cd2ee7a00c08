"""How strongly a motion leads in each frame: kept by edits and files, unknown to files of before, bounded."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.motion import edit
from emo2.models.motion.files import load_motion, save_motion
from emo2.models.types import STRONGEST
from emo2.models.video.conditions import Conditions, prepare, without_lips
from emo2.models.video.config import VideoConfig
from motion_cases import gestures


def with_strength(count=20):
    return gestures(3, count).replace(pose_strength=np.linspace(0, 2, count))


def test_it_is_saved_and_files_of_before_have_the_usual(tmp_path):
    motion = with_strength()
    path = save_motion(motion, tmp_path / "new.npz")
    assert np.array_equal(load_motion(path).pose_strength, motion.pose_strength)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "pose_strength"}
    np.savez(tmp_path / "old.npz", **arrays)
    assert np.array_equal(load_motion(tmp_path / "old.npz").pose_strength, np.ones(20))


@pytest.mark.parametrize("values", [-0.1, STRONGEST + 0.1, np.nan])
def test_it_is_bounded(values):
    with pytest.raises(EMO2Error, match="pose_strength"):
        gestures(0, 5).replace(pose_strength=np.full(5, values))


def test_edits_in_time_take_it_along():
    motion = with_strength()
    assert edit.resample(motion, 50.0).pose_strength[[0, -1]] == pytest.approx([0, 2], abs=0.06)
    assert np.array_equal(edit.pad_to(motion, 25).pose_strength[20:], np.full(5, 2.0))
    joined = edit.splice(motion, gestures(4, 20), 0.4, 0.0, 0.0)
    assert (
        np.array_equal(joined.pose_strength[:10], motion.pose_strength[:10]) and (joined.pose_strength[10:] == 1).all()
    )


def test_the_sampler_asks_for_the_frames_of_a_clip():
    known = Conditions(VideoConfig.tiny(), motion=with_strength())
    strengths = known.pose_strengths(np.arange(18, 24))
    assert strengths.shape == (1, 6) and (strengths[0, 2:] == 2).all(), "past its end it holds its last value"


def test_a_voice_takes_the_lips():
    """Lips of a motion count only where there is no voice, or where they are asked for."""
    from emo2.models.maps.face import LIPS
    from emo2.models.types import AudioFeatures

    config = VideoConfig.tiny()
    voice = AudioFeatures(np.zeros((40, config.audio_layers, config.audio_dim), np.float16), np.zeros(40), 0.8)
    motion = gestures(3, 20)
    lips = lambda **more: prepare(config, "", motion=motion, **more).motion.face_scores[:, LIPS].any()
    assert lips() and lips(audio=voice, lips="motion") and not lips(audio=voice)
    assert without_lips(without_lips(motion)).face_scores[:, 0].all()
    with pytest.raises(EMO2Error, match="voice, motion"):
        lips(lips="nobody")
