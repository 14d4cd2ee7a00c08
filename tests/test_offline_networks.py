"""The files of the offline detector: what is shipped, from where, and what is said when something is missing."""

import gzip
import re
import shutil
import sys

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.pose import offline_body, offline_face, offline_hands
from emo2.models.pose.offline import OfflineDetector
from emo2.models.pose.offline_networks import FOLDER, Networks

NAMES = {
    offline_body.DETECTOR, offline_body.LANDMARKS, offline_face.LANDMARKS, offline_hands.RECROP, offline_hands.PALMS,
    offline_hands.LANDMARKS,
}  # fmt: skip


def test_what_is_shipped_is_what_is_used_with_its_licence():
    files = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert files == {f"{name}.tflite.gz" for name in NAMES} | {"LICENSE", "NOTICE", "prepare.py"}
    notice, licence = (FOLDER / "NOTICE").read_text(), (FOLDER / "LICENSE").read_text()
    assert "mediapipe 0.10.21" in notice and "CHANGED" in notice and "Apache License" in licence
    total = 0
    for name in NAMES:
        size = (FOLDER / f"{name}.tflite.gz").stat().st_size
        told = re.search(rf"^ *{name}\.tflite\.gz .* ([\d.]+) MB$", notice, re.MULTILINE)
        assert told and float(told[1]) == pytest.approx(size / 1e6, abs=0.006)
        total += size
    assert total <= 16_000_000, "these come beside the 40 MB of the pack's own networks"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_file_is_a_tensorflow_lite_file_and_packs_to_the_same_bytes(name):
    packed = (FOLDER / f"{name}.tflite.gz").read_bytes()
    data = gzip.decompress(packed)
    assert data[4:8] == b"TFL3" and packed[4:8] == bytes(4), "a time in a packed file changes it at each packing"


SHAPES = {
    offline_body.DETECTOR: (224, -1.0, [(2254, 12), (2254, 1)]),
    offline_body.LANDMARKS: (256, 0.0, [(195,), (1,), (64, 64, 39)]),
    offline_hands.RECROP: (256, 0.0, [(1, 1, 4)]),
    offline_hands.PALMS: (192, 0.0, [(2016, 18), (2016, 1)]),
    offline_hands.LANDMARKS: (224, 0.0, [(63,), (1,), (1,), (63,)]),
    offline_face.LANDMARKS: (192, 0.0, [(1, 1, 1404), (1, 1, 1)]),
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_networks_give_the_outputs_that_are_read(name):
    side, low, shapes = SHAPES[name]
    networks = Networks(1)
    grey = np.full((side, side, 3), 128, np.uint8)
    outputs = networks.run(name, grey, low)
    assert [output.shape for output in outputs] == shapes and all(np.isfinite(output).all() for output in outputs)
    again = networks.run(name, grey, low)
    assert all(np.array_equal(a, b) for a, b in zip(outputs, again))
    bright = networks.run(name, np.full((side, side, 3), 255, np.uint8), low)
    assert any(not np.array_equal(a, b) for a, b in zip(outputs, bright))


def test_nothing_is_opened_before_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    detector = OfflineDetector()
    detector.reset()
    with pytest.raises(EMO2Error, match=r"ai-edge-litert.*pip install ai-edge-litert"):
        detector.detect(np.zeros((1, 32, 32, 3), np.uint8))


def test_a_missing_or_damaged_file_is_named(tmp_path):
    name, grey = offline_hands.RECROP, np.zeros((256, 256, 3), np.uint8)
    with pytest.raises(EMO2Error, match=rf"{name}\.tflite\.gz.*no file"):
        Networks(1, tmp_path).run(name, grey)
    path = tmp_path / f"{name}.tflite.gz"
    shutil.copy(FOLDER / path.name, path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", gzip.compress(b"nothing of the kind"), whole[:-1000] + bytes(1000)):
        path.write_bytes(damaged)
        with pytest.raises(EMO2Error, match=rf"whole file {name}"):
            Networks(1, tmp_path).run(name, grey)


def test_threads_below_none_are_refused():
    with pytest.raises(EMO2Error, match="threads"):
        OfflineDetector(threads=-1)
