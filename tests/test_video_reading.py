"""Reading videos as they are met: any rate, uneven times, turned by a phone, one frame, 4K, damaged."""

import io
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.video.read_frames import BLOCK_BYTES, PictureFrames, VideoFrames, scaled_size
from emo2.models.video.read_sound import cut_sound, read_sound, silence
from emo2.models.video.sampling import sampled
from hypothesis import given
from hypothesis import strategies as st
from video_cases import MATRICES, number_of, pictures, shown, turn, write_video

RATES = st.sampled_from([Fraction(5), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(120)])


def timed(gaps):
    times = np.cumsum([Fraction(0), *[Fraction(gap, 1000) for gap in gaps]])
    return [(time, length, i) for i, (time, length) in enumerate(zip(times, [Fraction(g, 1000) for g in [*gaps, 40]]))]


@given(st.lists(st.integers(1, 400), max_size=30), RATES)
def test_each_instant_shows_the_last_frame_that_has_begun(gaps, fps):
    frames = timed(gaps)
    found = [i for _, i, n in sampled(iter(frames), fps) for _ in range(n)]
    end = frames[-1][0] + frames[-1][1]
    assert len(found) == -(-(end * fps) // 1)
    for j, i in enumerate(found):
        assert i == max(k for k, (time, _, _) in enumerate(frames) if time <= (j + Fraction(1, 2)) / fps)


@given(st.lists(st.integers(1, 200), min_size=5, max_size=30), RATES, st.integers(1, 300), st.integers(1, 300))
def test_stretches_that_follow_each_other_share_no_frame_and_leave_none_out(gaps, fps, first, second):
    frames, play = timed(gaps), lambda *span: [i for _, i, n in sampled(iter(frames), fps, *span) for _ in range(n)]
    cuts = sorted({round(first / 1000, 3), round(second / 1000, 3)})
    spans = [(0.0, cuts[0]), *([(cuts[0], cuts[1])] if len(cuts) == 2 else []), (cuts[-1], 0.0)]
    parts = []
    for span in spans:
        try:
            parts += play(*span)
        except EMO2Error as error:
            assert "at least one frame" in str(error) or "before the video's end" in str(error)
    assert parts == play()


@given(RATES, st.integers(1, 200))
def test_at_its_own_rate_every_frame_is_shown_once(fps, count):
    frames = [(i / fps, 1 / fps, i) for i in range(count)]
    assert [(i, n) for _, i, n in sampled(iter(frames), fps)] == [(i, 1) for i in range(count)]


def test_times_that_do_not_move_on_replace_the_frame_before():
    second = Fraction(1)
    frames = [(0 * second, second, "a"), (second, second, "b"), (second / 2, second, "c"), (2 * second, second, "d")]
    assert [(i, n) for _, i, n in sampled(iter(frames), second)] == [("a", 1), ("c", 1), ("d", 1)]


def numbers(frames, *args):
    """The numbers of the pictures of every output frame."""
    blocks = list(frames.blocks(*args))
    return [number_of(p) for b in blocks for p, n in zip(b.pictures, b.repeats) for _ in range(n)]


def test_a_plain_video(tmp_path):
    video = VideoFrames(write_video(tmp_path / "a.mp4", pictures(20)))
    assert (video.size, video.rate, video.estimate()) == ((32, 48), 25, 20)
    assert numbers(video) == list(range(20)) and numbers(video, 0, 0.2, 0.4) == [5, 6, 7, 8, 9]
    assert numbers(video, 50) == [i // 2 for i in range(40)] and numbers(video, 12.5) == list(range(1, 20, 2))
    (block,) = video.blocks()
    np.testing.assert_allclose(block.times, np.arange(20) / 25)


@pytest.mark.parametrize("fps", [5, 120])
def test_slow_and_fast_video(tmp_path, fps):
    video = VideoFrames(write_video(tmp_path / "a.mp4", pictures(fps // 5 + 5), fps))
    assert abs(video.rate - fps) < 1e-3 and numbers(video) == list(range(fps // 5 + 5))
    at = (np.arange(len(numbers(video, 25))) + 0.5) / 25
    assert numbers(video, 25) == np.minimum(np.floor(at * fps + 1e-9), fps // 5 + 4).tolist()
    blocks = list(video.blocks(25))
    assert sum(len(block.pictures) for block in blocks) <= fps // 5 + 5  # no picture twice


def test_variable_frame_rate(tmp_path):
    times = np.cumsum([0, 0.04, 0.04, 0.5, 0.01, 0.2, 0.033, 0.033])
    video = VideoFrames(write_video(tmp_path / "a.mp4", pictures(8), times=times))
    found = numbers(video, 25)
    expected = [np.flatnonzero(times <= (i + 0.5) / 25 + 1e-4)[-1] for i in range(len(found))]
    assert found == expected and len(found) >= times[-1] * 25


@pytest.mark.parametrize("how", list(MATRICES))
def test_a_phone_held_another_way(tmp_path, how):
    video = VideoFrames(turn(write_video(tmp_path / "a.mp4", pictures(3)), how))
    (block,) = video.blocks()
    expected = shown(pictures(3)[1], how)
    assert video.size == expected.shape[:2] == block.pictures.shape[1:3]
    assert np.abs(block.pictures[1].astype(int) - expected).mean() < 8
    (small,) = video.blocks(0, 0, 0, 24)
    assert small.pictures.shape[1:3] == scaled_size(expected.shape[:2], 24)
    assert (small.pictures[1].mean((0, 1)) - expected.mean((0, 1)) < 6).all()


def test_one_frame(tmp_path):
    video = VideoFrames(write_video(tmp_path / "a.mp4", pictures(1)))
    assert numbers(video) == [0] and numbers(video, 5) == [0]


def test_a_late_start_reads_only_what_follows(tmp_path):
    frames = pictures(200)
    video = VideoFrames(write_video(tmp_path / "a.mp4", frames))
    assert numbers(video, 0, 7.6) == [i % 36 for i in range(190, 200)]
    with pytest.raises(EMO2Error, match=r"start_second.*8\.00 s"):
        numbers(video, 0, 8.0)


def test_a_trimmed_video_begins_at_its_own_zero(tmp_path):
    path = write_video(tmp_path / "a.mp4", pictures(20))
    video = VideoFrames(path, trim=(0.2, 0.4))
    assert numbers(video) == list(range(5, 15))
    assert video.estimate() == 10 and numbers(video, 0, 0.2, 9) == list(range(10, 15))
    assert numbers(VideoFrames(io.BytesIO(path.read_bytes()))) == list(range(20))


def test_4k_never_lies_in_memory_whole(tmp_path):
    frames = np.broadcast_to(pictures(1, (2160, 3840)), (14, 2160, 3840, 3))
    video = VideoFrames(write_video(tmp_path / "a.mkv", frames, codec="mpeg4"))
    assert video.size == (2160, 3840)
    tracemalloc.start()
    count = sum(len(block.pictures) for block in video.blocks())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 14 and most < 3 * BLOCK_BYTES < 14 * 2160 * 3840 * 3
    (block,) = video.blocks(0, 0, 0.2, 640)
    assert block.pictures.shape == (5, 360, 640, 3)


def broken(tmp_path, kind):
    good = write_video(tmp_path / "a.mp4", pictures(30)).read_bytes()
    data = {"empty": b"", "text": b"no video" * 100, "cut": good[: len(good) // 2], "sound": None}[kind]
    path = tmp_path / "bad.mp4"
    if data is None:
        import soundfile

        path = tmp_path / "bad.wav"
        soundfile.write(path, np.zeros(1000), 16000)
    else:
        path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "sound"])
def test_broken_files_are_one_line(tmp_path, kind):
    with pytest.raises(EMO2Error) as error:
        list(VideoFrames(broken(tmp_path, kind)).blocks())
    assert "\n" not in str(error.value) and "bad." in str(error.value)
    with pytest.raises(EMO2Error, match=r"nobody\.mp4"):
        VideoFrames(tmp_path / "nobody.mp4")


@pytest.mark.parametrize(
    "span, said", [((-1.0, 0), "start_second"), ((3.0, 2.0), "end_second"), ((0.01, 0.02), "frame")]
)
def test_stretches_that_cannot_be(tmp_path, span, said):
    with pytest.raises(EMO2Error, match=said):
        list(VideoFrames(write_video(tmp_path / "a.mp4", pictures(5))).blocks(0, *span))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_in_memory(channels):
    images = torch.from_numpy(pictures(10)).float() / 255
    images = images[..., :1] if channels == 1 else torch.cat([images, images[..., :1]], -1)[..., :channels]
    frames = PictureFrames(images, 25)
    assert frames.size == (32, 48) and numbers(frames) == list(range(10)) and frames.estimate(50) == 20
    assert numbers(frames, 50, 0.2) == [5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
    (block,) = frames.blocks(0, 0, 0, 24)
    assert block.pictures.shape == (10, 16, 24, 3)
    (whole,) = frames.blocks()
    if channels > 1:
        np.testing.assert_array_equal(whole.pictures, pictures(10))
    for bad in (torch.zeros(2, 3), torch.zeros(0, 4, 4, 3), None):
        with pytest.raises(EMO2Error, match="pictures"):
            PictureFrames(bad, 25)


def tone(seconds, rate=16000, hertz=440.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)[None]


def test_the_sound_belongs_to_its_pictures(tmp_path):
    samples = np.concatenate([np.zeros((1, 8000)), tone(0.5), np.zeros((1, 8000))], axis=1)
    path = write_video(tmp_path / "a.mp4", pictures(30), sound=samples)
    audio = read_sound(path, 0.0, 1.2)
    assert audio["waveform"].shape == (1, 1, 19200) and audio["sample_rate"] == 16000
    heard = audio["waveform"][0, 0].numpy()
    assert np.abs(heard[:7500]).max() < 0.05 < 0.3 < np.abs(heard[8400:15500]).max()
    assert np.corrcoef(heard[8400:15500], samples[0, 8400:15500])[0, 1] > 0.98
    later = read_sound(path, 0.6, 1.6)["waveform"][0, 0].numpy()
    assert len(later) == 16000 and np.allclose(later[:5000], heard[9600:14600], atol=2e-2) and not later[14500:].any()


def test_a_sound_that_begins_later(tmp_path):
    path = write_video(tmp_path / "a.mkv", pictures(30), sound=tone(0.6), sound_starts=0.5)
    heard = read_sound(path, 0.0, 1.2)["waveform"][0, 0].numpy()
    assert np.abs(heard[:7000]).max() < 0.02 and np.abs(heard[9000:15000]).max() > 0.4


def test_silent_videos_and_sounds_in_memory(tmp_path):
    assert read_sound(write_video(tmp_path / "a.mp4", pictures(3)), 0, 1) is None
    audio = {"waveform": torch.arange(10.0)[None, None] / 10, "sample_rate": 10}
    assert torch.allclose(cut_sound(audio, 0.8, 1.2)["waveform"], torch.tensor([[[0.8, 0.9, 0, 0]]]))
    quiet = silence(0.5)
    assert quiet["waveform"].shape == (1, 1, 22050) and not quiet["waveform"].any()


@pytest.mark.shared
def test_a_real_video(shared):
    video = VideoFrames(shared / "data" / "video" / "speaker_gesturing.mp4")
    assert video.size == (1920, 1080) and video.rate == 25 and video.estimate() == 502
    (block,) = video.blocks(5, 10, 11, 480)
    assert block.pictures.shape == (5, 480, 270, 3) and block.pictures.std() > 20
    assert read_sound(video.source, 10, 11)["waveform"].abs().max() > 0.01
