"""EMO2 Extract Pose: one person out of any video, with a detector that finds painted people."""

from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.errors import EMO2Error
from emo2.models.pose.extraction import choose, identities, points_of, watch
from emo2.models.types import Framing, Motion
from emo2.models.video.read_frames import PictureFrames, VideoFrames
from emo2.models.video.video_file import VideoFile
from emo2.nodes import host, video_input
from emo2.runner.core_nodes.video import Components, VideoFromComponents, VideoFromFile
from people_cases import hands_of, seen_of, walker
from video_cases import turn, write_video

SIZE = (120, 160)
RED, BLUE = (220, 40, 40), (40, 60, 220)


@dataclass
class Painted:
    """Finds each coloured rectangle of a picture as a person: neck at a fifth of its height, shoulders its width."""

    name: str = "the painted-people detector"
    calls: list = field(default_factory=list)
    sizes: list = field(default_factory=list)
    resets: int = 0
    shoulders: bool = True

    def reset(self):
        self.resets += 1

    def detect(self, frames):
        self.calls.append(len(frames))
        self.sizes.append(frames.shape[1:3])
        return [self.people(frame.astype(int)) for frame in frames]

    def people(self, frame):
        found = []
        for mask in (frame[..., 0] - frame[..., 2] > 60, frame[..., 2] - frame[..., 0] > 60):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if mask.sum() < 30:
                continue
            left, right = columns[0] / mask.shape[1], (columns[-1] + 1) / mask.shape[1]
            top, bottom = rows[0] / mask.shape[0], (rows[-1] + 1) / mask.shape[0]
            neck = [(left + right) / 2, top + 0.2 * (bottom - top)]
            body = walker([0.0], neck, (right - left) * 0.8, seed=0)[0]
            scores = np.full(18, 0.9)
            if not self.shoulders:
                scores[[1, 2, 5]] = 0
            scores[9] = 0.2
            seen = seen_of(body, hands_of(body[None], right - left)[0], scores)
            found.append(seen._replace(box=np.array([left, top, right, bottom])))
        return found


