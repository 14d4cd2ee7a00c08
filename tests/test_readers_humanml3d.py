"""HumanML3D-style folders: bodies that are known are written in the set's form and read back."""

import numpy as np
import pytest
from emo2.models.body import WholeBody, skeleton
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle, from_axis_angle, rotate
from emo2.training.readers.humanml3d import (
    body_of,
    caption_of,
    joints_of,
    read_captions,
    read_folder,
    read_motion,
    read_names,
)
from emo2.training.readers.positions import turns_from
from emo2.training.readers.smplx_skeleton import JOINTS, approximate_skeleton, forward
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

SKELETON = approximate_skeleton()
ENDS = [10, 11, 15, 20, 21]
"""Toes, head and wrists: positions of 22 joints say nothing of their turns."""


def turns(frames=30, seed=0, size=0.3):
    """(F, 22, 4): everything sways, knees and elbows bend as they can."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None, None] / 20
    vectors = size * np.sin(2 * np.pi * (rng.uniform(0.1, 0.5, (1, JOINTS, 3)) * time + rng.random((1, JOINTS, 3))))
    vectors[:, ENDS] = 0
    bend = 0.7 + 0.4 * np.sin(2 * np.pi * time[:, 0, 0])
    # A hinge bends about its own axis only.
    for joint, axis in ((4, (1, 0, 0)), (5, (1, 0, 0)), (18, (0, -1, 0)), (19, (0, 1, 0))):
        vectors[:, joint] = bend[:, None] * np.array(axis)
    return from_axis_angle(vectors)


def places(frames=30, seed=0, size=0.3, walk=True):
    trans = np.zeros((frames, 3))
    trans[:, 1] = 0.95
    if walk:
        trans[:, 2] = np.arange(frames) * 0.05
    return forward(turns(frames, seed, size), trans, SKELETON)[1]


def vectors_of(joints):
    """(F, 263) as the set has them: the body turned to face +z, steps and turns to the next frame. Turns are zeros."""
    across = joints[:, 1] - joints[:, 2] + joints[:, 16] - joints[:, 17]
    heading = np.arctan2(-across[:, 2], across[:, 0])
    heading = np.unwrap(heading - heading[0])
    # The quaternion that turns the body back to +z, of half angle `half`.
    half = -heading / 2
    face = np.stack([np.cos(half), 0 * half, np.sin(half), 0 * half], -1)
    root = joints[:, 0] * [1, 0, 1]
    own = rotate(face[:, None], joints - root[:, None])
    step = rotate(face[1:], np.diff(root, axis=0))
    vectors = np.zeros((len(joints), 263))
    vectors[:-1, 0], vectors[:-1, 1], vectors[:-1, 2] = np.diff(half), step[:, 0], step[:, 2]
    vectors[:, 3], vectors[:, 4:67] = joints[:, 0, 1], own[:, 1:].reshape(len(joints), -1)
    return vectors


def write(folder, name="000001", frames=40, vectors=True, text="a man walks.#a/DET man/NOUN walk/VERB#0.0#0.0\n"):
    part = folder / ("new_joint_vecs" if vectors else "new_joints")
    for place in (part, folder / "texts"):
        place.mkdir(parents=True, exist_ok=True)
    joints = places(frames)
    np.save(part / f"{name}.npy", (vectors_of(joints) if vectors else joints).astype(np.float32))
    (folder / "texts" / f"{name}.txt").write_text(text)
    with open(folder / "train.txt", "a") as names:
        names.write(name + "\n")
    return joints


def test_joints_come_back_from_vectors():
    joints = places()
    start = joints[0, 0] * [1, 0, 1]
    assert np.abs(joints_of(vectors_of(joints)) - (joints - start)).max() < 1e-9


def test_turns_come_back_from_places():
    """Within 1 mm of every joint, and 0.02 radians where a turn is determined at all."""
    wanted = turns(60, seed=1)
    joints = forward(wanted, np.zeros((60, 3)), SKELETON)[1]
    found = turns_from(joints, SKELETON)
    assert np.abs(forward(found, np.zeros((60, 3)), SKELETON)[1] - joints).max() < 1e-3
    whole, again = (forward(t, np.zeros((60, 3)), SKELETON)[0] for t in (wanted, found))
    for joint in (0, 9, 1, 2, 16, 17):
        assert angle(whole[:, joint], again[:, joint]).max() < 0.02, joint


@settings(max_examples=20, deadline=None)
@given(arrays(np.float64, (2, JOINTS, 3), elements=st.floats(-1.5, 1.5)))
def test_whatever_the_pose_the_joints_are_where_they_were(vectors):
    joints = forward(from_axis_angle(vectors), np.zeros((2, 3)), SKELETON)[1]
    found = turns_from(joints, SKELETON)
    assert np.allclose(np.linalg.norm(found, axis=-1), 1)
    assert np.abs(forward(found, np.zeros((2, 3)), SKELETON)[1] - joints).max() < 1e-3


def test_places_of_no_length_give_turns_all_the_same():
    assert np.isfinite(turns_from(np.zeros((2, JOINTS, 3)))).all()


def test_a_folder_is_read_with_its_texts(tmp_path):
    write(tmp_path, text="a man walks.#a/DET#0.0#0.0\nhe waves#wave/VERB#0.5#1.25\n\n")
    write(tmp_path, "M000001", vectors=False)
    assert read_names(tmp_path) == ["000001", "M000001"]
    (name, body, texts), (_, other, _) = read_folder(tmp_path, strict=True)
    assert name == "000001" and len(body) == 50 and body.fps == 25 and not body.hands.any()
    assert [(t.text, t.start, t.end) for t in texts] == [("a man walks.", 0.0, 2.0), ("he waves", 0.5, 1.25)]
    assert len(read_motion(tmp_path, name, None)) == 40
    # Both forms tell of one body, but for the heading's and the start's convention.
    assert np.abs(body.rotations - other.rotations).max() < 1e-3 and np.abs(body.root - other.root).max() < 1e-3


def test_bones_point_where_they_pointed_seen_from_the_front():
    """The pack's own body has other lengths; each limb's direction is the data's, to half a degree."""
    joints = places(40, walk=False)
    _, seen = body_of(joints).forward()
    chest = forward(turns(40), np.zeros((40, 3)), SKELETON)[0][:, 9]
    ahead = rotate(chest, np.array([0, 0, 1.0])).mean(0)
    heading = np.arctan2(ahead[0], ahead[2]) / 2
    front = np.array([np.cos(heading), 0, -np.sin(heading), 0])
    for start, end in ((16, 18), (18, 20), (17, 19), (19, 21), (1, 4), (4, 7), (2, 5), (5, 8)):
        line = rotate(front, joints[:, end] - joints[:, start]) * [1, -1, -1]
        own = seen[:, end] - seen[:, start]
        rest = skeleton.REST_JOINTS[end] - skeleton.REST_JOINTS[start]
        wanted = SKELETON.joints[end] - SKELETON.joints[start]
        # Resting bones of the two bodies differ by a few degrees, which both turns keep.
        tilt = np.arccos(np.clip(unit(rest) @ (unit(wanted) * [1, -1, -1]), -1, 1))
        off = np.arccos(np.clip((unit(line) * unit(own)).sum(-1), -1, 1))
        assert off.max() < tilt + 0.01, (start, end)


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def test_a_body_that_stands_has_its_pelvis_at_rest_and_one_that_squats_has_it_lower():
    still = np.tile(np.array([1.0, 0, 0, 0]), (40, JOINTS, 1))
    trans = np.tile([0.0, 0.9, 0.0], (40, 1))
    down = still.copy()
    for joints, amount in (((1, 2), -1.0), ((4, 5), 2.0)):
        down[20:, joints] = from_axis_angle(np.array([amount, 0, 0]))
    lowered = trans.copy()
    leg = SKELETON.joints[1, 1] - SKELETON.joints[7, 1]
    lowered[20:, 1] -= leg * (1 - np.cos(1.0))
    joints = forward(down, lowered, SKELETON)[1]
    body = body_of(joints)
    assert np.abs(body.root[:15, 1]).max() < 0.03 and body.root[25:, 1].min() > 0.25
    assert isinstance(body, WholeBody) and np.abs(body.root[:, [0, 2]]).max() < 0.05


