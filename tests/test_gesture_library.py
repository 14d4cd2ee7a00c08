"""Keypoint sets become motions, and a folder of motions becomes one motion led by the voice."""

import pickle

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.motion.files import load_motion, save_motion
from emo2.models.motion.library import _ranks, from_library
from emo2.models.pose.keypoint_sets import is_keypoint_set, load_keypoints, motion_from_keypoints
from emo2.models.types import AudioFeatures, Framing
from emo2.nodes import host
from emo2.nodes.gestures import GestureLibrary, LoadKeypoints
from emo2.runner.cli import main
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures

HANDS = load_hands(None)


def arrays_of(motion):
    """The motion's points as a keypoint set has them."""
    joints = motion.framing.project(HANDS.pose(motion.rotations, motion.wrists())[1])
    return {
        "body": motion.keypoints,
        "body_score": motion.keypoint_scores,
        "hands": joints,
        "hands_score": motion.hand_scores,
        "face": motion.face[:, :68],
        "face_score": motion.face_scores[:, :68],
    }


def recorded(seed=0, count=60):
    framing = Framing((0.5, 0.45), 0.35, (768, 768))
    return gestures(seed, count, 24.0, framing).replace(visible=None, hand_scores=None, confidence=None)


def write_frames(arrays, folder, corner=(0.0, 0.0), size=768.0):
    """As EchoMimicV2 publishes them: a pickled dictionary a frame, its points within a part of the square."""
    folder.mkdir(parents=True)
    inner = lambda points: (points * 768 - corner) / size
    for i in range(len(arrays["body"])):
        frame = {
            "bodies": {"candidate": inner(arrays["body"][i]), "subset": np.zeros((1, 18)),
                       "score": arrays["body_score"][i][None]},
            "hands": inner(arrays["hands"][i]), "hands_score": arrays["hands_score"][i],
            "faces": inner(arrays["face"][i])[None], "faces_score": arrays["face_score"][i][None], "num": 0,
            "draw_pose_params": [int(size), int(size), int(corner[1]), int(corner[1] + size), int(corner[0]),
                                 int(corner[0] + size)],
        }  # fmt: skip
        np.save(folder / f"{i}.npy", frame, allow_pickle=True)


def test_both_layouts_give_the_same_motion(tmp_path):
    motion = recorded()
    arrays = arrays_of(motion)
    np.savez(tmp_path / "set.npz", **arrays)
    write_frames(arrays, tmp_path / "frames")
    write_frames(arrays, tmp_path / "cut", corner=(64.0, 128.0), size=512.0)
    made = motion_from_keypoints(tmp_path / "set.npz", 24.0)
    assert len(made) == 60 and made.fps == 24 and made.visible.all() and made.framing.size == (768, 768)
    known = made.keypoint_scores > 0
    assert np.abs(made.keypoints - motion.keypoints)[known].max() < 1e-5
    wrists = [m.framing.project(m.wrists()) for m in (motion, made)]
    assert np.abs(wrists[0] - wrists[1]).max() < 0.01
    for name in ("frames", "cut"):
        same = motion_from_keypoints(tmp_path / name, 24.0)
        assert np.abs(same.keypoints - made.keypoints).max() < 1e-5
        assert np.abs(same.translations - made.translations).max() < 1e-4, name


def test_what_is_missing_is_assumed_or_unknown(tmp_path):
    arrays = arrays_of(recorded(count=30))
    np.savez(tmp_path / "bare.npz", body=arrays["body"], hands=arrays["hands"], size=(400, 300))
    found, size = load_keypoints(tmp_path / "bare.npz")
    assert size == (400, 300) and found.hand_scores.all() and not found.face_scores.any()
    doubtful = arrays["hands_score"].copy()
    doubtful[:10, 0] = 0.1
    np.savez(tmp_path / "doubt.npz", **arrays | {"hands_score": doubtful})
    motion = motion_from_keypoints(tmp_path / "doubt.npz", 24.0)
    assert not motion.visible[:10, 0].any() and motion.visible[10:].all() and motion.visible[:, 1].all()


