"""Puppets painted ahead: records as they were painted, caches that go on, damage that is named."""

import json
import shutil

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.maps import keypoint_maps, mano_maps
from emo2.models.video import vae
from emo2.runner.cli import main
from emo2.training.puppets.cache import PuppetCache, Record, latents_path, record_path, write_cache
from emo2.training.puppets.hands import neutral_hands
from emo2.training.puppets.latents import encode_cache
from emo2.training.puppets.sampled import heard, sample_cache
from emo2.training.puppets.world import Puppet

COUNT, FRAMES, SIZE = 3, 5, (64, 48)


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("cache"), COUNT, seed=4, frames=FRAMES, size=SIZE)


@pytest.fixture
def folder(painted, tmp_path):
    return shutil.copytree(painted, tmp_path / "copy")


def test_a_record_is_a_stretch_of_its_puppet(painted):
    cache = PuppetCache(painted)
    assert len(cache) == COUNT and not cache.encoded
    for index in range(COUNT):
        record = cache[index]
        seconds = len(record.waveform) / 16000
        puppet = Puppet.draw(4 + index, "train", seconds=seconds)
        part = slice(record.start, record.start + FRAMES)
        assert len(record) == FRAMES and record.identity == 4 + index and record.style == puppet.performance.style
        assert np.array_equal(record.frames, puppet.video(SIZE, record.start, FRAMES))
        assert np.array_equal(record.frames_at([3, 1]), record.frames[[3, 1]])
        assert np.array_equal(record.reference, puppet.reference(SIZE))
        assert np.allclose(record.mouth, puppet.performance.mouth[part])
        assert np.array_equal(record.motion.rotations, puppet.motion.rotations[part])
        assert record.first == (record.start == 0)
        maps = record.maps_at([2])[0]
        assert np.array_equal(maps[..., :3], mano_maps(record.motion, neutral_hands(), SIZE)[2])
        assert np.array_equal(maps[..., 3:], keypoint_maps(record.motion, SIZE)[2])
        assert np.abs(record.waveform - puppet.performance.waveform).max() < 1e-4
        assert record.hands.shape == (FRAMES, 2, 21, 2) and record.latents is None


def test_mouth_and_hands_are_where_the_record_says(painted):
    """Hand points lie on the hands of the map; the mouth lies inside the picture's upper half."""
    for index in range(COUNT):
        record = PuppetCache(painted)[index]
        drawn = record.maps[..., 2] > 0
        for frame in range(FRAMES):
            for hand in np.flatnonzero(record.visible[frame]):
                x, y = (record.hands[frame, hand, [0, 5, 9, 13]] * SIZE[::-1]).T
                inside = (x > 1) & (x < SIZE[1] - 2) & (y > 1) & (y < SIZE[0] - 2)
                hits = [drawn[frame, int(b) - 1 : int(b) + 2, int(a) - 1 : int(a) + 2].any() for a, b in zip(x, y)]
                assert all(np.array(hits)[inside])
        assert (record.mouth_places[:, 1] < SIZE[0] / 2).all() and (record.mouth_places > 0).all()


def test_painting_goes_on_where_it_was_stopped(folder):
    (folder / "cache.json").unlink()
    kept = record_path(folder, 0)
    before = kept.stat().st_mtime_ns
    lost = record_path(folder, 1).read_bytes()
    record_path(folder, 1).unlink()
    with pytest.raises(EMO2Error, match=r"cache\.json"):
        PuppetCache(folder)
    write_cache(folder, COUNT, seed=4, frames=FRAMES, size=SIZE)
    assert kept.stat().st_mtime_ns == before
    again = PuppetCache(folder)[1]
    record_path(folder, 1).write_bytes(lost)
    assert np.array_equal(again.frames, PuppetCache(folder)[1].frames)


def test_processes_share_the_work(folder):
    for path in folder.glob("*.npz"):
        path.unlink()
    (folder / "cache.json").unlink()
    write_cache(folder, COUNT, seed=4, frames=FRAMES, size=SIZE, part=(1, 2))
    assert [p.stem for p in folder.glob("*.npz")] == ["00001"] and not (folder / "cache.json").exists()
    write_cache(folder, COUNT, seed=4, frames=FRAMES, size=SIZE, part=(0, 2))
    assert len(PuppetCache(folder)) == COUNT


