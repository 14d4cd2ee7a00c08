"""Videos of puppets prepared end to end: what is in the records, what is left out and why, stopping and going on."""

import csv
import json
import shutil
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from emo2.models.audio import write_tiny as write_encoder
from emo2.models.errors import EMO2Error
from emo2.models.video import vae
from emo2.runner.cli import main
from emo2.training.footage import clip as clips
from emo2.training.footage import prepare as preparing
from emo2.training.footage.prepare import find_videos, prepare
from emo2.training.footage.sheet import CELLS
from emo2.training.motion_data import check_sources, open_sources
from emo2.training.puppets.cache import PuppetCache
from emo2.training.puppets.latents import encode_cache
from emo2.training.readers.prepared import read_folder
from emo2.training.video_clip import VideoClipRecipe
from emo2.training.video_image import VideoImageRecipe
from footage_cases import FRAMES, PICTURE, SIZE, Knowing, Scenes, settings
from training_video_cases import NETWORK, fill
from video_run_cases import one_thread  # noqa: F401


def rows_of(folder):
    with open(folder / "report.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def contents(folder):
    """All arrays of all records, by their file's name."""
    out = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as archive:
            out |= {(path.name, name): archive[name].tobytes() for name in archive.files}
    return out


@pytest.fixture(scope="module")
def scenes():
    """Two puppets, the first for 30 frames, the second for 38, with nobody for 22 frames at the end."""
    made = Scenes().puppet(3, 30).puppet(5, 38)
    empty = np.full((22, *SIZE, 3), 90, np.uint8)
    empty[:, :, ::16] = 140
    return made.add(empty, [()] * 22, np.sin(np.arange(22 * 640) / 9) * 0.2)


@pytest.fixture(scope="module")
def video(scenes, tmp_path_factory):
    return scenes.write(tmp_path_factory.mktemp("footage") / "two people.mp4")


@pytest.fixture(scope="module")
def prepared(scenes, video, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "set"
    summary = prepare([video], folder, settings(), lambda: Knowing(scenes.people))
    return folder, summary


@pytest.fixture
def quickly(monkeypatch):
    """Hands by the first estimate: where only the way of the work is looked at."""
    monkeypatch.setattr(clips, "motion_of_points", partial(clips.motion_of_points, fit=False))


@pytest.fixture(scope="module")
def quick_set(scenes, video, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quick") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "motion_of_points", partial(clips.motion_of_points, fit=False))
        prepare([video], folder, settings(), lambda: Knowing(scenes.people))
    return folder


def test_shots_become_records(prepared, scenes, video):
    folder, summary = prepared
    assert scenes.starts == [0, 30, 68]
    rows = rows_of(folder)
    assert [(float(r["start"]), float(r["end"]), r["kept"], r["reason"]) for r in rows] == [
        (0, 1.2, "yes", ""), (1.2, 2.72, "yes", ""), (2.72, 3.6, "no", "no person")]  # fmt: skip
    cache = PuppetCache(folder)
    assert len(cache) == summary["records"] == sum(int(r["records"]) for r in rows) == 6
    assert [(cache[i].start, cache[i].info["clip"][-4:]) for i in range(6)] == [
        (0, "0000"), (12, "0000"), (18, "0000"), (0, "0001"), (12, "0001"), (24, "0001")]  # fmt: skip
    assert [int(r["first_record"]) for r in rows[:2]] == [0, 3]
    assert summary["left_out"] == {"no person": {"clips": 1, "seconds": 0.88}} and summary["videos_done"] == 1
    for index in range(6):
        record = cache[index]
        assert len(record) == FRAMES and record.size == PICTURE and record.identity == 0 and record.style == "speaking"
        assert record.info["voice"] == "two people" and "two people.mp4" in record.info["sentence"]
        assert record.frames.shape == (FRAMES, *PICTURE, 3) and record.maps.shape == (FRAMES, *PICTURE, 6)
        assert record.reference.shape == (*PICTURE, 3) and record.motion.fps == 25


def test_a_record_shows_the_person_where_its_numbers_say(prepared, scenes):
    """Neck and shoulders stand as in puppets; points of the truth, cut as the picture is, are the record's."""
    folder, _ = prepared
    for index in range(6):
        record = PuppetCache(folder)[index]
        framing = record.motion.framing
        assert 0.3 < framing.neck[0] < 0.7 and 0.3 < framing.neck[1] < 0.5 and 0.27 < framing.shoulder_width < 0.66
        first = (0 if index < 3 else 30) + record.start
        for frame in (0, 7):
            seen = scenes.people[first + frame]
            known = (seen.body_scores > 0) & (record.motion.keypoint_scores[frame] > 0)
            a, b = seen.body[known], record.motion.keypoints[frame][known]
            # One scale for both axes in pixels, one shift: the crop is the same for all points.
            design = [np.stack([a[:, axis] * SIZE[1 - axis], np.ones(len(a))], 1) for axis in (0, 1)]
            fits = [np.linalg.lstsq(design[axis], b[:, axis] * PICTURE[1 - axis], rcond=None) for axis in (0, 1)]
            assert all(np.abs(design[x] @ fits[x][0] - b[:, x] * PICTURE[1 - x]).max() < 0.6 for x in (0, 1))
            assert fits[0][0][0] == pytest.approx(fits[1][0][0], rel=0.02)
            mouth = seen.face[48:68].mean(0)
            there = [fits[x][0] @ [mouth[x] * SIZE[1 - x], 1] for x in (0, 1)]
            assert np.abs(record.mouth_places[frame] - there).max() < 1


def test_pictures_are_those_of_the_video(prepared, video, scenes):
    """The record's picture, put back where it was cut out, is the video's."""
    folder, _ = prepared
    record = PuppetCache(folder)[0]
    seen, motion = scenes.people[5], record.motion
    known = (seen.body_scores > 0) & (motion.keypoint_scores[5] > 0)
    source, target = seen.body[known] * SIZE[::-1], motion.keypoints[5][known] * PICTURE[::-1]
    matrix = cv2.estimateAffinePartial2D(source, target)[0]
    truth = cv2.warpAffine(np.concatenate(scenes.frames)[5], matrix, PICTURE[::-1], flags=cv2.INTER_AREA)
    apart = np.abs(truth[8:-8, 8:-8].astype(int) - record.frames[5][8:-8, 8:-8].astype(int))
    assert apart.mean() < 8 and np.median(apart) <= 3


def test_mouths_are_the_puppets_own(prepared):
    from emo2.training.puppets.world import Puppet

    folder, _ = prepared
    for index, (seed, count) in enumerate(((3, 30), (3, 30), (3, 30), (5, 38))):
        record = PuppetCache(folder)[index]
        truth = Puppet.draw(seed, "train", seconds=count / 25, style="speaking").performance.mouth
        part = truth[record.start : record.start + FRAMES]
        assert np.abs(record.mouth - part).max(0).max() < 0.06


def test_the_sound_is_that_of_the_clip(prepared, scenes):
    folder, _ = prepared
    for index, begin, count in ((0, 0, 30), (2, 0, 30), (4, 30, 38)):
        heard = PuppetCache(folder)[index].waveform
        said = np.concatenate(scenes.sounds)[begin * 640 : (begin + count) * 640]
        assert len(heard) == count * 640
        assert np.corrcoef(heard, said)[0, 1] > 0.9  # AAC is not exact


def test_masks_cover_the_person(prepared, scenes):
    folder, _ = prepared
    record = PuppetCache(folder)[0]
    masks = record._pictures("person", range(FRAMES))[..., 0] > 127
    drawn = record.maps[..., 2] > 0
    assert (masks & drawn).sum() > 0.8 * drawn.sum() and 0.1 < masks.mean() < 0.8
    for frame in range(FRAMES):
        x, y = record.mouth_places[frame].astype(int)
        assert masks[frame, y, x] and not masks[frame, 2, 2]


def test_the_reference_is_another_moment(prepared):
    folder, _ = prepared
    for index in range(6):
        record = PuppetCache(folder)[index]
        chosen = record.info["reference"]
        assert not record.start <= chosen < record.start + FRAMES
        assert 0 <= chosen < record.info["clip_frames"]


def test_what_is_fitted_lies_on_what_is_seen(prepared):
    """Hands in space, projected, lie near the points that the detector gave."""
    from emo2.training.puppets.hands import neutral_hands

    folder, _ = prepared
    off = []
    for index in range(6):
        record = PuppetCache(folder)[index]
        motion = record.motion
        there = motion.framing.project(np.asarray(neutral_hands().pose(motion.rotations, motion.wrists())[1]))
        gaps = np.linalg.norm((there - record.hands) * PICTURE[::-1], axis=-1)
        sizes = np.linalg.norm((record.hands[:, :, 9] - record.hands[:, :, 0]) * PICTURE[::-1], axis=-1)
        seen = (record.visible & (sizes > 2))[..., None] & (motion.hand_scores > 0)
        off.append((gaps / np.maximum(sizes, 1)[..., None])[seen])
    assert np.median(np.concatenate(off)) < 0.15


def test_all_three_trainers_take_one_step(prepared, tmp_path):
    from emo2.training.motion import MotionRecipe
    from test_training_motion import SMALL

    folder = shutil.copytree(prepared[0], tmp_path / "set")
    encode_cache(folder, vae.write_tiny(tmp_path / "vae.safetensors", seed=1))
    cache = PuppetCache(folder)
    assert cache.encoded
    shape = cache[0].latents.shape[1:]
    network = NETWORK | {"size": PICTURE, "latent_channels": shape[0], "clip_frames": 5,
                         "vae_factor": PICTURE[0] // shape[1]}  # fmt: skip
    # The guider halves the picture as often as the autoencoder does.
    network["guider_channels"] = [4, 6, 8, 8][: int(np.log2(network["vae_factor"])) + 1]
    image = VideoImageRecipe({"data": str(folder), "network": network, "targets": 3}, 0)
    one_step(image)
    [checkpoint] = image.export(fill(image.build()), tmp_path, {"steps": "1"})
    encoder = write_encoder(tmp_path / "audio.safetensors")
    options = {"data": str(folder), "image": str(checkpoint), "audio_encoder": str(encoder)}
    one_step(VideoClipRecipe(options, 0))
    data = [{"kind": "prepared", "folder": str(folder)}]
    one_step(MotionRecipe({"data": data, "network": SMALL, "windows": {"frames": 24, "context": 3}}, seed=3))


def one_step(made):
    torch.manual_seed(0)
    module = made.build().train()
    dataset = made.dataset()
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.01)
    before = [p.detach().clone() for p in module.parameters()]
    losses = module(torch.utils.data.default_collate([dataset[0], dataset[1]]))[0]
    losses.mean().backward()
    optimizer.step()
    assert torch.isfinite(losses).all()
    assert any(not torch.equal(a, b) for a, b in zip(before, module.parameters()))


def test_clips_are_whole_again_for_the_motion_model(prepared):
    folder, _ = prepared
    taken = list(read_folder(folder))
    assert [len(motion) for _, motion, *_ in taken] == [30, 36] and [t[2] for t in taken] == ["speaking"] * 2
    for waveform, motion, _, picture, mouth in taken:
        assert len(waveform) == len(motion) * 640 and picture.shape == (64, 64, 3) and mouth.shape == (len(motion), 2)
    cache = PuppetCache(folder)
    assert np.array_equal(taken[0][1].rotations[18:30], cache[2].motion.rotations)
    assert np.array_equal(taken[1][1].keypoints[12:24], cache[4].motion.keypoints)
    [source] = open_sources(check_sources([{"kind": "prepared", "folder": str(folder), "style": "storytelling"}]), 12.5)
    assert source.takes[0].style == "storytelling" and source.takes[0].fps == 12.5 and len(source.takes[0]) == 15
    with pytest.raises(EMO2Error, match="kind, folder, weight, style"):
        check_sources([{"kind": "prepared", "folder": str(folder), "body": "x"}])


def test_nothing_is_done_twice_and_videos_may_be_added(quick_set, quickly, video, tmp_path):
    folder = shutil.copytree(quick_set, tmp_path / "set")
    before = contents(folder)

    def none():
        raise AssertionError("nothing is left to detect")

    assert prepare([video], folder, settings(), none)["records"] == 6
    copy = shutil.copy(video, tmp_path / "again.mp4")
    assert prepare([video, copy], folder, settings(), none)["videos"] == 1, "the same content counts once"
    more = Scenes().puppet(8, 26)
    second = more.write(tmp_path / "more.mp4")
    assert prepare([second], folder, settings(), lambda: Knowing(more.people))["records"] == 8
    after = contents(folder)
    assert {key: after[key] for key in before} == before and len(PuppetCache(folder)) == 8
    assert PuppetCache(folder)[7].identity == 1
    with pytest.raises(EMO2Error, match=r"begun with.*frames 12 \(now 10\)"):
        prepare([video], folder, settings(frames=10), none)
    with pytest.raises(EMO2Error, match="something else"):
        (tmp_path / "puppets").mkdir()
        (tmp_path / "puppets" / "cache.json").write_text("{}")
        prepare([video], tmp_path / "puppets", settings(), none)
    assert [p.name for p in (tmp_path / "puppets").iterdir()] == ["cache.json"]


@pytest.mark.parametrize("place", ["record", "entry", "sheet", "numbers", "moving"])
def test_killed_anywhere_it_goes_on(quick_set, quickly, scenes, video, tmp_path, monkeypatch, place):
    """A death at any step leaves what was done; the second run finishes, with the same bytes as one without a death."""
    from emo2.training.footage import work

    class Death(BaseException):
        pass

    count = {"calls": 0}

    def dying(real, at):
        def call(*arguments, **named):
            count["calls"] += 1
            if count["calls"] == at:
                raise Death
            return real(*arguments, **named)

        return call

    folder = tmp_path / "set"
    with monkeypatch.context() as patch:
        if place == "record":
            patch.setattr(clips, "save_record", dying(clips.save_record, 5))
        elif place == "entry":
            patch.setattr(preparing, "write_json", dying(preparing.write_json, 3))
        elif place == "sheet":
            patch.setattr(preparing, "write_sheet", dying(preparing.write_sheet, 1))
        elif place == "numbers":
            patch.setattr(work, "write_json", dying(work.write_json, 3))
        else:
            patch.setattr(work, "record_path", dying(work.record_path, 3))
        with pytest.raises(Death):
            prepare([video], folder, settings(), lambda: Knowing(scenes.people))
    knowing = Knowing(scenes.people)
    prepare([video], folder, settings(), lambda: knowing)
    assert contents(folder) == contents(quick_set)
    begun = {"record": 30, "entry": 30, "sheet": 90, "numbers": 90, "moving": 90}[place]
    again = [number for number in knowing.calls if number < begun]
    assert not again, "clips that were done are not looked at again"
    assert not list(folder.rglob("*.part")) and not list((folder / "work").rglob("*.npz"))


def test_parts_and_rivals_do_not_disturb_each_other(quickly, scenes, video, tmp_path):
    """Two processes with a part each give what one process gives; a video that is taken is passed over."""
    from emo2.training.footage.work import Work, mark_of

    more = Scenes().puppet(8, 26)
    second = more.write(tmp_path / "b.mp4")
    together, apart = tmp_path / "together", tmp_path / "apart"
    both = [video, second]
    knowing = {mark_of(video): scenes.people, mark_of(second): more.people}
    for one in both:
        prepare(both, together, settings(), lambda one=one: Knowing(knowing[mark_of(one)]), (both.index(one), 2))
    late = prepare(both, apart, settings(), lambda: Knowing(more.people), (1, 2))
    assert late["records"] == 2 and late["left"] == 1 and not (apart / "cache.json").exists(), "it waits for its turn"
    work = Work(apart, settings())
    with work.taken(mark_of(video)) as mine:
        assert mine and prepare([video], apart, settings(), lambda: Knowing(scenes.people))["left"] == 1
    prepare(both, apart, settings(), lambda: Knowing(scenes.people), (0, 2))
    assert contents(together) == contents(apart) and len(PuppetCache(apart)) == 8


def test_every_file_is_whole_or_not_there(scenes, video, tmp_path, monkeypatch):
    """A full disk stops the run with its reason, and leaves nothing half-written."""
    import errno
    import os

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(clips, "save_record", full)
    with pytest.raises(OSError, match="space"):
        prepare([video], tmp_path / "set", settings(), lambda: Knowing(scenes.people))
    assert not list((tmp_path / "set").rglob("*.part")) and not list((tmp_path / "set").rglob("*.npz"))


def test_the_sheet_shows_kept_and_left_out(prepared):
    [sheet] = (prepared[0] / "sheets").glob("*.png")
    picture = cv2.imread(str(sheet))
    assert sheet.name == "00000_two_people.png" and picture.shape[1] == 1800 and picture.std() > 20 and CELLS == 24


def test_videos_are_found(tmp_path):
    for name in ("b.mp4", "a.MOV", "notes.txt", "deep/c.webm", "odd.bin"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    names = lambda *given: [p.name for p in find_videos(given)]
    assert names(tmp_path) == ["a.MOV", "b.mp4", "c.webm"]
    assert names(tmp_path / "odd.bin", str(tmp_path / "*.mp4"), tmp_path / "b.mp4") == ["odd.bin", "b.mp4"]
    for wrong in ("none.mp4", "*.avi"):
        with pytest.raises(EMO2Error, match="no such file"):
            find_videos([tmp_path / wrong])
    (tmp_path / "empty").mkdir()
    with pytest.raises(EMO2Error, match="without any"):
        find_videos([tmp_path / "empty"])


def test_the_command_reports(quickly, scenes, video, tmp_path, monkeypatch, capsys):
    from emo2.runner import prepare as command

    monkeypatch.setattr(command, "_detector", lambda options: Knowing(scenes.people))
    out = tmp_path / "set"
    small = ["--size", "128x96", "--frames", "12", "--shortest", "0.8", "--longest", "2", "--sharpness", "0"]
    file = vae.write_tiny(tmp_path / "vae.safetensors", seed=1)
    assert main(["prepare", str(video), "--out", str(out), *small, "--vae", str(file)]) == 0
    told = capsys.readouterr().out
    assert "2 of 3 clips kept" in told and "no person: 1 clips" in told and "report.csv" in told
    assert PuppetCache(out).encoded and json.loads((out / "summary.json").read_text())["records"] == 6
    mistakes = [
        ("--size 128", "HEIGHTxWIDTH"), ("--size 130x96", "divisible by 8"), ("--part 2/2", "K/N"),
        ("--present 2", "share"), ("--vae x", "no file"), ("--longest 0.2", "--longest"),
        (f"--person-detector {file}", "--detector"),
    ]  # fmt: skip
    for wrong, word in mistakes:
        assert main(["prepare", str(video), "--out", str(tmp_path / "other"), *wrong.split()]) == 2
        assert word in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