class Evil:
    def __reduce__(self):
        return (print, ("this ran",))


@pytest.mark.parametrize(("change", "words"), [
    (lambda a: {"body": a["body"]}, "body in set.npz"),
    (lambda a: a | {"hands": a["hands"][:, :1]}, r"hands \(30, 1, 21, 2\)"),
    (lambda a: a | {"body": a["body"][:0], "hands": a["hands"][:0]}, "at least one frame"),
    (lambda a: a | {"hands_score": a["hands_score"][:3]}, "hands_score"),
    (lambda a: a | {"hands_score": a["hands_score"] * 0}, "hands that are known"),
    (lambda a: a | {"face": a["face"][:, :5]}, "face"),
    (lambda a: a | {"size": np.array([0, 3])}, "size"),
    (lambda a: a | {"body_score": a["body_score"] * 0}, "shoulders"),
    (lambda a: a | {"body": np.array([{"a": 1}], object)}, "arrays of objects"),
])  # fmt: skip
def test_wrong_sets_are_refused_in_one_line(tmp_path, change, words):
    np.savez(tmp_path / "set.npz", **change(arrays_of(recorded(count=30))))
    with pytest.raises(EMO2Error, match=f"^keypoints.*{words}") as caught:
        motion_from_keypoints(tmp_path / "set.npz", 24.0)
    assert "\n" not in str(caught.value)


def test_a_frame_that_would_run_code_runs_none(tmp_path, capsys):
    write_frames(arrays_of(recorded(count=2)), tmp_path / "frames")
    np.save(tmp_path / "frames" / "1.npy", np.array(Evil(), dtype=object), allow_pickle=True)
    with pytest.raises(EMO2Error, match=r"1\.npy, which calls for builtins\.print; nothing of it was run"):
        load_keypoints(tmp_path / "frames")
    (tmp_path / "frames" / "1.npy").write_bytes(pickle.dumps({"bodies": 1}))
    with pytest.raises(EMO2Error, match=r"EchoMimicV2's keypoints.*1\.npy"):
        load_keypoints(tmp_path / "frames")
    np.save(tmp_path / "frames" / "1.npy", {"bodies": {}}, allow_pickle=True)
    with pytest.raises(EMO2Error, match=r"1\.npy without 'draw_pose_params'"):
        load_keypoints(tmp_path / "frames")
    assert "this ran" not in capsys.readouterr().out


def test_a_cut_off_file_is_refused(tmp_path):
    np.savez(tmp_path / "set.npz", **arrays_of(recorded(count=30)))
    whole = (tmp_path / "set.npz").read_bytes()
    (tmp_path / "set.npz").write_bytes(whole[: len(whole) // 2])
    assert not is_keypoint_set(tmp_path / "set.npz")
    with pytest.raises(EMO2Error, match="damaged"):
        load_keypoints(tmp_path / "set.npz")
    with pytest.raises(EMO2Error, match="no file"):
        load_keypoints(tmp_path / "gone.npz")


def steps(motion):
    return np.linalg.norm(np.diff(motion.translations.astype(np.float64), axis=0), axis=-1).max(1)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 400), st.sampled_from([16.0, 24.0, 25.0, 30.0]), st.integers(0, 1000), st.floats(0.5, 8),
    st.floats(0, 1), st.lists(st.integers(30, 120), min_size=1, max_size=3),
)  # fmt: skip
def test_any_length_out_of_any_library(count, fps, seed, stretch, blend, lengths):
    library = [gestures(n, length) for n, length in enumerate(lengths)]
    framing = Framing((0.5, 0.5), 0.4, (768, 768))
    make = lambda: from_library(library, count, fps, framing, None, seed, 1.0, stretch, blend)
    motion = make()
    assert len(motion) == count and motion.fps == fps and motion.framing == framing
    assert np.array_equal(motion.translations, make().translations)