def painted(places, colours=(RED, BLUE), size=SIZE):
    """Frames (F, H, W, 3) with a rectangle of each colour whose left edge is at places (F, P); NaN: not there."""
    frames = np.full((len(places), *size, 3), 90, np.uint8)
    for f, row in enumerate(places):
        for x, colour in zip(row, colours):
            if np.isfinite(x):
                left = round(x * size[1])
                frames[f, size[0] // 4 : -size[0] // 8, max(left, 0) : max(left + size[1] // 5, 0)] = colour
    return frames


def places(count, *ways):
    return np.stack([np.broadcast_to(way, count) for way in ways], axis=1).astype(float)


def extract(**values):
    node = NODE_CLASS_MAPPINGS["EMO2ExtractPose"]
    defaults = {name: options["default"] for name, (_, options) in node.INPUT_TYPES()["required"].items()}
    answer = node().extract(**{**defaults, **values})
    return SimpleNamespace(**dict(zip(node.RETURN_NAMES, answer)))


@pytest.fixture
def warnings(monkeypatch):
    monkeypatch.setattr(host.outside, "warnings", [])
    monkeypatch.setattr(host.outside, "quiet", True)
    return host.outside.warnings


def images_of(frames):
    return torch.from_numpy(frames).float() / 255


def neck_x(motion):
    return motion.keypoints[:, 1, 0]


def test_a_video_with_its_sound(tmp_path, warnings):
    tone = 0.3 * np.sin(np.arange(24000) / 8)[None]
    path = write_video(tmp_path / "a.mp4", painted(places(30, np.linspace(0.2, 0.6, 30))), sound=tone)
    finder = Painted()
    made = extract(video=VideoFile(path), detector=finder)
    assert isinstance(made.motion, Motion) and len(made.motion) == made.frame_count == 30 and made.fps == 25.0
    assert finder.resets == 1 and sum(finder.calls) == 30
    np.testing.assert_allclose(neck_x(made.motion), np.linspace(0.3, 0.7, 30), atol=0.012)
    assert made.framing == made.motion.framing and made.framing.size == SIZE
    assert made.motion.visible.all() and (made.motion.keypoint_scores[:, 9] == 0).all()
    assert made.audio["waveform"].shape == (1, 1, 19200) and made.audio["waveform"].abs().max() > 0.2
    assert made.preview.shape[0] == 1 and made.preview.shape[2:] == (1200, 3) and made.preview.std() > 0.05
    frame = made.pose_keypoint[10]
    points = np.array(frame["people"][0]["pose_keypoints_2d"]).reshape(18, 3)
    assert (frame["canvas_width"], frame["canvas_height"]) == SIZE[::-1] and points[9, 2] == pytest.approx(0.2)
    np.testing.assert_allclose(points[1, :2] / SIZE[::-1], made.motion.keypoints[10, 1], atol=1e-5)
    assert not warnings


def test_pictures_in_memory_and_the_file_give_the_same(tmp_path, warnings):
    frames = painted(places(20, np.linspace(0.2, 0.6, 20)))
    path = write_video(tmp_path / "a.mp4", frames)
    file = extract(video=VideoFromFile(path), detector=Painted())
    batch = extract(images=images_of(frames), fps=25.0, detector=Painted())
    parts = extract(video=VideoFromComponents(Components(images_of(frames), None, Fraction(25))), detector=Painted())
    for other in (batch, parts):
        assert np.abs(other.motion.keypoints - file.motion.keypoints)[:, [1, 2, 5]].max() < 0.02 and other.fps == 25.0
    assert not batch.audio["waveform"].any() and batch.audio["waveform"].shape[-1] == round(0.8 * 44100)


def test_a_walker_crosses_and_either_can_be_followed(warnings):
    way = np.linspace(-0.3, 1.1, 100)
    frames = images_of(painted(places(100, 0.4, way)))  # blue in front of red
    first = extract(images=frames, fps=25.0, detector=Painted())
    np.testing.assert_allclose(neck_x(first.motion)[[0, 20, 80, 99]], 0.5, atol=0.02)
    other = extract(images=frames, fps=25.0, person=1, detector=Painted())
    picked = extract(images=frames, fps=25.0, pick_x=0.12, pick_y=0.5, pick_second=1.0, detector=Painted())
    seen = other.motion.keypoint_scores[:, 1] > 0
    np.testing.assert_allclose(neck_x(other.motion)[30:70], way[30:70] + 0.1, atol=0.02)
    np.testing.assert_array_equal(picked.motion.keypoints, other.motion.keypoints)
    assert seen[30:70].all() and not seen[0] and [bool(f["people"]) for f in other.pose_keypoint] == seen.tolist()
    with pytest.raises(EMO2Error, match="2 people"):
        extract(images=frames, fps=25.0, person=2, detector=Painted())
    with pytest.raises(EMO2Error, match="nobody is seen"):
        extract(images=frames, fps=25.0, pick_x=0.95, pick_y=0.05, detector=Painted())


def test_two_missing_seconds_are_survived_and_told(warnings):
    there = np.where((np.arange(150) >= 50) & (np.arange(150) < 100), np.nan, 0.4)
    made = extract(images=images_of(painted(places(150, there))), fps=25.0, detector=Painted())
    gone = np.isnan(there)
    assert len(made.motion) == 150 and (made.motion.visible.all(1) == ~gone).all()
    assert (made.motion.keypoint_scores[gone] == 0).all() and (made.motion.confidence[gone] == 0).all()
    assert "not seen in 33%" in warnings[0]


@pytest.mark.parametrize("own, fps", [(5, 25.0), (120, 25.0), (120, 0.0), (30, 24.0)])
def test_other_rates(tmp_path, warnings, own, fps):
    count = max(own, 10)
    path = write_video(tmp_path / "a.mp4", painted(places(count, np.linspace(0.1, 0.7, count))), own)
    finder = Painted()
    made = extract(video=VideoFile(path), fps=fps, detector=finder)
    rate = fps or own
    times = (np.arange(len(made.motion)) + 0.5) / rate
    assert made.fps == pytest.approx(rate, abs=1e-3) and len(made.motion) == round(count / own * rate)
    shown = np.minimum(np.floor(times * own + 1e-6), count - 1)
    np.testing.assert_allclose(neck_x(made.motion), 0.2 + 0.6 * shown / (count - 1), atol=0.015)
    assert sum(finder.calls) <= min(count, len(made.motion))  # no picture is looked at twice


def test_uneven_frames(tmp_path, warnings):
    times = np.cumsum([0.0] + [0.02, 0.07, 0.03, 0.04, 0.04] * 6)
    frames = painted(places(len(times), 0.1 + 0.5 * times / times[-1]))
    made = extract(video=VideoFile(write_video(tmp_path / "a.mp4", frames, times=times)), fps=25.0, detector=Painted())
    instants = (np.arange(len(made.motion)) + 0.5) / 25
    shown = times[np.searchsorted(times, instants + 1e-4, side="right") - 1]
    np.testing.assert_allclose(neck_x(made.motion), 0.2 + 0.5 * shown / times[-1], atol=0.015)


def test_a_phone_held_upright(tmp_path, warnings):
    upright = painted(places(10, 0.3), size=(160, 120))
    path = turn(write_video(tmp_path / "a.mp4", np.rot90(upright, 1, (1, 2))), 90)
    made = extract(video=VideoFile(path), detector=Painted())
    assert made.framing.size == (160, 120) and abs(made.framing.neck[0] - 0.4) < 0.02
    parts = VideoFromFile(path).get_components()
    assert np.abs(parts.images[3].numpy() * 255 - upright[3]).mean() < 8


def test_one_frame_and_one_picture(tmp_path, warnings):
    frame = painted(places(1, 0.3))
    for given in ({"video": VideoFile(write_video(tmp_path / "a.mp4", frame))}, {"images": images_of(frame)}):
        made = extract(detector=Painted(), **given)
        assert len(made.motion) == 1 and made.motion.visible.all() and made.preview.shape[0] == 1


def test_4k_is_scaled_down_for_the_detector(tmp_path, warnings):
    frames = painted(places(3, 0.3), size=(2160, 3840))
    path, finder = write_video(tmp_path / "a.mkv", frames, codec="mpeg4"), Painted()
    made = extract(video=VideoFile(path), longest_side=480, detector=finder)
    assert finder.sizes == [(270, 480)] and made.framing.size == (2160, 3840)
    extract(video=VideoFile(path), longest_side=0, end_second=0.04, detector=finder)
    assert finder.sizes[1] == (2160, 3840)


def test_a_stretch_of_the_video(tmp_path, warnings):
    way = np.linspace(0.1, 0.7, 50)
    path = write_video(tmp_path / "a.mp4", painted(places(50, way)), sound=np.sin(np.arange(32000) / 8)[None] * 0.3)
    made = extract(video=VideoFile(path), start_second=0.4, end_second=1.2, detector=Painted())
    np.testing.assert_allclose(neck_x(made.motion), way[10:30] + 0.1, atol=0.012)
    assert made.audio["waveform"].shape[-1] == 12800
    picked = extract(video=VideoFile(path), start_second=0.4, pick_x=0.3, pick_y=0.5, detector=Painted())
    assert len(picked.motion) == 40


def test_a_trimmed_video(tmp_path, warnings):
    """ComfyUI's newer VIDEO says which part of its file counts."""
    way = np.linspace(0.1, 0.7, 50)
    path = write_video(tmp_path / "a.mp4", painted(places(50, way)), sound=np.sin(np.arange(32000) / 8)[None] * 0.3)

    class Trimmed(VideoFile):
        def get_active_trim_window(self):
            return 0.4, 0.8

    made = extract(video=Trimmed(path), detector=Painted())
    np.testing.assert_allclose(neck_x(made.motion), way[10:30] + 0.1, atol=0.012)
    assert made.audio["waveform"].shape[-1] == 12800


def test_what_cannot_be_done_says_why(tmp_path, warnings):
    frames = images_of(painted(places(5, 0.3)))
    path = write_video(tmp_path / "a.mp4", painted(places(5, 0.3)))
    empty = images_of(painted(places(5, np.nan)))
    cases = [
        ({}, "one of the two"), ({"images": frames, "video": VideoFile(path)}, "both"), ({"images": frames}, "play"),
        ({"images": empty, "fps": 25.0}, "finds nobody"), ({"images": frames, "fps": 25.0, "person": 1}, "1 person is"),
        ({"images": frames, "fps": 25.0, "detector": Painted(shoulders=False)}, "without shoulders"),
        ({"images": frames, "fps": 25.0, "framing": Framing(size=(700, 500))}, "video's shape"),
        ({"images": frames, "fps": 25.0, "start_second": 5.0}, "before the video's end"),
        ({"video": VideoFile(tmp_path / "none.mp4")}, r"none\.mp4"), ({"video": 3.5}, "Load Video"),
    ]  # fmt: skip
    for values, said in cases:
        with pytest.raises(EMO2Error, match=said) as error:
            extract(**{"detector": Painted(), **values})
        assert "\n" not in str(error.value) and error.value.node == "EMO2 Extract Pose"


def test_a_framing_serves_somebody_without_shoulders(warnings):
    framing = Framing((0.4, 0.35), 0.15, SIZE)
    frames = images_of(painted(places(5, 0.3)))
    made = extract(images=frames, fps=25.0, framing=framing, detector=Painted(shoulders=False))
    assert made.framing == framing


def test_cancelling_stops_between_blocks(monkeypatch, warnings):
    class Cancelled(Exception):
        pass

    def cancel(self, count=1, preview=None):
        raise Cancelled

    finder = Painted()
    monkeypatch.setattr(host.Progress, "tick", cancel)
    with pytest.raises(Cancelled):
        extract(images=images_of(painted(places(100, 0.3))), fps=25.0, detector=finder)
    assert len(finder.calls) == 1 and finder.calls[0] < 100


def test_a_detector_that_miscounts_is_refused():
    finder = Painted()
    finder.detect = lambda frames: []
    with pytest.raises(EMO2Error, match="people of 5 pictures"):
        watch(PictureFrames(images_of(painted(places(5, 0.3))), 25), finder)


def test_watching_keeps_few_pictures_of_a_long_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", painted(places(400, 0.3), size=(48, 64)))
    seen = watch(VideoFrames(path), Painted(), 0, 0, 0, 0)
    assert 12 <= len(seen.kept) <= 24 and max(seen.kept) > 350
    tracks = identities(seen)
    assert points_of(seen, tracks, choose(seen, tracks, 0)).body_scores[:, 1].all()


def test_where_a_video_lies(tmp_path):
    """As ComfyUI's classes stand to each other: pictures in memory are not encoded to be read again."""
    from abc import ABC, abstractmethod

    class Input(ABC):
        @abstractmethod
        def get_components(self): ...

        def get_stream_source(self):
            raise AssertionError("this would encode the pictures")

    class FromPictures(Input):
        def get_components(self):
            return Components(images_of(painted(places(5, 0.3))), None, Fraction(25))

    class FromFile(Input):
        def get_components(self):
            raise AssertionError("this would load the whole file")

        def get_stream_source(self):
            return str(write_video(tmp_path / "a.mp4", painted(places(5, 0.3))))

    for video in (FromPictures(), FromFile()):
        assert video_input.footage(video).frames.estimate() == 5
