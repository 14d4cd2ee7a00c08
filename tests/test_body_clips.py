"""What the director's networks learn from: clips of puppets, of HumanML3D folders and of BEAT2, all in one form."""

import importlib.util

import numpy as np
import pytest
from emo2.models.body import skeleton
from emo2.models.direction.config import DEFAULT_TEXT
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle
from emo2.models.types import Framing
from emo2.training.body_clips import Puppets, action_clip, open_source, puppet_body, speech_clip
from emo2.training.puppets.actions import act, by_name
from emo2.training.readers.beat2 import read_beat2, read_whole
from readers_cases import write_beat2, write_mano
from test_puppets_actions import quiet
from test_readers_humanml3d import write as write_humanml3d

espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="the package espeakng-loader is not installed"
)


@pytest.mark.parametrize("name", ["wave left high 3", "squat", "step right", "bow", "shake head 2"])
def test_a_puppets_body_shows_what_the_puppet_did(name):
    """Wrists within 1 mm, every drawn point of arms and legs within a twentieth of a pixel, the head's angles."""
    p = act(quiet(), by_name(name), 0.5, np.random.default_rng(1))
    body = puppet_body(p)
    motion = body.to_motion(p.motion.framing)
    assert np.abs(motion.wrists() - p.motion.wrists()).max() < 1e-3
    assert angle(motion.rotations[:, :, 0], p.motion.rotations[:, :, 0]).max() < 1e-3
    away = np.abs(motion.keypoints - p.motion.keypoints)[:, 1:14] * [96, 128]
    assert away.max() < 0.05
    assert np.abs(body.head() - p.head).max() < 1e-3 and body.hands.all()
    turns, places = body.forward()
    if name in ("squat", "bow"):
        ankles = places[:, list(skeleton.ANKLES)]
        assert np.abs(ankles - ankles[0]).max() < 0.01, "feet stay on the ground"
        feet = turns[:, list(skeleton.ANKLES)]
        assert angle(feet, feet[:1]).max() < 0.05, "and flat"


@espeak
def test_clips_of_puppets_are_told_from_beginning_to_end():
    clip = action_clip(3, "held-out", seconds=6.5)
    again = action_clip(3, "held-out", seconds=6.5)
    assert np.array_equal(clip.body.rotations, again.body.rotations) and clip.texts == again.texts
    assert len(clip.waveform) == round(clip.body.duration * 16000) and clip.waveform.dtype == np.float32
    assert clip.texts[0].start < 1.5 and clip.texts[-1].end >= clip.body.duration - 0.6
    other = action_clip(3, "train", seconds=6.5)
    assert other.name != clip.name and not np.array_equal(other.waveform, clip.waveform)
    plain = speech_clip(3, "train", seconds=2.0)
    assert [t.text for t in plain.texts] == [DEFAULT_TEXT] and plain.texts[0].end == plain.body.duration == 2.0


@espeak
def test_a_source_of_puppets_mixes_speech_and_actions():
    speech = open_source({"kind": "puppets", "speech": 1, "seconds": 6.2, "count": 3, "seed": 5})
    acted = Puppets(speech=0, seconds=6.2, seed=5)
    assert speech.count == 3 and speech.clip(0).name == speech.clip(3).name == acted.clip(0).name
    assert len(speech.clip(0).texts) == 1 < len(acted.clip(0).texts)


def test_humanml3d_gives_clips_without_hands_and_sound(tmp_path):
    write_humanml3d(tmp_path)
    source = open_source({"kind": "humanml3d", "folder": str(tmp_path), "weight": 2})
    clip = source.clip(source.count)
    assert source.count == 1 and clip.waveform is None and not clip.body.hands.any() and clip.name == "000001"
    assert [t.text for t in clip.texts] == ["a man walks."] and clip.body.fps == 25


def test_beat2_gives_whole_bodies_with_their_sound(tmp_path):
    path = write_beat2(tmp_path, frames=60)
    write_mano(tmp_path / "models")
    clip = open_source({"kind": "beat2", "folder": str(tmp_path)}).clip(0)
    assert clip.body.hands.all() and clip.body.fps == 25 and len(clip.body) == 50
    assert len(clip.waveform) == 2 * 16000 and [t.text for t in clip.texts] == [DEFAULT_TEXT]
    _, body = read_whole(path, fps=None)
    recording = read_beat2(path, fps=None)
    motion = body.to_motion(Framing())
    # One recording, two readings: hands turned alike, fingers the same, wrists as near as bodies of other measures are.
    assert angle(motion.rotations, recording.motion.rotations).max() < 1e-3
    assert angle(motion.body_rotation, recording.motion.body_rotation).max() < 1e-3
    assert np.linalg.norm(motion.translations - recording.motion.translations, axis=-1).max() < 0.12


@pytest.mark.parametrize(
    "entry, word",
    [({"kind": "aist"}, "humanml3d"), ({"kind": "beat2"}, "folder"), ({"kind": "puppets", "folder": "x"}, "Remove"),
     ({"kind": "puppets", "speech": 3}, "0 to 1"), ({"kind": "puppets", "split": "all"}, "held-out"),
     ({"kind": "humanml3d", "folder": "/nowhere"}, "train.txt"), ({"kind": "beat2", "folder": "/nowhere"}, "npz")],
)  # fmt: skip
def test_sources_that_are_none_are_refused(entry, word):
    with pytest.raises(EMO2Error, match=word):
        open_source(entry)