def test_the_joints_are_no_jumps():
    """No step is much larger than the library's own largest."""
    library = [gestures(n, 200) for n in range(4)]
    own = max(steps(motion).max() for motion in library)
    made = from_library(library, 1500, 25.0, stretch_seconds=2.0, seed=3)
    assert steps(made).max() < 1.8 * own
    abrupt = from_library(library, 1500, 25.0, stretch_seconds=2.0, seed=3, blend_seconds=0.0)
    assert steps(abrupt).max() > steps(made).max(), "the blend is what smooths them"


def test_between_joints_the_recording_plays_as_it_is():
    library = [gestures(n, 250) for n in range(2)]
    made = from_library(library, 300, 25.0, stretch_seconds=4.0, blend_seconds=0.2, seed=1)
    known = np.concatenate([motion.translations for motion in library])
    exact = [(np.abs(known - frame).max((1, 2)) == 0).any() for frame in made.translations]
    assert np.mean(exact) > 0.85


def lively(motion, width=13):
    return np.convolve(np.r_[steps(motion)[0], steps(motion)], np.ones(width) / width, mode="same")


def test_loud_voices_get_lively_gestures():
    """Calm and lively recordings, a voice that is loud every other three seconds."""
    calm = [gestures(n, 150) for n in range(3)]
    calm = [
        m.replace(translations=m.translations.mean(0) + 0.15 * (m.translations - m.translations.mean(0))) for m in calm
    ]
    library = calm + [gestures(n, 150) for n in range(3, 6)]
    loud = (np.arange(1500) // 75 % 2).astype(np.float32)
    follows, heedless = [], []
    for seed in range(3):
        for follow, found in ((2.0, follows), (0.0, heedless)):
            made = from_library(library, 1500, 25.0, None, loud, seed, follow, stretch_seconds=2.5)
            found.append(np.corrcoef(lively(made), loud)[0, 1])
    assert np.mean(follows) > 0.3 and np.mean(follows) > np.mean(heedless) + 0.25, (follows, heedless)


def test_what_was_shown_does_not_come_again_at_once():
    library = [gestures(n, 250) for n in range(4)]
    made = from_library(library, 250, 25.0, stretch_seconds=2.0, seed=2)
    known = np.concatenate([motion.translations for motion in library])
    places = [
        int(np.argmax(near)) for frame in made.translations if (near := (np.abs(known - frame).max((1, 2)) == 0)).any()
    ]
    assert len(set(places)) > 0.85 * len(places)


def test_ranks_are_fair():
    assert np.allclose(_ranks(np.array([3.0, 1.0, 1.0, 9.0])), [2 / 3, 1 / 6, 1 / 6, 1])
    assert np.allclose(_ranks(np.zeros(4)), 0.5) and len(_ranks(np.zeros(1))) == 1


@pytest.mark.parametrize(("motions", "words"), [([], "none"), ([gestures(0, 10)], "1 shorter ones")])
def test_a_library_without_usable_motions_is_refused(motions, words):
    with pytest.raises(EMO2Error, match=f"library.*at least 1 s.*{words}"):
        from_library(motions, 100, 25.0)


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "outside", host.Outside(input=tmp_path / "input", output=tmp_path / "output", quiet=True))
    folder = tmp_path / "input" / "gestures"
    folder.mkdir(parents=True)
    np.savez(folder / "real.npz", **arrays_of(recorded(1)))
    save_motion(gestures(2, 80), folder / "saved.npz")
    write_frames(arrays_of(recorded(3)), folder / "driver")
    return tmp_path / "input"


WIDGETS = {"seed": 0, "follow_voice": 1.0, "stretch_seconds": 3.0, "blend_seconds": 0.3, "fps": 25.0,
           "keypoint_fps": 24.0, "seconds": 4.0}  # fmt: skip


