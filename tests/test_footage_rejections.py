"""Each reason to leave a clip out, each by footage that deserves it; and what is not one."""

import csv

import cv2
import numpy as np
import pytest
from emo2.training.footage import clip as clips
from emo2.training.footage.prepare import plan_clips, prepare
from footage_cases import SIZE, Knowing, Scenes, moved, numbered, settings
from video_cases import write_video
from video_run_cases import one_thread  # noqa: F401


@pytest.fixture(scope="module")
def scene():
    return Scenes().puppet(5, 30)


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """What becomes of the one clip of a video: its row in the report. No hand is fitted: most clips never get there."""
    monkeypatch.setattr(clips, "_motion", unfitted(clips._motion, clips.motion_of_points))

    def judge(frames, people, sound=True, fps=25, **changes):
        path = tmp_path / "video.mp4"
        count = len(people)
        voice = np.sin(np.arange(count * 640) / 7)[None].astype(np.float32) * 0.3 if sound else None
        write_video(path, numbered(frames), fps=fps, sound=voice)
        prepare([path], tmp_path / "set", settings(**changes), lambda: Knowing(people))
        with open(tmp_path / "set/report.csv", newline="") as stream:
            [row] = csv.DictReader(stream)
        return row

    return judge


def unfitted(real, quick):
    def motion(*arguments):
        clips.motion_of_points = lambda *a: quick(*a, fit=False)
        try:
            return real(*arguments)
        finally:
            clips.motion_of_points = quick

    return motion


def hidden(seen, hands=True, face=False, shoulders=False):
    if hands:
        seen = seen._replace(hand_scores=seen.hand_scores * 0, hands=seen.hands * 0)
    if face:
        seen = seen._replace(face_scores=seen.face_scores * 0, face=seen.face * 0)
    if shoulders:
        scores = seen.body_scores.copy()
        scores[[1, 2, 5]] = 0
        seen = seen._replace(body_scores=scores, body=seen.body * (scores > 0)[:, None])
    return seen


def shrunk(frames, people, factor):
    """The person small, in the middle of a large empty room."""
    out = np.full_like(frames, 128)
    size = round(SIZE[0] * factor), round(SIZE[1] * factor)
    top, left = (SIZE[0] - size[0]) // 2, (SIZE[1] - size[1]) // 2
    for i, frame in enumerate(frames):
        out[i, top : top + size[0], left : left + size[1]] = cv2.resize(frame, size[::-1])
    rate, shift = np.array(size[::-1]) / SIZE[::-1], np.array([left, top]) / SIZE[::-1]
    put = lambda points, scores: np.where(scores[..., None] > 0, points * rate + shift, 0)
    seen = [s._replace(body=put(s.body, s.body_scores), hands=put(s.hands, s.hand_scores),
                       face=put(s.face, s.face_scores), box=s.box * np.tile(rate, 2) + np.tile(shift, 2))
            for s in people]  # fmt: skip
    return out, seen


def test_good_footage_is_kept(judged, scene):
    row = judged(scene.frames[0], scene.people)
    assert row["kept"] == "yes" and row["reason"] == "" and float(row["present"]) == 1
    assert float(row["people"]) == 1 and float(row["overlap"]) == 0 and float(row["wander"]) < 0.02


def test_nobody(judged, scene):
    assert judged(scene.frames[0], [()] * 30)["reason"] == "no person"


def test_somebody_who_leaves(judged, scene):
    people = [*scene.people[:18], *[()] * 12]
    row = judged(scene.frames[0], people)
    assert row["reason"] == "no person" and "40%" in row["detail"]


@pytest.mark.parametrize(
    ("what", "reason"),
    [({"hands": True}, "hands never visible"), ({"hands": False, "face": True}, "face never visible"),
     ({"hands": False, "shoulders": True}, "no shoulders")],
)  # fmt: skip
def test_parts_that_are_never_seen(judged, scene, what, reason):
    assert judged(scene.frames[0], [hidden(seen, **what) for seen in scene.people])["reason"] == reason


def test_a_hand_that_is_seen_now_and_then_is_enough(judged, scene):
    people = [seen if i % 5 == 0 else hidden(seen) for i, seen in enumerate(scene.people)]
    assert judged(scene.frames[0], people)["kept"] == "yes"


def test_too_small(judged, scene):
    frames, people = shrunk(scene.frames[0], scene.people, 0.22)
    row = judged(frames, people)
    assert row["reason"] == "person too small" and float(row["enlarged"]) > 2


def test_too_close_and_cut_off(judged, scene):
    row = judged(scene.frames[0], scene.people, closest=0.3)
    assert row["reason"] == "person too close"


def test_at_the_edge(judged, scene):
    frames = np.roll(scene.frames[0], 75, axis=2)
    people = [moved(seen, 75 / SIZE[1]) for seen in scene.people]
    assert judged(frames, people, closest=1.0)["reason"] == "person cut off"


