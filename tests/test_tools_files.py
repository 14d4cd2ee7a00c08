"""Motion files: lossless, whole or not at all, and safe to open whatever they hold."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.motion.files import load_motion, save_motion, write_whole
from emo2.models.types import FRAME_FIELDS, Framing
from hypothesis import given
from hypothesis import strategies as st
from motion_cases import gestures


@given(st.integers(0, 1000), st.integers(1, 12), st.floats(1, 240), st.floats(0.05, 1), st.floats(-0.5, 1.5))
def test_saving_and_loading_loses_nothing(tmp_path_factory, seed, count, fps, width, x):
    framing = Framing((x, 0.1 + width), width, (123, 457), 321.0987654321)
    motion = gestures(seed, count, framing=framing).replace(fps=fps)
    back = load_motion(save_motion(motion, tmp_path_factory.mktemp("m") / "a.npz"))
    assert back.fps == motion.fps and back.framing == motion.framing
    for name in FRAME_FIELDS:
        one, other = getattr(back, name), getattr(motion, name)
        assert one.dtype == other.dtype and np.array_equal(one, other)


def test_the_same_motion_gives_the_same_bytes(tmp_path):
    a, b = (save_motion(gestures(3, 5), tmp_path / name) for name in ("a.npz", "b.npz"))
    assert a.read_bytes() == b.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.npz", "b.npz"]


def test_a_plain_numpy_reads_it(tmp_path):
    path = save_motion(gestures(0, 5), tmp_path / "a.npz")
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["rotations"].shape == (5, 2, 16, 4) and int(arrays["version"]) == 1


def test_what_fails_half_way_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"before")

    def broken(stream):
        stream.write(b"half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        write_whole(path, broken)
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["a.npz"]


def rewritten(path, **changes):
    """The file with some arrays changed (None: left out)."""
    with np.load(path) as arrays:
        new = {**arrays, **changes}
    with open(path, "wb") as stream:
        np.savez(stream, **{k: v for k, v in new.items() if v is not None})
    return path


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save_motion(gestures(0, 4), tmp_path / "a.npz")


@pytest.mark.parametrize("spoil, said", [
    (lambda p: p.unlink(), "no file"),
    (lambda p: p.write_bytes(b""), "empty"),
    (lambda p: p.write_bytes(p.read_bytes()[:-200]), "truncated or damaged"),
    (lambda p: p.write_bytes(p.read_bytes()[:3000] + bytes(300) + p.read_bytes()[3300:]), "damaged"),
    (lambda p: p.write_bytes(pickle.dumps(Evil())), "pickle"),
    (lambda p: p.write_bytes(b"<html>"), "another kind"),
    (lambda p: np.savez(p, a=np.zeros(3)), "another kind"),
    (lambda p: write_whole(p, lambda s: np.save(s, np.zeros(3))), "single .npy"),
    (lambda p: rewritten(p, format=np.array("else")), "emo2-motion"),
    (lambda p: rewritten(p, version=np.array(99)), "version 1"),
    (lambda p: rewritten(p, translations=None), "without translations"),
    (lambda p: rewritten(p, rotations=np.array([Evil()], dtype=object)), "plain array"),
    (lambda p: rewritten(p, translations=np.zeros((3, 2, 3), np.float32)), "shape"),
    (lambda p: rewritten(p, translations=np.full((4, 2, 3), np.nan, np.float32)), "NaN"),
    (lambda p: rewritten(p, rotations=np.zeros((4, 2, 16, 4), np.float32)), "unit quaternions"),
    (lambda p: rewritten(p, fps=np.array(-3.0)), "fps"),
    (lambda p: rewritten(p, fps=np.array(["a", "b"])), "damaged"),
    (lambda p: rewritten(p, framing=np.zeros(2)), "damaged"),
    (lambda p: rewritten(p, translations=np.array(["x"] * 24).reshape(4, 2, 3)), "numbers"),
])  # fmt: skip
def test_bad_files_are_refused_in_one_line(saved, spoil, said):
    spoil(saved)
    with pytest.raises(EMO2Error) as caught:
        load_motion(saved)
    assert said in str(caught.value) and "\n" not in str(caught.value) and "motion_file" in str(caught.value)
    assert not (saved.parent / "pwned").exists()


def test_a_bomb_is_refused_before_it_is_unpacked(saved):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 2, 16, 4)})
    with zipfile.ZipFile(saved) as old:
        members = {i.filename: old.read(i) for i in old.infolist()}
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in members.items():
            # A header that promises half a gigabyte in front of nothing.
            new.writestr(name, header.getvalue() if name == "rotations.npy" else data)
    with pytest.raises(EMO2Error, match="damaged"):
        load_motion(saved)
