"""Streaming into a file: killed in the middle and started again, it ends in the same bytes."""

import gc
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import video_run_cases as cases
import video_run_job
from emo2.models.errors import EMO2Error
from emo2.models.video import conditions as video_conditions
from emo2.models.video import job as jobs
from emo2.models.video.conditions import Settings
from emo2.models.video.decode import decode_video
from emo2.models.video.sampler import sample_video
from emo2.models.video.stream import stream_video
from video_run_cases import CONFIG, files, one_thread  # noqa: F401
from video_run_job import FRAMES, SETTINGS, run

SCRIPT = Path(video_run_job.__file__)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("uninterrupted")
    made = run(folder)
    assert files(folder) == ["take_00001_.mp4"] and (made.frames, made.resumed) == (FRAMES, 0)
    return made.path.read_bytes()


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_the_file_shows_the_sampled_video(tmp_path, uninterrupted):
    (tmp_path / "a.mp4").write_bytes(uninterrupted)
    model = cases.network()
    latents = sample_video(model, cases.conditions(model, FRAMES), SETTINGS, count=FRAMES)
    pixels = decode_video(cases.LinearVAE(), latents).numpy() * 255
    shown = frames_of(tmp_path / "a.mp4")
    assert shown.shape == pixels.shape == (FRAMES, *CONFIG.size, 3)
    assert np.abs(shown - pixels).mean() < 6 and np.abs(shown[1:] - pixels[:-1]).mean() > 12


@pytest.mark.parametrize("where, finished", [("step 1", 0), ("step 5", 2), ("segment 2", 2), ("join", 4), ("tidy", 4)])
def test_killed_and_started_again_it_is_the_same_file(tmp_path, uninterrupted, where, finished):
    """SIGKILL in a clip, in the middle of a segment, while joining, and after the file got its name."""
    command = [sys.executable, str(SCRIPT), str(tmp_path), *where.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "take_00001_.mp4").exists() == (where == "tidy")
    steps = []
    made = run(tmp_path, lambda done, total, preview: steps.append((done, total)))
    assert made.resumed == finished
    assert steps == [(number, 8) for number in range(2 * finished + 1, 9)], "only what was missing is made"
    assert made.path.read_bytes() == uninterrupted
    assert files(tmp_path) == ["take_00001_.mp4"]


def test_killed_from_outside_again_and_again(tmp_path, uninterrupted):
    """Each process is killed after its third step; the job still gets done."""
    for _ in range(2):
        command = [sys.executable, str(SCRIPT), str(tmp_path), "never"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(3):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
    made = run(tmp_path)
    assert made.resumed >= 2 and made.path.read_bytes() == uninterrupted


def stop_at(number: int):
    def on_step(done, total, preview):
        if done == number:
            raise KeyboardInterrupt

    return on_step


def test_another_job_has_a_folder_and_a_number_of_its_own(tmp_path, uninterrupted):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at(5))
    other = run(tmp_path, seed=4)
    assert (other.path.name, other.resumed) == ("take_00002_.mp4", 0)
    assert other.path.read_bytes() != uninterrupted
    made = run(tmp_path)
    assert (made.path.name, made.resumed) == ("take_00001_.mp4", 2) and made.path.read_bytes() == uninterrupted
    again = run(tmp_path)
    assert (again.path.name, again.resumed) == ("take_00003_.mp4", 0), "a finished job is not taken up again"


def test_a_file_of_the_same_name_is_never_overwritten(tmp_path, uninterrupted):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at(3))
    (tmp_path / "take_00001_.mp4").write_bytes(b"somebody else's")
    made = run(tmp_path)
    assert made.path.name == "take_00002_.mp4" and made.path.read_bytes() == uninterrupted
    assert (tmp_path / "take_00001_.mp4").read_bytes() == b"somebody else's"


def test_a_job_that_lost_its_latents_begins_again(tmp_path, uninterrupted):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at(5))
    for latents in tmp_path.rglob("latents_*.npy"):
        latents.unlink()
    made = run(tmp_path)
    assert made.resumed == 0 and made.path.read_bytes() == uninterrupted


def test_a_job_in_work_is_left_to_its_owner(tmp_path):
    with jobs.open_job(tmp_path, "take", "same", 3) as first, jobs.open_job(tmp_path, "take", "same", 3) as second:
        assert first.folder != second.folder and (first.name, second.name) == ("take_00001_.mp4", "take_00002_.mp4")
    with jobs.open_job(tmp_path, "take", "same", 3) as third:
        assert third.folder == first.folder


def test_a_manifest_cannot_lead_out_of_the_folder(tmp_path):
    with jobs.open_job(tmp_path, "take", "same", 3) as job:
        manifest = json.loads((job.folder / "job.json").read_text())
    (job.folder / "job.json").write_text(json.dumps(manifest | {"name": "../../evil.mp4"}))
    with jobs.open_job(tmp_path, "take", "same", 3) as other:
        assert other.folder != job.folder


