"""SHOW recordings: PCA hands, camera axes, and pickles that are never run."""

import os
import pickle

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle, from_axis_angle
from emo2.training.readers import read_show
from emo2.training.readers.restricted_pickle import read_plain_pickle
from emo2.training.readers.show import read_folder
from readers_cases import mano, show_arrays, write_mano, write_show, write_smplx


def test_coefficients_become_angles_by_the_user_s_directions(tmp_path):
    path = write_show(tmp_path / "data")
    content = write_mano(tmp_path / "data" / "mano")
    motion = read_show(path, fps=None).motion
    assert motion.fps == 30 and len(motion) == 60
    arrays = show_arrays()
    for hand, (side, name) in enumerate({"LEFT": "left_hand_pose", "RIGHT": "right_hand_pose"}.items()):
        full = arrays[name] @ content[side]["hands_components"][:12] + content[side]["hands_mean"]
        turns = from_axis_angle(full.reshape(-1, 15, 3))
        assert angle(motion.rotations[:, hand, 1:].astype(float), turns).max() < 1e-3


def test_smplx_files_hold_the_directions_too(tmp_path):
    path = write_show(tmp_path / "data")
    arrays = write_smplx(tmp_path / "data" / "models" / "SMPLX_NEUTRAL.npz")
    motion = read_show(path, fps=None).motion
    full = show_arrays()["right_hand_pose"] @ arrays["hands_componentsr"][:12] + arrays["hands_meanr"]
    assert angle(motion.rotations[:, 1, 1:].astype(float), from_axis_angle(full.reshape(-1, 15, 3))).max() < 1e-3


def test_a_body_in_camera_axes_stands_upright_and_faces_us(tmp_path):
    content = show_arrays()
    content["body_pose_axis"] = np.zeros_like(content["body_pose_axis"])
    motion = read_show(write_show(tmp_path, content=[content]), hands=write_own(tmp_path)).motion
    assert (motion.keypoints[:, 0, 1] < motion.keypoints[:, 1, 1]).all(), "the nose above the neck"
    assert (motion.translations[:, 0, 0] > 0.5).all() and (motion.translations[:, 1, 0] < -0.5).all()


def write_own(folder):
    write_mano(folder / "own")
    return folder / "own"


def test_the_missing_model_files_are_named(tmp_path):
    path = write_show(tmp_path)
    with pytest.raises(EMO2Error, match=r"your own MANO or SMPL-X.*MANO_LEFT and MANO_RIGHT"):
        read_show(path)
    write_mano(tmp_path / "one", sides=("LEFT",))
    with pytest.raises(EMO2Error, match=r"PCA directions of 12 coefficients.*MANO_LEFT and MANO_RIGHT"):
        read_show(path, hands=tmp_path / "one")
    with pytest.raises(EMO2Error, match="a MANO or SMPL-X file, or a folder with one, but got nothing"):
        read_show(path, hands=tmp_path / "own")


@pytest.mark.parametrize("damage", ["hands_mean", "hands_components"])
@pytest.mark.parametrize("kind", ["npz", "pkl"])
def test_odd_model_files_are_refused(tmp_path, damage, kind):
    path = write_show(tmp_path)
    for value in (np.zeros(44), np.full(mano(0)[damage].shape, np.nan), None):
        arrays = mano(0) | {damage: value}
        arrays = {key: array for key, array in arrays.items() if array is not None}
        file = tmp_path / f"MANO_RIGHT.{kind}"
        np.savez(file, **arrays) if kind == "npz" else file.write_bytes(pickle.dumps(arrays))
        with pytest.raises(EMO2Error, match="hand model"):
            read_show(path, hands=file)


def test_a_folder_of_clips(tmp_path):
    for name in ("b", "a"):
        write_show(tmp_path / name, name)
    write_mano(tmp_path / "models")
    write_mano(tmp_path / "a", kind="pkl")
    found = list(read_folder(tmp_path, hands=tmp_path / "models"))
    assert [r.name for r in found] == ["a", "b"] and all(r.motion.fps == 25 for r in found)
    assert all(abs(len(r.waveform) / 16000 - 2) < 0.01 for r in found), "sound of 22 kHz"


