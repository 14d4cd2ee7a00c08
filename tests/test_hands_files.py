"""Reading MANO files: .npz and .pkl, pairs and single hands, and everything that must be refused."""

import io
import os
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.hands.files import NEEDED, read_hand
from hands_cases import mano_arrays


class Evil:
    """A pickle of this runs a command when it is opened naively."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def chumpy(monkeypatch):
    """A stand-in for the library whose objects the official files hold; gone again when the files are read."""
    made = {}
    for name, classes in (("chumpy", ()), ("chumpy.ch", ("Ch",)), ("chumpy.reordering", ("Select",))):
        module = types.ModuleType(name)
        for class_name in classes:
            made[class_name] = type(class_name, (), {"__module__": name})
            setattr(module, class_name, made[class_name])
        monkeypatch.setitem(sys.modules, name, module)

    def forget():
        for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
            monkeypatch.delitem(sys.modules, name)

    return made, forget


def write_pickle(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def same(a, b):
    return all(np.allclose(vars(a)[name], vars(b)[name]) for name in vars(a))


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text and text.startswith("hands: expected")
    return text


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_reads_like_an_npz(tmp_path, protocol):
    arrays = mano_arrays()
    np.savez(tmp_path / "MANO_RIGHT.npz", **arrays)
    official = arrays | {"J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"]), "bs_style": "lbs"}
    path = write_pickle(tmp_path / "right_mano.pkl", official, protocol)
    assert same(read_hand(path), read_hand(tmp_path / "MANO_RIGHT.npz"))


def test_smplx_reads_the_same_pickle(tmp_path):
    import smplx
    import torch

    arrays = mano_arrays(4)
    arrays["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    path = write_pickle(tmp_path / "MANO_RIGHT.pkl", arrays)
    turns = np.random.default_rng(0).normal(0, 0.5, (1, 16, 3))
    reference = smplx.MANO(str(path), use_pca=False, flat_hand_mean=True)
    with torch.no_grad():
        want = reference(
            global_orient=torch.tensor(turns[:, 0], dtype=torch.float32),
            hand_pose=torch.tensor(turns[:, 1:].reshape(1, 45), dtype=torch.float32),
        )
    from emo2.models.hands.quaternions import from_axis_angle

    rotations = np.stack([from_axis_angle(turns)] * 2, axis=1)
    wrists = np.stack([want.joints[:, 0].numpy()] * 2, axis=1)
    vertices, _ = load_hands(path).pose(rotations, wrists)
    assert np.abs(vertices[:, 1] - want.vertices.numpy()).max() < 1e-5


def test_chumpy_objects_are_reduced_to_their_numbers(tmp_path, chumpy):
    classes, forget = chumpy
    arrays = mano_arrays()
    plain = classes["Ch"]()
    plain.__dict__.update(x=arrays["v_template"], _dirty_vars={"x"}, dterms=("x",))
    source = classes["Ch"]()
    source.x = np.concatenate([np.zeros(7), arrays["shapedirs"].ravel()])
    select = classes["Select"]()
    select.__dict__.update(a=source, idxs=np.arange(7, source.x.size), preferred_shape=arrays["shapedirs"].shape)
    path = write_pickle(tmp_path / "MANO_RIGHT.pkl", arrays | {"v_template": plain, "shapedirs": select})
    np.savez(tmp_path / "plain.npz", **arrays)
    forget()
    assert same(read_hand(path), read_hand(tmp_path / "plain.npz"))


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_names_what_it_wanted_and_runs_nothing(tmp_path, protocol):
    trace = tmp_path / "ran"
    path = write_pickle(tmp_path / "MANO_RIGHT.pkl", mano_arrays() | {"v_template": Evil(trace)}, protocol)
    with pytest.raises(EMO2Error) as error:
        load_hands(path)
    assert "posix.system" in one_line(error) or "nt.system" in str(error.value)
    assert not trace.exists()


@pytest.mark.parametrize("name", [
    "builtins.eval", "builtins.getattr", "numpy.load", "numpy.core.multiarray.fromfile", "subprocess.Popen",
    "scipy.sparse.csr.numpy", "torch._utils._rebuild_tensor_v2",
])  # fmt: skip
def test_other_globals_are_refused(tmp_path, name):
    module, attribute = name.rsplit(".", 1)
    (tmp_path / "MANO_RIGHT.pkl").write_bytes(f"c{module}\n{attribute}\n(tR.".encode())
    with pytest.raises(EMO2Error) as error:
        load_hands(tmp_path / "MANO_RIGHT.pkl")
    assert name in one_line(error)


def test_what_is_admitted_cannot_be_misused(tmp_path):
    """Classes that a MANO pickle may name are no way to make other objects."""
    for code in (
        b"cnumpy\nndarray\n(I5\ntR.",
        b"ccopy_reg\n_reconstructor\n(cnumpy\ndtype\nNNtR.",
        b"c__builtin__\nobject\n(tR.",
    ):
        (tmp_path / "MANO_RIGHT.pkl").write_bytes(code)
        with pytest.raises(EMO2Error, match="a whole MANO"):
            load_hands(tmp_path / "MANO_RIGHT.pkl")


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
@pytest.mark.parametrize("dropped", [("weights",), ("posedirs", "kintree_table")])
def test_missing_arrays_are_listed(tmp_path, suffix, dropped):
    arrays = {k: v for k, v in mano_arrays().items() if k not in dropped}
    path = tmp_path / f"MANO_RIGHT{suffix}"
    np.savez(path, **arrays) if suffix == ".npz" else write_pickle(path, arrays)
    with pytest.raises(EMO2Error) as error:
        load_hands(path)
    assert f"without {', '.join(dropped)}." in one_line(error)


def spoil(arrays, key, change):
    return arrays | {key: change(arrays[key].copy())}


def poke(value):
    def change(array):
        array.flat[3] = value
        return array

    return change


@pytest.mark.parametrize("key, change, says", [
    ("v_template", lambda a: a[:, :2], "v_template of shape (778, 3)"),
    ("v_template", lambda a: a[:0], "v_template of shape"),
    ("weights", lambda a: a[:, :15], "weights of shape (778, 16)"),
    ("weights", poke(np.nan), "finite numbers in weights"),
    ("posedirs", lambda a: a[..., :134], "posedirs of shape (778, 3, 135)"),
    ("J_regressor", lambda a: a.T, "J_regressor of shape (16, 778)"),
    ("shapedirs", poke(np.inf), "finite numbers in shapedirs"),
    ("f", poke(778), "vertex numbers 0 to 777 in f"),
    ("kintree_table", lambda a: a[:, ::-1], "joint tree"),
    ("f", lambda a: np.full(a.shape, "x"), "numbers in f"),
])  # fmt: skip
def test_wrong_arrays_say_what_is_wrong(tmp_path, key, change, says):
    path = tmp_path / "MANO_RIGHT.npz"
    np.savez(path, **spoil(mano_arrays(), key, change))
    with pytest.raises(EMO2Error) as error:
        load_hands(path)
    assert says in one_line(error) and "MANO_RIGHT.npz" in str(error.value)


def test_damaged_and_foreign_files(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, **mano_arrays())
    cases = {
        "MANO_cut.npz": buffer.getvalue()[:5000],
        "MANO_empty.npz": b"",
        "MANO_text.pkl": b"<html>404</html>",
        "MANO_cut.pkl": pickle.dumps(mano_arrays())[:5000],
        "MANO_list.pkl": pickle.dumps([1, 2]),
        "MANO.txt": b"hello",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EMO2Error) as error:
            load_hands(tmp_path / name)
        assert name in one_line(error)
    np.savez(tmp_path / "MANO_objects.npz", **mano_arrays() | {"weights": np.array([None])})
    with pytest.raises(EMO2Error, match="could run code"):
        load_hands(tmp_path / "MANO_objects.npz")
    for missing in (tmp_path / "MANO_none.pkl", tmp_path / "no" / "folder"):
        with pytest.raises(EMO2Error, match="no file at"):
            load_hands(missing)
    (tmp_path / "empty").mkdir()
    with pytest.raises(EMO2Error, match="a folder with MANO_RIGHT"):
        load_hands(tmp_path / "empty")


def test_pairs_are_found_from_either_side_or_the_folder(tmp_path):
    write_pickle(tmp_path / "MANO_LEFT.pkl", mano_arrays(1))
    np.savez(tmp_path / "MANO_RIGHT.npz", **mano_arrays(2))
    models = [load_hands(tmp_path / name) for name in ("MANO_LEFT.pkl", "MANO_RIGHT.npz", "")]
    for model in models:
        assert np.allclose(model.left.v_template, mano_arrays(1)["v_template"])
        assert np.allclose(model.right.v_template, mano_arrays(2)["v_template"])


@pytest.mark.parametrize("side", ["LEFT", "RIGHT"])
def test_a_missing_side_is_the_mirror_image(tmp_path, side):
    np.savez(tmp_path / f"MANO_{side}.npz", **mano_arrays(3))
    model = load_hands(tmp_path / f"MANO_{side}.npz")
    given, made = (model.left, model.right) if side == "LEFT" else (model.right, model.left)
    assert np.allclose(given.v_template, mano_arrays(3)["v_template"])
    assert np.allclose(made.v_template * [-1, 1, 1], given.v_template)


def test_the_left_file_s_unmirrored_shape_is_put_right(tmp_path):
    """MANO_LEFT's shape directions along x have the right hand's sign; a file without the fault is left alone."""
    right = mano_arrays(3)
    flip = np.array([-1.0, 1.0, 1.0])[:, None]
    np.savez(tmp_path / "MANO_RIGHT.npz", **right)
    for name, shapedirs in (("faulty", right["shapedirs"]), ("correct", right["shapedirs"] * flip)):
        noise = np.random.default_rng(0).normal(0, 1e-4, shapedirs.shape)
        np.savez(
            tmp_path / "MANO_LEFT.npz",
            **right | {"v_template": right["v_template"] * flip.T, "shapedirs": shapedirs + noise},
        )
        left = load_hands(tmp_path).left
        assert np.allclose(left.shapedirs, right["shapedirs"] * flip, atol=1e-3), name


def test_hands_that_do_not_match_are_refused(tmp_path):
    np.savez(tmp_path / "MANO_LEFT.npz", **mano_arrays(1, vertices=700) | {"f": np.zeros((10, 3))})
    np.savez(tmp_path / "MANO_RIGHT.npz", **mano_arrays(1))
    with pytest.raises(EMO2Error, match="700 and 778"):
        load_hands(tmp_path)


def test_another_mesh_gets_fingertips_at_its_ends(tmp_path):
    arrays = mano_arrays(vertices=64) | {"f": np.array([[0, 1, 2]])}
    np.savez(tmp_path / "hand_RIGHT.npz", **arrays)
    tips = load_hands(tmp_path / "hand_RIGHT.npz").right.tips
    joints = arrays["J_regressor"] @ arrays["v_template"]
    for tip, joint in zip(tips, (15, 3, 6, 12, 9)):
        main = np.flatnonzero(arrays["weights"].argmax(1) == joint)
        far = np.linalg.norm(arrays["v_template"][main] - joints[joint], axis=1)
        assert tip == main[far.argmax()]


def test_names_needed_are_those_of_mano():
    assert set(NEEDED) <= set(mano_arrays())
