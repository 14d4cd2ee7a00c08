"""BEAT2 recordings: kinematics against smplx, camera axes, the fingers' zero, sounds, and what is refused."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle, from_axis_angle, multiply, rotate, to_axis_angle
from emo2.models.hands.rest import FINGERS, PALM
from emo2.models.motion.vector import pack
from emo2.models.pose.body import SHOULDERS, WRISTS
from emo2.training.readers import read_beat2
from emo2.training.readers.beat2 import read_folder
from emo2.training.readers.smplx_skeleton import JOINTS, PARENTS, approximate_skeleton, body_motion, forward
from hypothesis import given, settings
from hypothesis import strategies as st
from readers_cases import poses, sound, write_beat2, write_mano, write_smplx


def body_of(values):
    return values[:, : 3 * JOINTS].reshape(-1, JOINTS, 3)


def still_fingers(count):
    fingers = np.zeros((count, 2, 15, 4))
    fingers[..., 0] = 1
    return fingers


def test_forward_kinematics_is_that_of_smplx():
    lbs = pytest.importorskip("smplx.lbs")
    import torch

    body, trans = body_of(poses(size=1.0)), np.random.default_rng(0).normal(size=(60, 3))
    skeleton = approximate_skeleton()
    turns, places = forward(from_axis_angle(body), trans, skeleton)
    matrices = lbs.batch_rodrigues(torch.tensor(body).reshape(-1, 3)).reshape(60, JOINTS, 3, 3)
    rest = torch.tensor(skeleton.joints)[None].expand(60, -1, -1)
    posed, _ = lbs.batch_rigid_transform(matrices, rest, torch.tensor(PARENTS), dtype=torch.float64)
    assert np.abs(posed.numpy() + trans[:, None] - places).max() < 1e-6
    assert np.abs(np.linalg.norm(turns, axis=-1) - 1).max() < 1e-9


def test_the_approximate_skeleton_is_a_person():
    joints = approximate_skeleton().joints
    mirrored = joints[[0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20]] * [-1, 1, 1]
    assert np.allclose(joints, mirrored)
    assert 0.33 < approximate_skeleton().shoulder_width < 0.38
    assert 0.45 < np.linalg.norm(joints[20] - joints[18]) + np.linalg.norm(joints[18] - joints[16]) < 0.58


def test_a_t_pose_stretches_its_hands_sideways_palms_down():
    motion = body_motion(np.zeros((2, JOINTS, 3)), np.zeros((2, 3)), still_fingers(2), 30, approximate_skeleton())
    left, right = motion.translations[0]
    assert left[0] > 0.6 and right[0] < -0.6 and np.allclose(left * [-1, 1, 1], right, atol=1e-6)
    for hand in (0, 1):
        turn = motion.rotations[0, hand, 0].astype(float)
        assert np.allclose(rotate(turn, FINGERS[hand]), FINGERS[hand], atol=1e-6)
        assert np.allclose(rotate(turn, PALM[hand]), [0, 1, 0], atol=1e-6)
    assert np.allclose(motion.body_rotation, [1, 0, 0, 0], atol=1e-6)
    points = motion.keypoints[0]
    assert points[WRISTS[0], 0] > points[SHOULDERS[0], 0] > points[1, 0] > points[SHOULDERS[1], 0]
    assert points[0, 1] < points[1, 1] < points[8, 1], "the nose is above the neck, the hips below it"
    width = (points[SHOULDERS[0], 0] - points[SHOULDERS[1], 0]) / motion.framing.shoulder_width
    assert abs(width - 1) < 0.05, "the framing's shoulder width is the person's"


def test_keypoints_and_wrists_are_the_same_places():
    motion = body_motion(body_of(poses()), poses(7)[:, :3], still_fingers(60), 30, approximate_skeleton())
    projected = motion.framing.project(motion.wrists())
    assert np.abs(projected - motion.keypoints[:, WRISTS]).max() < 1e-5


def test_an_arm_that_bends_forwards_comes_towards_the_camera():
    body = np.zeros((1, JOINTS, 3))
    body[0, 18] = [0, -np.pi / 2, 0]  # the left elbow about the upright axis
    motion = body_motion(body, np.zeros((1, 3)), still_fingers(1), 30, approximate_skeleton())
    assert motion.translations[0, 0, 2] < -0.2 < motion.translations[0, 1, 2]
    forwards = rotate(motion.rotations[0, 0, 0].astype(float), FINGERS[0])
    assert np.allclose(forwards, [0, 0, -1], atol=1e-6)


@settings(max_examples=15)
@given(st.floats(-3.1, 3.1), st.sampled_from(["y", "-y", "z"]), st.integers(0, 50))
def test_the_room_does_not_matter(yaw, up, seed):
    """A room turned about the vertical, moved, or with another axis up shows the same motion."""
    values, skeleton = poses(seed, frames=20), approximate_skeleton()
    body, trans = body_of(values), 0.2 * poses(seed + 1, frames=20)[:, :3]
    expected = body_motion(body, trans, still_fingers(20), 30, skeleton)
    tip = {"y": [0.0, 0, 0], "-y": [np.pi, 0, 0], "z": [np.pi / 2, 0, 0]}[up]
    room = multiply(from_axis_angle(np.array(tip)), from_axis_angle(np.array([0, yaw, 0])))
    pelvis = skeleton.joints[0]
    turned = body.copy()
    turned[:, 0] = to_axis_angle(multiply(room, from_axis_angle(body[:, 0])))
    motion = body_motion(turned, rotate(room, trans + pelvis) - pelvis + [3, -2, 5], still_fingers(20), 30, skeleton)
    for name in ("translations", "body_offset", "keypoints"):
        assert np.abs(getattr(motion, name) - getattr(expected, name)).max() < 1e-5, name
    assert angle(motion.rotations, expected.rotations).max() < 1e-4


def test_the_camera_follows_someone_who_walks():
    frames = 300
    trans = np.linspace([0, 0, 0], [3.0, 0, 1.0], frames)
    body = np.tile(body_of(poses())[:1], (frames, 1, 1))
    motion = body_motion(body, trans, still_fingers(frames), 30, approximate_skeleton())
    assert np.abs(motion.body_offset).max() < 0.6
    assert np.abs(motion.body_offset[120:180]).max() < 0.01
    assert np.ptp(motion.translations, axis=0).max() < 1e-5, "the hands did not move"


def test_fingers_are_counted_from_the_flat_hand(tmp_path):
    path = write_beat2(tmp_path / "data")
    content = write_mano(tmp_path / "own", kind="pkl")
    motion = read_beat2(path, hands=tmp_path / "own", fps=None).motion
    values = poses()
    for hand, (side, where) in enumerate({"LEFT": slice(75, 120), "RIGHT": slice(120, 165)}.items()):
        full = from_axis_angle((values[:, where] + content[side]["hands_mean"]).reshape(-1, 15, 3))
        assert angle(motion.rotations[:, hand, 1:].astype(float), full).max() < 1e-3


def test_one_mano_file_serves_both_hands_by_its_mirror_image(tmp_path):
    path = write_beat2(tmp_path / "data", poses=np.zeros((60, 165)))
    write_mano(tmp_path / "own", sides=("RIGHT",))
    motion = read_beat2(path, hands=tmp_path / "own" / "MANO_RIGHT.npz").motion
    assert np.allclose(motion.rotations[:, 0, 1:] * [1, 1, -1, -1], motion.rotations[:, 1, 1:], atol=1e-6)


def test_an_smplx_file_beside_the_data_gives_skeleton_and_fingers(tmp_path):
    path = write_beat2(tmp_path / "data", poses=np.zeros((60, 165)))
    arrays = write_smplx(tmp_path / "models" / "SMPLX_NEUTRAL_2020.npz")
    motion = read_beat2(path, fps=None).motion
    betas = np.linspace(-1, 1, 300)[:10]  # 20 directions: ten are the face's
    rest = arrays["J_regressor"] @ (arrays["v_template"] + arrays["shapedirs"][..., :10] @ betas)
    width = np.linalg.norm(rest[16] - rest[17])
    apart = np.linalg.norm(motion.translations[0, 0].astype(float) - motion.translations[0, 1])
    assert abs(apart - np.linalg.norm(rest[20] - rest[21]) * 0.38 / width) < 1e-5
    mean = from_axis_angle(arrays["hands_meanl"].reshape(15, 3))
    assert angle(motion.rotations[0, 0, 1:].astype(float), mean).max() < 1e-3


def test_without_the_user_s_files_it_says_what_is_needed(tmp_path):
    path = write_beat2(tmp_path)
    with pytest.raises(EMO2Error, match=r"your own MANO or SMPL-X.*mean hand.*SMPLX_NEUTRAL_2020.npz.*approximate"):
        read_beat2(path)
    bend = angle(read_beat2(path, fingers="approximate").motion.rotations[:, :, 1:], np.array([1.0, 0, 0, 0]))
    assert 0.2 < bend.mean() < 0.8
    with pytest.raises(EMO2Error, match="fingers: expected exact or approximate"):
        read_beat2(path, fingers="some")


def test_sound_and_motion_come_at_our_rates_and_equally_long(tmp_path):
    path = write_beat2(tmp_path / "smplxflame_30", frames=90, audio=False)
    (tmp_path / "wave16k").mkdir()
    sound(tmp_path / "wave16k" / f"{path.stem}.wav", 2.9, rate=44100)
    recording = read_beat2(path, fingers="approximate", style="storytelling")
    assert recording.motion.fps == 25 and len(recording.motion) == 73 and recording.name == path.stem
    assert abs(len(recording.waveform) / 16000 - 2.9) < 1e-3 and recording.waveform.dtype == np.float32
    waveform, motion, style = recording
    assert waveform is recording.waveform and motion is recording.motion and style == "storytelling"
    assert pack(motion).shape == (73, 170)
    assert read_beat2(path, fingers="approximate", fps=None).motion.fps == 30


def test_a_folder_is_read_in_order_and_damaged_files_are_named(tmp_path, caplog):
    for name in ("2_b", "1_a"):
        write_beat2(tmp_path / "sub", name)
    write_smplx(tmp_path / "sub" / "SMPLX_NEUTRAL.npz")
    assert [r.name for r in read_folder(tmp_path)] == ["1_a", "2_b"]
    (tmp_path / "sub" / "1_a.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(EMO2Error, match=r"1_a\.npz"):
        list(read_folder(tmp_path))
    assert [r.name for r in read_folder(tmp_path, strict=False)] == ["2_b"]
    assert "left out" in caplog.text and "1_a.npz" in caplog.text
    (tmp_path / "sub" / "2_b.wav").unlink()
    with pytest.raises(EMO2Error, match="none of 2"):
        list(read_folder(tmp_path, strict=False))
    with pytest.raises(EMO2Error, match=r"none in"):
        list(read_folder(tmp_path / "elsewhere"))


def bad(**changes):
    return lambda folder: write_beat2(folder, **changes)


def truncated(folder):
    path = write_beat2(folder)
    path.write_bytes(path.read_bytes()[:5000])
    return path


def too_short_a_sound(folder):
    path = write_beat2(folder, audio=False)
    sound(folder / f"{path.stem}.wav", 1.0)
    return path


def broken_sound(folder):
    path = write_beat2(folder, audio=False)
    (folder / f"{path.stem}.wav").write_bytes(b"RIFF nothing")
    return path


def not_a_number(width):
    values = np.zeros((60, width))
    values[3, 1] = np.nan
    return values


BAD = {
    "no poses": (bad(poses=None), "without poses"),
    "no trans": (bad(trans=None), "without trans"),
    "narrow poses": (bad(poses=np.zeros((60, 72))), r"poses of shape \(F, 165\)"),
    "flat poses": (bad(poses=np.zeros(165)), r"poses of shape \(F, 165\)"),
    "no frames": (bad(poses=np.zeros((0, 165)), trans=np.zeros((0, 3))), "at least one, but got 0"),
    "unequal": (bad(trans=np.zeros((59, 3))), "60 and 59"),
    "NaN": (bad(poses=not_a_number(165)), "finite numbers in poses"),
    "NaN in trans": (bad(trans=not_a_number(3)), "finite numbers in trans"),
    "NaN in betas": (bad(betas=np.array([np.inf])), "finite numbers in betas"),
    "text": (bad(poses=np.full((60, 165), "x")), "numbers in poses"),
    "objects": (bad(poses=np.array([{}], object)), "could run code"),
    "no rate": (bad(mocap_frame_rate=np.array(0)), "mocap_frame_rate from 10"),
    "wild rate": (bad(mocap_frame_rate=np.array(30000)), "mocap_frame_rate from 10"),
    "wrong rate": (bad(mocap_frame_rate=np.array(120)), "a sound as long as the motion"),
    "truncated": (truncated, "a whole .npz file"),
    "no sound": (bad(audio=False), "the sound of"),
    "short sound": (too_short_a_sound, r"1\.0 s"),
    "broken sound": (broken_sound, "a sound that can be read"),
    "no file": (lambda folder: folder / "nothing.npz", "no file at"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_in_one_line(tmp_path, case):
    make, words = BAD[case]
    path = make(tmp_path)
    with pytest.raises(EMO2Error, match=words) as caught:
        read_beat2(path, fingers="approximate")
    assert "\n" not in str(caught.value) and path.stem in str(caught.value)


@pytest.mark.shared
def test_a_real_speaker_is_plausible(shared):
    """Hands in reach, before the body or beside it, on their own sides; arms that meet them; fingers bent inwards."""
    recording = read_beat2(shared / "data" / "motion" / "smplx_speaker_45s.npz", fingers="approximate")
    motion = recording.motion
    assert len(motion) == 1125 and len(recording.waveform) == 45 * 16000
    wrists = motion.translations.astype(float)
    shoulders = np.array([[0.19, 0, 0], [-0.19, 0, 0]])
    reach = np.linalg.norm(wrists - shoulders, axis=-1)
    assert np.quantile(reach, 0.99) < 0.65 and reach.min() > 0.12
    assert (wrists[..., 2] < 0.1).mean() > 0.9, "hands lie on the camera's side of the shoulders"
    assert (wrists[:, 0, 0] > wrists[:, 1, 0]).mean() > 0.97, "the left hand is on the picture's right"
    assert np.abs(motion.body_offset).max() < 0.6
    # Fingers bend towards the palm: the tips lie on its side of the wrist.
    from emo2.evaluation.motion import hand_points

    tips = hand_points(motion)[:, :, [8, 12, 16, 20]] - wrists[:, :, None]
    palms = rotate(motion.rotations[:, :, 0].astype(float), np.broadcast_to(PALM, (len(motion), 2, 3)))
    assert ((tips * palms[:, :, None]).sum(-1) > 0).mean() > 0.9
    # Fingers go on from the forearm, on the whole.
    fingers = rotate(motion.rotations[:, :, 0].astype(float), np.broadcast_to(FINGERS, (len(motion), 2, 3)))
    elbow = motion.keypoints[:, [6, 3]] - motion.keypoints[:, [7, 4]]
    assert ((fingers[..., :2] * -elbow).sum(-1) > 0).mean() > 0.85