def test_blurred(judged, scene, tmp_path):
    sharp = judged(scene.frames[0], scene.people, sharpness=0.0)
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 5) for frame in scene.frames[0]])
    (tmp_path / "set").rename(tmp_path / "first")
    row = judged(blurred, scene.people, sharpness=0.02)
    assert row["reason"] == "too blurred" and float(row["sharpness"]) < 0.02 < float(sharp["sharpness"]) / 5


def test_too_short(judged, scene):
    row = judged(scene.frames[0][:15], scene.people[:15])
    assert row["reason"] == "too short" and row["detail"] == "0.60 s"


@pytest.mark.parametrize("silent_ok", [False, True])
def test_without_sound(judged, scene, tmp_path, silent_ok):
    from emo2.training.puppets.cache import PuppetCache

    row = judged(scene.frames[0], scene.people, sound=False, silent_ok=silent_ok)
    assert (row["kept"], row["reason"]) == (("yes", "") if silent_ok else ("no", "no sound"))
    if silent_ok:
        heard = PuppetCache(tmp_path / "set")[0].waveform
        assert len(heard) == 30 * 640 and not heard.any()


def test_a_head_that_jumps(judged, scene):
    """The picture hides it (the cut would be found), the points tell."""
    people = [*scene.people[:15], *(moved(seen, 0.2) for seen in scene.people[15:])]
    row = judged(scene.frames[0], people)
    assert row["reason"] == "jump cut" and float(row["leap"]) > 0.35


def test_people_over_each_other(judged, scene):
    beside = [(seen, moved(seen, 0.75)._replace(score=0.5)) for seen in scene.people]
    over = [(seen, moved(seen, 0.3)._replace(score=0.5)) for seen in scene.people]
    assert judged(scene.frames[0], over)["reason"] == "several people overlapping"
    assert float(judged_share(beside)) < 0.15


def judged_share(people):
    from emo2.training.footage.camera import Camera
    from emo2.training.footage.people import Watched, follow, overlapped

    looks = [[np.full(18, 1 / 18)] * len(crowd) for crowd in people]
    watched = Watched([list(crowd) for crowd in people], looks, Camera(25), SIZE)
    return overlapped(watched, follow(watched, 25), 0).max()


@pytest.mark.parametrize(("speed", "reason"), [(0.0, ""), (0.25, ""), (2.0, "camera moving")])
def test_a_camera_that_moves(judged, scene, speed, reason):
    """The room goes by behind somebody who stays where they are, as when a camera follows."""
    rng = np.random.default_rng(0)
    room = cv2.GaussianBlur(rng.integers(0, 256, (SIZE[0], SIZE[1] * 3, 3), dtype=np.uint8), (0, 0), 3)
    room = cv2.normalize(room, None, 0, 255, cv2.NORM_MINMAX)
    frames = scene.frames[0].copy()
    for i, (frame, seen) in enumerate(zip(frames, scene.people)):
        left, _, right, _ = seen.box
        free = np.ones(SIZE[1], bool)
        free[int(left * SIZE[1]) : int(right * SIZE[1])] = False
        at = round(i * speed)
        frame[:, free] = room[:, at : at + SIZE[1]][:, free]
    row = judged(frames, scene.people)
    assert row["reason"] == reason and float(row["zoom"]) < 0.08


def test_frame_rates(judged, scene):
    row = judged(scene.frames[0][:20], scene.people[:20], fps=10)
    assert row["reason"] == "frame rate too low" and "10.00" in row["detail"]
    assert plan_clips_of_rate(scene, 16)["rejected"] is None


def plan_clips_of_rate(scene, fps):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "v.mp4", scene.frames[0], fps=fps)
        return plan_clips(path, settings())


def test_broken_files(tmp_path, scene):
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "empty.mov").touch()
    good = scene.write(tmp_path / "whole.mp4")
    (tmp_path / "half.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    names = ["noise.mp4", "empty.mov", "half.mp4"]
    summary = prepare([tmp_path / name for name in names], tmp_path / "set", settings(), lambda: Knowing([]))
    assert summary["left_out"] == {"broken file": {"clips": 3, "seconds": 0.0}} and summary["videos_done"] == 3
    assert summary["records"] == 0 and not (tmp_path / "set/cache.json").exists()
    with open(tmp_path / "set/report.csv", newline="") as stream:
        assert all(row["detail"] for row in csv.DictReader(stream))


def test_what_a_detector_lacks_stops_everything(tmp_path, scene):
    """A missing package is no fault of the video."""
    from emo2.models.errors import EMO2Error

    path = scene.write(tmp_path / "v.mp4")

    class Lacking(Knowing):
        def detect(self, frames):
            raise EMO2Error("detector", "the package", "none", "Install it.")

    with pytest.raises(EMO2Error, match="Install it"):
        prepare([path], tmp_path / "set", settings(), lambda: Lacking([]))
    assert prepare([path], tmp_path / "set", settings(), lambda: Knowing(scene.people))["records"] > 0