class Opens:
    """A pickle that would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Evaluates:
    def __reduce__(self):
        return eval, ("__import__('os').getcwd()",)


HOSTILE = {
    "os": Opens,
    "eval": lambda path: Evaluates(),
    "nested": lambda path: {"global_orient": [[Opens(path)]]},
    "in an array": lambda path: {"betas": np.array([Opens(path)], object)},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_in_a_pickle_is_run(tmp_path, case):
    marker = tmp_path / "ran"
    path = write_show(tmp_path, content=HOSTILE[case](marker))
    with pytest.raises(EMO2Error, match="nothing of it was run") as caught:
        read_show(path, hands=tmp_path)
    assert not marker.exists() and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"cos\nsystem\n(S'true'\ntR.", b"cbuiltins\ngetattr\n.", b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93.",
        b"cnumpy\nload\n.", b"cnumpy.core.multiarray\nfromfile\n.", b"cnumpy\nndarray.tofile\n.",
        b"c_codecs\nopen\n.", b"cemo2.training.readers.show\nread_show\n.",
    ],
)  # fmt: skip
def test_only_plain_arrays_may_be_named(tmp_path, raw):
    path = tmp_path / "x.pkl"
    path.write_bytes(raw)
    with pytest.raises(EMO2Error, match="nothing of it was run"):
        read_plain_pickle(path, "recording", "Get it again.")


def test_tensors_are_refused_with_the_way_out(tmp_path):
    import torch

    path = write_show(tmp_path, content={"betas": torch.zeros(3)})
    with pytest.raises(EMO2Error, match=r"torch.*Save its tensors as NumPy arrays"):
        read_show(path)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_through_every_protocol(tmp_path, protocol):
    rng = np.random.default_rng(0)
    content = {
        "a": rng.normal(size=(3, 4)), "b": np.asfortranarray(rng.normal(size=(4, 3)).astype(np.float32)), "c": [1, 2.5],
        "d": {"e": np.float32(1.5), "f": "text", "g": None, "h": True}, "i": np.arange(3)[::-1], "j": np.int64(7),
    }  # fmt: skip
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = read_plain_pickle(path, "recording", "Get it again.")
    for name in "abi":
        assert np.array_equal(found[name], content[name]) and found[name].dtype == content[name].dtype
    assert found["c"] == [1, 2.5] and found["d"] == content["d"] and found["j"] == 7


def test_every_truncation_is_an_error(tmp_path):
    path = write_show(tmp_path, frames=3)
    whole = path.read_bytes()
    for length in [0, 1, 2, *range(10, len(whole) - 1, max(1, len(whole) // 60))]:
        path.write_bytes(whole[:length])
        with pytest.raises(EMO2Error, match=r"70395-00_02_39\.pkl"):
            read_show(path)


def bad(**changes):
    content = {key: value for key, value in (show_arrays() | changes).items() if value is not None}
    return lambda folder: write_show(folder, content=content)


BAD = {
    "no hands": (bad(left_hand_pose=None), "without left_hand_pose"),
    "no body": (bad(body_pose_axis=None, transl=None), "without body_pose_axis, transl"),
    "NaN": (bad(transl=np.full((60, 3), np.nan)), "finite numbers in transl"),
    "text": (bad(transl="far"), "numbers in transl"),
    "objects": (bad(transl=np.array([None] * 60)), "numbers in transl"),
    "unequal": (bad(transl=np.zeros((59, 3))), "59, 60"),
    "no frames": (bad(**{k: v[:0] for k, v in show_arrays().items() if np.ndim(v) > 1}), "shape"),
    "narrow": (bad(body_pose_axis=np.zeros((60, 20, 3))), r"shape \(F, 63\)"),
    "hands differ": (bad(left_hand_pose=np.zeros((60, 6))), "12 coefficients"),
    "too many": (bad(left_hand_pose=np.zeros((60, 46)), right_hand_pose=np.zeros((60, 46))), "12 coefficients"),
    "a number": (bad(left_hand_pose=3.0), "left_hand_pose of shape"),
    "a list": (lambda folder: write_show(folder, content=[1, 2]), "a dictionary of arrays"),
    "text only": (lambda folder: write_show(folder, content="hello"), "a dictionary of arrays"),
    "no sound": (lambda folder: write_show(folder, audio=False), "the sound of"),
    "no file": (lambda folder: folder / "nothing.pkl", "no file at"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_in_one_line(tmp_path, case):
    make, words = BAD[case]
    path = make(tmp_path / "data")
    with pytest.raises(EMO2Error, match=words) as caught:
        read_show(path, hands=write_own(tmp_path))
    assert "\n" not in str(caught.value) and path.stem in str(caught.value)
