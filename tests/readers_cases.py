"""Synthetic recordings and model files in the layouts of BEAT2, SHOW, MANO and SMPL-X."""

import pickle

import numpy as np
import soundfile

JOINTS = 55
"""SMPL-X's joints; the first 22 are the body's."""


def poses(seed=0, frames=60, size=0.2):
    """(F, 165) axis-angle: arms half down, everything swaying."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / 30
    values = size * np.sin(2 * np.pi * (rng.uniform(0.2, 0.8, 165) * time + rng.random(165)))
    values[:, 16 * 3 + 2] -= 0.9
    values[:, 17 * 3 + 2] += 0.9
    return values


def sound(path, seconds, rate=16000, seed=0):
    rng = np.random.default_rng(seed)
    soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * rate)), rate)


def write_beat2(folder, name="1_a_0_1_1", frames=60, audio=True, **changes):
    """A BEAT2 recording of `frames` at 30 fps; `changes` replace arrays, None takes one away."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "betas": np.linspace(-1, 1, 300), "poses": poses(frames=frames), "expressions": np.zeros((frames, 100)),
        "trans": np.tile([0.1, 1.3, 0.2], (frames, 1)), "model": np.array("smplx"), "gender": np.array("neutral"),
        "mocap_frame_rate": np.array(30),
    }  # fmt: skip
    arrays = {key: value for key, value in (arrays | changes).items() if value is not None}
    np.savez(folder / f"{name}.npz", **arrays)
    if audio:
        sound(folder / f"{name}.wav", frames / 30)
    return folder / f"{name}.npz"


def show_arrays(frames=60, coefficients=12):
    body = poses(seed=1, frames=frames)
    rng = np.random.default_rng(2)
    return {
        # A body in the camera's axes stands on its head: half a turn about x.
        "global_orient": np.tile([[[np.pi, 0, 0]]], (frames, 1, 1)), "body_pose_axis": body[:, 3:66].reshape(-1, 21, 3),
        "left_hand_pose": rng.normal(0, 0.5, (frames, coefficients)),
        "right_hand_pose": rng.normal(0, 0.5, (frames, coefficients)),
        "transl": np.tile([0.0, 0.3, 12.0], (frames, 1)), "betas": np.zeros((frames, 300)), "batch_size": frames,
    }  # fmt: skip


def write_show(folder, name="70395-00_02_39", frames=60, audio=True, content=None):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.pkl"
    path.write_bytes(pickle.dumps(show_arrays(frames) if content is None else content))
    if audio:
        sound(folder / f"{name}.wav", frames / 30, rate=22000)
    return path


def mano(seed):
    """hands_mean and hands_components as in a MANO file."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(45, 45)))[0]
    return {"hands_mean": rng.normal(0, 0.3, 45), "hands_components": basis}


def write_mano(folder, sides=("LEFT", "RIGHT"), kind="npz"):
    """MANO files with what the fingers need; returns the contents by side."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {side: mano(len(side)) for side in sides}
    for side, arrays in content.items():
        if kind == "npz":
            np.savez(folder / f"MANO_{side}.npz", **arrays)
        else:
            (folder / f"MANO_{side}.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    return content


def write_smplx(path, shapes=20, seed=3, vertices=80):
    """An SMPL-X file with what the skeleton and the fingers need; returns its arrays."""
    rng = np.random.default_rng(seed)
    regressor = rng.random((JOINTS, vertices)) ** 8
    arrays = {
        "v_template": rng.normal(0, 0.5, (vertices, 3)), "shapedirs": rng.normal(0, 0.02, (vertices, 3, shapes)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
    }  # fmt: skip
    left, right = mano(4), mano(5)
    arrays |= {"hands_meanl": left["hands_mean"], "hands_meanr": right["hands_mean"]}
    arrays |= {"hands_componentsl": left["hands_components"], "hands_componentsr": right["hands_components"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    # The official files also hold pickled dictionaries, which nobody needs.
    np.savez(path, part2num=np.array({"global": 0}, dtype=object), **arrays)
    return arrays