@pytest.mark.parametrize(
    "line, wanted",
    [("he sits#sit/VERB#nan#nan", ("he sits", 0, 8)), ("  she runs  ", ("she runs", 0, 8)),
     ("jump#x#2.0#3.5", ("jump", 2, 3.5)), ("jump#x#2.0#99", ("jump", 2, 8)), ("jump#x#9#12", ("jump", 0, 8))],
)  # fmt: skip
def test_lines_of_texts(line, wanted):
    found = caption_of(line, 8.0)
    assert (found.text, found.start, found.end) == wanted


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=30), st.floats(0.5, 100))
def test_any_line_is_a_caption_within_the_motion_or_a_told_mistake(line, duration):
    try:
        found = caption_of(line, duration)
    except EMO2Error:
        return
    assert found.text and 0 <= found.start < found.end <= duration


def test_what_is_wrong_is_told(tmp_path):
    with pytest.raises(EMO2Error, match=r"train\.txt"):
        read_names(tmp_path)
    write(tmp_path)
    with pytest.raises(EMO2Error, match="train"):
        read_names(tmp_path, "val")
    with pytest.raises(EMO2Error, match=r"line 1"):
        (tmp_path / "texts" / "000001.txt").write_text("walk#x#a#b\n")
        read_captions(tmp_path, "000001", 2.0)
    vectors = tmp_path / "new_joint_vecs" / "000001.npy"
    for wrong, word in (
        (np.zeros((5, 251)), "KIT-ML"), (np.full((5, 263), np.nan), "NaN"), (np.zeros((0, 263)), "F > 0"),
        (np.full((5, 263), 900.0), "normalise"), (np.array(["a"]), "numbers"),
    ):  # fmt: skip
        np.save(vectors, wrong)
        with pytest.raises(EMO2Error, match=word):
            read_motion(tmp_path, "000001")
    vectors.write_bytes(b"no numpy file")
    with pytest.raises(EMO2Error, match="whole"):
        read_motion(tmp_path, "000001")
    with pytest.raises(EMO2Error, match="can be used"):
        list(read_folder(tmp_path))
    with pytest.raises(EMO2Error, match="nowhere"):
        read_motion(tmp_path, "nowhere")


def test_pickles_are_not_run(tmp_path):
    write(tmp_path)
    np.save(tmp_path / "new_joint_vecs" / "000001.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(EMO2Error, match="whole"):
        read_motion(tmp_path, "000001")


def test_turned_walkers_face_the_camera(tmp_path):
    """Whichever way somebody walks, the camera is in front."""
    around = np.array([np.cos(0.9), 0, np.sin(0.9), 0])
    body = [body_of(rotate(q, places(30, walk=False))) for q in (np.array([1.0, 0, 0, 0]), around)]
    assert np.abs(angle(body[0].rotations[:, 0], body[1].rotations[:, 0])).max() < 1e-3
