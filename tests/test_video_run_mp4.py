"""mp4 files: every frame at its time, the whole sound in sync, the same bytes each time, whole or not there."""

import resource
import subprocess
import sys
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.video.mp4 import exact_fps, join, write_mp4, write_segment
from emo2.models.video.sound import AAC_FRAME, sound_of
from emo2.models.video.video_file import VideoFile
from video_run_cases import files, track


def pictures(first: int, count: int, height: int = 64, width: int = 48) -> np.ndarray:
    """Coloured gradients; the brightness of the lower half says which frame it is."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for number in range(first, first + count):
        frame = np.stack([x * 4 % 256, y * 3 % 256, np.full_like(x, 90)], axis=-1)
        frame[height // 2 :] = 20 + (number * 37) % 211
        frames.append(frame.astype(np.uint8))
    return np.stack(frames)


def read(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        rate = Fraction(stream.average_rate)
        times = [frame.pts * stream.time_base for frame in frames]
        images = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
        length = stream.duration * stream.time_base
    return images, times, rate, length


def heard(path):
    """(samples (C, T), rate, start time) of the sound as a player gets it."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        start = frames[0].pts * stream.time_base
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), stream.rate, start


@pytest.mark.parametrize("fps", [12.5, 23.976, 24, 25, 29.97, 30, 60])
@pytest.mark.parametrize("sizes", [(1,), (2,), (24,), (24, 1), (24, 24, 3), (6, 6, 6, 2)])
def test_every_frame_is_there_at_its_time(tmp_path, fps, sizes):
    segments, first = [], 0
    for number, count in enumerate(sizes):
        segments.append(tmp_path / f"{number}.mp4")
        assert write_segment(segments[-1], pictures(first, count), fps) == count
        first += count
    assert join(segments, tmp_path / "all.mp4", fps) == first
    images, times, rate, length = read(tmp_path / "all.mp4")
    exact = exact_fps(fps)
    # mp4 counts in whole units; at 30 and 60 frames a second its file-wide unit of 1 ms rounds the length.
    assert rate == exact and abs(length - first / exact) <= Fraction(1, 1000)
    assert times == [number / exact for number in range(first)]
    wanted = pictures(0, first)
    assert np.abs(images[:, 40:, :].mean(axis=(1, 2, 3)) - wanted[:, 40:, :].mean(axis=(1, 2, 3))).max() < 3


def test_exact_rates():
    assert exact_fps(25.0) == 25 and exact_fps(29.97) == Fraction(30000, 1001) == exact_fps(30000 / 1001)
    assert exact_fps(23.976) == Fraction(24000, 1001) and exact_fps(59.94) == Fraction(60000, 1001)
    assert exact_fps(12.5) == Fraction(25, 2) and exact_fps(30.0) == 30


@pytest.mark.parametrize(
    "rate, channels, out_rate, out_channels",
    [
        (44100, 2, 44100, 2),
        (48000, 1, 48000, 1),
        (16000, 1, 16000, 1),
        (22050, 2, 22050, 2),
        (96000, 2, 96000, 2),
        (192000, 2, 48000, 2),
        (11000, 1, 11025, 1),
        (48000, 8, 48000, 1),
        (48000, 6, 48000, 1),
    ],
)
def test_the_sound_is_complete_and_in_sync(tmp_path, rate, channels, out_rate, out_channels):
    """Within one AAC frame of the input's length, no lag to the sample, at the input's rate where AAC knows it."""
    fps, seconds = 25, 2.34
    sound = sound_of(track(seconds, rate, channels))
    segments = []
    for number in range(3):
        segments.append(tmp_path / f"{number}.mp4")
        write_segment(segments[-1], pictures(20 * number, 20 if number < 2 else 19), fps)
    join(segments, tmp_path / "all.mp4", fps, sound)
    samples, got_rate, start = heard(tmp_path / "all.mp4")
    assert (got_rate, samples.shape[0], start) == (out_rate, out_channels, 0)
    wanted = np.concatenate(list(sound.blocks()), axis=1)
    assert abs(wanted.shape[1] - seconds * out_rate) <= 2
    assert 0 <= samples.shape[1] - wanted.shape[1] < AAC_FRAME
    for part in (slice(0, 20000), slice(-20000, None)):  # the beginning and the very end
        length = min(wanted.shape[1], samples.shape[1])
        one, other = samples[0, :length][part], wanted[0, :length][part]
        spectrum = np.fft.rfft(one, 2 * len(one)) * np.conj(np.fft.rfft(other, 2 * len(one)))
        assert np.argmax(np.fft.irfft(spectrum)) == 0, "the sound is shifted"
        assert np.corrcoef(one, other)[0, 1] > 0.98


def test_sound_longer_than_the_pictures_ends_with_them(tmp_path):
    write_mp4(tmp_path / "a.mp4", [pictures(0, 10)], 25, sound_of(track(3.0, 16000)))
    assert abs(heard(tmp_path / "a.mp4")[0].shape[1] - 0.4 * 16000) < AAC_FRAME


