"""The nodes of hands and maps: sizes, lists of files, memory warning, progress."""

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.maps import mano_maps, openpose_maps
from emo2.models.types import Framing
from emo2.nodes import NODE_CLASS_MAPPINGS, host, maps
from hands_cases import mano_arrays, random_motion

RENDERERS = ["EMO2RenderManoMaps", "EMO2RenderKeypointMaps", "EMO2DrawOpenPose"]


@pytest.fixture(autouse=True)
def outside(monkeypatch, tmp_path):
    """A models folder of our own."""
    monkeypatch.setattr(host, "outside", host.Outside(models=[tmp_path], quiet=True))
    return tmp_path


def run(name, **inputs):
    made = NODE_CLASS_MAPPINGS[name]()
    return getattr(made, made.FUNCTION)(**inputs)


def choices():
    return NODE_CLASS_MAPPINGS["EMO2LoadHands"].INPUT_TYPES()["required"]["hands"][0]


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("width, height, want", [
    (0, 0, (96, 64)), (32, 0, (48, 32)), (0, 48, (48, 32)), (40, 24, (24, 40)),
])  # fmt: skip
def test_sizes(name, width, height, want):
    motion = random_motion(0, 19, Framing(size=(96, 64)))
    (images,) = run(name, motion=motion, width=width, height=height)
    assert images.shape == (19, *want, 3) and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1 and images.any()


def test_images_are_the_maps():
    motion, hands = random_motion(1, 20, Framing(size=(96, 64))), load_hands()
    (images,) = run("EMO2RenderManoMaps", motion=motion, width=0, height=0, hands=hands)
    assert np.array_equal((images * 255).round().to(torch.uint8).numpy(), mano_maps(motion, hands))
    (images,) = run("EMO2DrawOpenPose", motion=motion, draw_body=False, stick_width=7.0)
    want = openpose_maps(motion, hands, body=False, stick_width=7.0)
    assert np.array_equal((images * 255).round().to(torch.uint8).numpy(), want)


def test_the_list_shows_neutral_first_and_the_user_s_files(outside):
    assert choices() == ["neutral"]
    (outside / "mano").mkdir()
    (outside / "emo2" / "mano").mkdir(parents=True)
    np.savez(outside / "mano" / "mine.npz", **mano_arrays(1))
    np.savez(outside / "emo2" / "mano" / "MANO_RIGHT.npz", **mano_arrays(2))
    np.savez(outside / "emo2" / "motion.npz", a=1)
    assert choices()[0] == "neutral" and set(choices()) == {"neutral", "mine.npz", "mano/MANO_RIGHT.npz"}
    for name, seed in (("mine.npz", 1), ("mano/MANO_RIGHT.npz", 2)):
        (hands,) = run("EMO2LoadHands", hands=name)
        assert np.allclose(hands.right.v_template, mano_arrays(seed)["v_template"])
    (hands,) = run("EMO2LoadHands", hands="neutral")
    assert hands.name == "neutral"


def test_errors_name_the_node(outside):
    with pytest.raises(EMO2Error, match=r"^EMO2 Load Hands, hands: expected .*gone.npz"):
        run("EMO2LoadHands", hands="gone.npz")
    (outside / "mano").mkdir()
    np.savez(outside / "mano" / "MANO_RIGHT.npz", v_template=np.zeros((778, 3)))
    with pytest.raises(EMO2Error, match=r"^EMO2 Load Hands, hands: .*without f, weights"):
        run("EMO2LoadHands", hands="MANO_RIGHT.npz")
    with pytest.raises(EMO2Error, match=r"^EMO2 Render MANO Maps, width: expected a number from 0 to"):
        run("EMO2RenderManoMaps", motion=random_motion(), width=-8, height=0)


def test_a_batch_that_fills_the_memory_is_announced(monkeypatch):
    motion = random_motion(0, 4, Framing(size=(96, 64)))
    run("EMO2RenderKeypointMaps", motion=motion)
    assert not host.outside.warnings

    class Small:
        total = 4 * 96 * 64 * 3 * 4 * 2 - 1

    monkeypatch.setattr(maps.psutil, "virtual_memory", lambda: Small)
    run("EMO2RenderKeypointMaps", motion=motion)
    assert "EMO2 Stream Video" in host.outside.warnings[0]


def test_cancel_stops_between_chunks(monkeypatch):
    ticks = []

    class Cancelled(BaseException):
        pass

    class Progress(host.Progress):
        def tick(self, count=1, preview=None):
            ticks.append(count)
            if len(ticks) == 2:
                raise Cancelled

    monkeypatch.setattr(maps.host, "Progress", Progress)
    with pytest.raises(Cancelled):
        run("EMO2RenderManoMaps", motion=random_motion(0, 100, Framing(size=(96, 64))))
    assert ticks == [maps.CHUNK, maps.CHUNK]