def test_another_data_set_does_not_mix_in(folder):
    with pytest.raises(EMO2Error, match="seed 4"):
        write_cache(folder, COUNT, seed=5, frames=FRAMES, size=SIZE)


def test_damage_is_named(folder):
    path = record_path(folder, 1)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(EMO2Error, match=r"00001\.npz"):
        PuppetCache(folder)[1]
    path.unlink()
    with pytest.raises(EMO2Error, match=r"1 of 3 missing.*00001\.npz"):
        PuppetCache(folder)
    (folder / "cache.json").write_text("{")
    with pytest.raises(EMO2Error, match="damaged"):
        PuppetCache(folder)


def test_latents_are_those_of_the_autoencoder(folder, tmp_path):
    file = vae.write_tiny(tmp_path / "vae.safetensors", seed=1)
    encode_cache(folder, file)
    cache = PuppetCache(folder)
    module, _ = load_checkpoint(file, "vae", vae.build)
    truth = vae.encode(module, torch.from_numpy(cache[2].frames).float() / 255).numpy()
    assert cache.encoded and cache[2].latents.dtype == np.float16
    assert np.abs(cache[2].latents - truth).max() < 2e-3 * np.abs(truth).max() + 1e-3
    assert cache[2].reference_latents.shape == truth.shape[1:]
    first = latents_path(record_path(folder, 0))
    before = first.stat().st_mtime_ns
    encode_cache(folder, file)
    assert first.stat().st_mtime_ns == before, "what is there stays"
    encode_cache(folder, vae.write_tiny(tmp_path / "other.safetensors", seed=2))
    assert first.stat().st_mtime_ns != before, "another autoencoder, other latents"
    first.write_bytes(first.read_bytes()[:100])
    with pytest.raises(EMO2Error, match=r"00000\.latents\.npy"):
        cache[0].latents  # noqa: B018


def test_the_command_paints(tmp_path, capsys):
    out = tmp_path / "made"
    assert main(["puppets", "--out", str(out), "--count", "1", "--frames", "3", "--split", "held-out"]) == 0
    assert json.loads((out / "cache.json").read_text())["split"] == "held-out" and len(PuppetCache(out)[0]) == 3
    assert main(["puppets", "--out", str(out), "--count", "0"]) == 2
    assert main(["puppets", "--out", str(out), "--part", "2/2"]) == 2
    assert "K/N" in capsys.readouterr().err


def test_sampled_latents_are_kept_until_the_networks_change(folder):
    made = []

    def sample(record):
        made.append(record.identity)
        return torch.full((len(record), 4, 2, 2), float(record.identity))

    for about, count in (({"networks": "a"}, 3), ({"networks": "a"}, 3), ({"networks": "b"}, 6)):
        sample_cache(folder, sample, about)
        assert len(made) == count
    record = PuppetCache(folder)[1]
    assert record.sampled_latents.dtype == np.float16 and (record.sampled_latents == record.identity).all()
    assert heard(record).shape == (round(len(record) / 25 * 16000),)
    with pytest.raises(EMO2Error, match="Run part 0 first"):
        sample_cache(folder, sample, {"networks": "c"}, part=(1, 2))
    record.path.with_suffix(".sampled.npy").write_bytes(b"half")
    with pytest.raises(EMO2Error, match=r"00001\.sampled\.npy"):
        PuppetCache(folder)[1].sampled_latents  # noqa: B018


def test_the_sound_of_a_record_begins_where_its_frames_do(folder):
    record = PuppetCache(folder)[0]
    later = Record(record.path, {**record.arrays, "mouth": record.mouth[:2]}, {**record.info, "start": 2})
    begin = round(2 / 25 * 16000)
    assert np.array_equal(heard(later), record.waveform[begin : 2 * begin])


def test_sampling_needs_all_networks(tmp_path, capsys):
    assert main(["puppets", "--out", str(tmp_path), "--video", "x.safetensors"]) == 2
    assert "no --vae and --audio" in capsys.readouterr().err and not list(tmp_path.iterdir())