def test_a_range_takes_its_part_of_the_sound():
    sound = sound_of(track(3.0, 16000))
    part = sound.cut(1.0, 2.5)
    assert torch.equal(part.waveform, sound.waveform[:, 16000:40000])
    assert sound.cut(2.0, 9.0).waveform.shape[1] == 16000


def test_more_than_two_channels_are_heard_as_their_mean():
    audio = track(0.2, 16000, 8)
    blocks = np.concatenate(list(sound_of(audio).blocks()), axis=1)
    assert np.allclose(blocks, audio["waveform"][0].mean(dim=0, keepdim=True).numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "audio, words",
    [
        (None, "a sound"),
        ({"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}, "not empty"),
        ({"waveform": torch.full((1, 1, 9), float("nan")), "sample_rate": 16000}, "NaN"),
        ({"waveform": torch.zeros(2, 1, 9), "sample_rate": 16000}, "batch of 2"),
        ({"waveform": torch.zeros(1, 9), "sample_rate": 16000}, "channels"),
        ({"waveform": torch.zeros(1, 1, 9), "sample_rate": 0}, "sample rate"),
    ],
)
def test_wrong_sound(audio, words):
    with pytest.raises(EMO2Error, match=words) as caught:
        sound_of(audio)
    assert caught.value.input == "audio"


def test_colours_survive(tmp_path):
    """Flat colours come back within 8-bit video's rounding, because the file says which colour matrix it uses."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 160, 130], [255, 255, 255], [0, 0, 0]], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (6, 64, 48, 3))
    write_mp4(tmp_path / "a.mp4", frames, 25, crf=4)
    assert np.abs(read(tmp_path / "a.mp4")[0].astype(int) - frames).max() <= 6


def test_floats_and_stacks_are_the_same_video_as_bytes(tmp_path):
    whole = pictures(0, 5)
    write_mp4(tmp_path / "a.mp4", whole, 25)
    write_mp4(tmp_path / "b.mp4", [torch.from_numpy(whole[:2]) / 255, whole[2], torch.from_numpy(whole[3:]) / 255], 25)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_small_pictures_are_encoded_alike_every_time(tmp_path):
    """Without x264's processor-independent code, about one in ten of these files has other bytes than the rest."""
    colours = 255 / (1 + np.exp(-np.random.default_rng(2).normal(0, 1, (12, 4, 4, 3))))
    frames = np.stack([cv2.resize(coarse, (32, 32)) for coarse in colours]).astype(np.uint8)
    found = set()
    for number in range(40):
        litter = [np.random.default_rng(number + size).bytes(size) for size in (100, 5000, 70001, 300000)]
        write_segment(tmp_path / "a.mp4", frames, 25)
        found.add((tmp_path / "a.mp4").read_bytes())
        del litter
    assert len(found) == 1


def test_same_input_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_mp4(tmp_path / name, pictures(0, 30), 29.97, sound_of(track(1.0, 44100, 2)))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    "frames, words",
    [
        ([], "at least one frame"),
        ([np.zeros((63, 48, 3), np.uint8)], "even"),
        ([np.zeros((64, 48, 3), np.uint8), np.zeros((32, 48, 3), np.uint8)], "64 x 48"),
    ],
)
def test_wrong_pictures_leave_nothing_behind(tmp_path, frames, words):
    with pytest.raises(EMO2Error, match=words):
        write_mp4(tmp_path / "a.mp4", frames, 25)
    assert files(tmp_path) == []


def test_an_error_in_the_middle_leaves_nothing_behind(tmp_path):
    def broken():
        yield pictures(0, 4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mp4(tmp_path / "a.mp4", broken(), 25)
    assert files(tmp_path) == []


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from emo2.models.errors import EMO2Error
from emo2.models.video.mp4 import write_mp4
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
noise = np.random.default_rng(0).integers(0, 255, (40, 64, 48, 3)).astype(np.uint8)
try:
    write_mp4(Path(sys.argv[1]) / "a.mp4", noise, 25, crf=4)
except EMO2Error as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
def test_a_disk_that_fills_up_is_one_line_and_no_file(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True)
    assert "Free space" in done.stdout and done.stdout.count("\n") == 1, done.stdout + done.stderr
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EMO2Error, match="can be written"):
        write_mp4(tmp_path / "file" / "a.mp4", pictures(0, 2), 25)


def test_a_finished_file_as_a_video(tmp_path):
    write_mp4(tmp_path / "a.mp4", pictures(0, 7), 29.97, sound_of(track(0.2, 16000)))
    video = VideoFile(tmp_path / "a.mp4")
    parts = video.get_components()
    assert video.get_dimensions() == (48, 64) and parts.images.shape == (7, 64, 48, 3)
    assert parts.frame_rate == Fraction(30000, 1001) and parts.audio["sample_rate"] == 16000
    video.save_to(tmp_path / "b.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