def test_the_fingerprint_sees_every_input():
    model = cases.network()
    known, vae = cases.conditions(model, 6), cases.LinearVAE()
    from emo2.models.video.sound import sound_of
    from emo2.models.video.stream import job_fingerprint

    sound = sound_of(cases.track(0.24))
    base = (vae, known, SETTINGS, "model", 0, 6, sound, 17, 0.0)
    louder = replace(sound, waveform=sound.waveform * 0.5)

    class OtherVAE(cases.LinearVAE):
        def decode(self, latents):
            return 1 - super().decode(latents)

    def other(**changes):
        values = {name: getattr(known, name) for name in ("reference", "motion", "audio", "hands")} | changes
        return type(known)(CONFIG, **values)

    variants = [base, (OtherVAE(), *base[1:])]
    for changed in (
        other(reference=cases.reference(model, seed=4)), other(motion=cases.motion(6, seed=8)), other(motion=None),
        other(audio=cases.sound(6, seed=6)), other(audio=None), other(hands=None),
    ):  # fmt: skip
        variants.append((vae, changed, *base[2:]))
    variants += [(*base[:2], replace(SETTINGS, seed=4), *base[3:]), (*base[:2], replace(SETTINGS, cfg=1.6), *base[3:])]
    variants += [(*base[:3], "other", *base[4:]), (*base[:4], 1, *base[5:]), (*base[:5], 5, *base[6:])]
    variants += [(*base[:6], louder, 17, 0.0), (*base[:6], None, 17, 0.0), (*base[:7], 18, 0.0)]
    variants += [(*base[:8], 1.0)]
    found = [job_fingerprint(*variant) for variant in variants]
    assert len(set(found)) == len(found) and job_fingerprint(*base) == found[0]


def test_a_range_has_its_pictures_and_its_sound(tmp_path):
    from emo2.models.video.sound import sound_of

    model = cases.network()
    known, settings = cases.conditions(model, FRAMES), Settings(seed=3, steps=1, cfg=1.0)
    sound = sound_of(cases.track(FRAMES / 25, 16000))
    made = stream_video(
        model, cases.LinearVAE(), known, settings, folder=tmp_path, prefix="a", model_fingerprint="m", start=5,
        count=10, sound=sound,
    )  # fmt: skip
    latents = sample_video(model, known, settings, start=5, count=10)
    pixels = decode_video(cases.LinearVAE(), latents).numpy() * 255
    assert np.abs(frames_of(made.path) - pixels).mean() < 6
    with av.open(str(made.path)) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0]
    wanted = sound.waveform[0, 3200:9600].numpy()
    assert 0 <= len(samples) - len(wanted) < 1024 and np.corrcoef(samples[: len(wanted)], wanted)[0, 1] > 0.98


def test_the_wrong_vae_is_noticed_before_any_work(tmp_path):
    model, vae = cases.network(), cases.LinearVAE()
    vae.latent_channels = 4
    with pytest.raises(EMO2Error, match="VAE with 12 latent channels"):
        stream_video(model, vae, cases.conditions(model, 6), SETTINGS, folder=tmp_path / "new", prefix="a",
                     model_fingerprint="m", count=6)  # fmt: skip
    assert files(tmp_path) == []


def test_a_disk_that_fills_up_keeps_the_finished_clips(tmp_path, uninterrupted, monkeypatch):
    write = jobs.mp4.write_segment

    def full(path, frames, fps, crf):
        if path.name == "clip_00002.mp4":
            raise OSError(28, "No space left on device")
        return write(path, frames, fps, crf)

    monkeypatch.setattr(jobs.mp4, "write_segment", full)
    with pytest.raises(EMO2Error, match=r"No space left on device.*run it again") as caught:
        run(tmp_path)
    assert caught.value.input == "filename_prefix" and not (tmp_path / "take_00001_.mp4").exists()
    monkeypatch.undo()
    made = run(tmp_path)
    assert made.resumed == 2 and made.path.read_bytes() == uninterrupted


def test_memory_does_not_grow_with_the_length(tmp_path):
    """Nothing keeps pictures, maps or latents of clips that are done."""
    alive = {}

    def count(done, total, preview):
        if done in (3, 6, 9):
            gc.collect()
            tensors = [found for found in gc.get_objects() if type(found) is torch.Tensor]
            alive[done] = sum(tensor.numel() for tensor in tensors)

    model = cases.network()
    known = cases.conditions(model, 60)
    stream_video(model, cases.LinearVAE(), known, Settings(steps=1, cfg=1.0), folder=tmp_path, prefix="a",
                 model_fingerprint="m", count=60, on_step=count)  # fmt: skip
    assert alive[9] <= alive[6] <= alive[3] * 1.001


def test_the_memory_for_maps_is_bounded(monkeypatch):
    monkeypatch.setattr(video_conditions, "MAP_CACHE_BYTES", 10 * 6 * 32 * 32)
    known = cases.conditions(cases.network(), 60)
    for first in range(0, 60, 6):
        known.maps(np.arange(first, first + 6), remember=True)
        assert len(known._slots) <= 10


def test_an_arrays_fingerprint_is_its_contents(tmp_path, monkeypatch):
    """In memory, mapped from a file, a view, another memory order: the same; one number changed: another."""
    monkeypatch.setattr(jobs, "BLOCK", 1000)
    array = np.random.default_rng(0).random((50, 7, 9)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    same = [array, mapped, mapped[:], np.asfortranarray(array), torch.from_numpy(array)]
    assert len({jobs.fingerprint({"a": value}) for value in same}) == 1
    rest = [jobs.fingerprint({"a": value}) for value in (mapped[1:], array[1:], array[:-1])]
    assert rest[0] == rest[1] != rest[2]
    changed = array.copy()
    changed[49, 6, 8] += 1e-6
    assert jobs.fingerprint({"a": changed}) != jobs.fingerprint({"a": array})