def test_the_nodes_find_load_and_make(inputs):
    assert LoadKeypoints.INPUT_TYPES()["required"]["keypoints"][0] == ["gestures/driver", "gestures/real.npz"]
    assert GestureLibrary.INPUT_TYPES()["required"]["library"][0] == ["gestures"]
    for name in ("gestures/real.npz", "gestures/driver"):
        motion, fps, count, framing = LoadKeypoints().load(name, 24.0)
        assert (len(motion), fps, count) == (60, 24.0, 60) and framing == motion.framing
        assert LoadKeypoints.VALIDATE_INPUTS(name) is True and LoadKeypoints.IS_CHANGED(name)
    motion, fps, count = GestureLibrary().make("gestures", **WIDGETS)
    assert (len(motion), fps, count) == (100, 25.0, 100)
    sound = AudioFeatures(np.zeros((150, 1, 4), np.float16), np.linspace(0, 1, 150), 3.0)
    wanted = Framing((0.5, 0.5), 0.3, (768, 768))
    motion, _, count = GestureLibrary().make("gestures", **WIDGETS, audio_features=sound, framing=wanted)
    assert count == 75 and motion.framing == wanted
    before = GestureLibrary.IS_CHANGED("gestures")
    save_motion(gestures(5, 80), inputs / "gestures" / "more.npz")
    assert GestureLibrary.IS_CHANGED("gestures") != before


@pytest.mark.parametrize("name", ["../secret", "gone", "/etc", "gestures/none.npz"])
def test_names_that_are_not_there_or_lead_out_are_refused(inputs, name):
    with pytest.raises(EMO2Error, match="EMO2 Load Keypoints, keypoints"):
        LoadKeypoints().load(name, 24.0)
    with pytest.raises(EMO2Error, match="EMO2 Gesture Library, library"):
        GestureLibrary().make(name, **WIDGETS)
    assert name in LoadKeypoints.VALIDATE_INPUTS(name) and name in GestureLibrary.VALIDATE_INPUTS(name)


def test_a_damaged_member_is_named(inputs):
    (inputs / "gestures" / "broken.npz").write_bytes(b"PK nothing")
    with pytest.raises(EMO2Error, match=r"EMO2 Gesture Library, library.*broken\.npz"):
        GestureLibrary().make("gestures", **WIDGETS)


def test_the_command_makes_a_library(inputs, tmp_path, capsys):
    (inputs / "gestures" / "saved.npz").unlink()
    out = tmp_path / "library"
    assert main(["gestures", str(inputs / "gestures"), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["driver.npz", "real.npz"]
    assert len(load_motion(out / "real.npz")) == 60 and "both hands 100%" in capsys.readouterr().out
    for arguments, words in (
        ([str(inputs / "gestures")], "names that are free"), ([str(tmp_path / "gone")], "is not there"),
        ([str(tmp_path / "library")], "holds none"), ([str(inputs / "gestures"), "--fps", "0"], "--fps"),
    ):  # fmt: skip
        assert main(["gestures", *arguments, "--out", str(out)]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.shared
def test_real_recordings_make_a_real_motion(shared):
    """The three published drivers under a real voice: hands seen, as fast as they are, no jump at the joints."""
    from emo2.models.audio import prepare_waveform
    from emo2.models.audio.prosody import loudness
    from soundfile import read

    sets = sorted((shared / "data" / "pose").glob("*.npz"))
    library = [motion_from_keypoints(path, 24.0, fit=False) for path in sets]
    assert all(motion.visible.mean() > 0.9 for motion in library)
    sound, rate = read(shared / "data" / "speech" / "jfk.flac", dtype="float32")
    waveform = prepare_waveform({"waveform": torch.from_numpy(sound.reshape(1, 1, -1)), "sample_rate": rate})
    heard = loudness(waveform)
    features = AudioFeatures(np.zeros((len(heard), 1, 1), np.float16), heard, len(waveform) / 16000)
    count = int(np.ceil(features.duration * 24))
    made = from_library(library, count, 24.0, None, features.loudness_at(24.0, 0, count), seed=1)
    largest = np.percentile(np.concatenate([steps(motion) for motion in library]), 99.8)
    assert len(made) == count and steps(made).max() < max(1.5 * largest, 0.05)
    assert 0.5 < steps(made).mean() / np.concatenate([steps(motion) for motion in library]).mean() < 2
