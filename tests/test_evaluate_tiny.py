"""The profile's evaluation: what it finds missing, what it keeps, and what it says of perfect and of still pictures."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from emo2.evaluation.tiny import PARTS, motion
from emo2.evaluation.tiny.ablations import SWITCHES
from emo2.evaluation.tiny.bench import Amounts, Bench
from emo2.evaluation.tiny.goals import FIGURES
from emo2.evaluation.tiny.networks import NAMES, Networks
from emo2.evaluation.tiny.pictures import fidelity, people
from emo2.evaluation.tiny.run import evaluate
from emo2.evaluation.tiny.studio import Gesture, Studio
from emo2.models.checkpoints.format import save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.pose import puppet_estimator
from emo2.models.types import FRAME_FIELDS, Framing
from emo2.models.video.conditions import Settings
from evaluate_cases import CONFIGS, write_networks

FEW = Amounts(clips=2, frames=18, made=1, alone=1, drifts=1, drift_seconds=2.0, pictures=4, renders=2, lively=1,
              lively_seconds=1.0, people=3, motions=4, motion_seconds=2.0, fit=10, speeds=3, longs=1, long_seconds=12.2,
              among=4, ablated=1, asked_sharp=1)  # fmt: skip


def bench(folder, work, amounts=FEW):
    studio = Studio(Networks([folder]), work, Settings(steps=1, cfg=1.0), motion_steps=1, motion_cfg=1.0)
    return Bench(studio.networks, studio, amounts)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return write_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def shared_bench(networks, tmp_path_factory):
    return bench(networks, tmp_path_factory.mktemp("work"))


def test_without_networks_every_figure_says_what_is_missing(tmp_path):
    report = evaluate(bench(tmp_path, tmp_path / "work"))
    assert [row.key for row in report.rows] == list(FIGURES)
    assert {row.status for row in report.rows} == {"missing"}
    assert NAMES["vae"] in report["vae.psnr"].note and "emo2 train autoencoder" in report["vae.psnr"].note
    assert str(tmp_path) in report["video.psnr"].note
    assert all("--ablations" in report[key].note for key in SWITCHES)
    assert set(report.about["seconds"]) == set(PARTS)


def test_the_whole_profile_runs(shared_bench, caplog):
    with caplog.at_level(logging.INFO, "emo2"):
        report = evaluate(shared_bench, ("vae", "video", "mouth", "drift", "continuity"))
    for key in ("vae.psnr", "video.gain", "video.gap", "video.identity", "video.hands_true_left_tenth",
                "video.hands_made_right_twentieth", "mouth.correlation", "drift.background"):  # fmt: skip
        assert report[key].value is not None, report[key]
    assert "untrained weights (video, vae, audio)" in report["video.psnr"].note
    assert report["vae.psnr"].status == "short"
    assert set(report.about["networks"]) == {NAMES[kind] for kind in CONFIGS}


def test_stage_1_is_measured(shared_bench):
    report = evaluate(shared_bench, ("motion",))
    lacking = {row.key for row in report.rows if row.value is None}
    assert lacking <= {"motion.fgd", "motion.ba", "motion.ba_null", "motion.ba_sigmas"}
    assert NAMES["gesture_encoder"] in report["motion.fgd"].note
    assert report["motion.seams"].count is not None


def test_perfect_pictures_are_told_from_a_repeated_reference(shared_bench):
    own = Bench(shared_bench.networks, shared_bench.studio, shared_bench.amounts)
    own.main_videos = [scene.truth for scene in own.main]
    rows = {row.key: row for row in [*fidelity(own), *people(own)]}
    assert rows["video.psnr"].value == 100 and rows["video.ssim"].value == pytest.approx(1)
    assert rows["video.gain"].value > 40 and rows["video.identity"].value == 1
    own.main_videos = [np.broadcast_to(scene.picture, scene.truth.shape) for scene in own.main]
    rows = {row.key: row for row in fidelity(own)}
    assert rows["video.gain"].value == 0 and rows["video.gain"].status == "short"


def test_perfect_motion_meets_its_goals_and_a_still_one_does_not(shared_bench):
    trial = motion.Trial(shared_bench)
    trial.made = trial.true
    rows = {row.key: row for row in motion.spread(trial)}
    assert rows["motion.div"].value == pytest.approx(1) and rows["motion.jerk"].value == pytest.approx(1)
    assert rows["motion.pck"].value == 1
    still = [m.frames(0, 1) for m in trial.true]
    trial = motion.Trial(shared_bench)
    hold = lambda m, n: m.replace(**{f: np.repeat(getattr(m, f), n, 0) for f in FRAME_FIELDS})
    trial.made = [hold(m, len(t)) for m, t in zip(still, trial.true)]
    assert {row.key: row.status for row in motion.spread(trial)}["motion.div"] == "short"


def test_every_purpose_has_puppets_of_its_own():
    from emo2.evaluation.tiny import ablations, drift, generation, mouths, pictures

    purposes = [1, motion.CLIPS, motion.SPEEDS, motion.LONGS, motion.FIT, drift.LONG, mouths.SPEAKERS]
    purposes += [pictures.VAE_SCENES, pictures.RENDERS, ablations.CLIPS, generation.LIVELY]
    assert len(set(purposes)) == len(purposes)


def test_fewer_clips_are_fewer_of_everything_that_is_painted():
    few = Amounts().with_clips(5)
    assert (few.clips, few.made, few.alone, few.renders, few.lively) == (5, 2, 2, 30, 2)


def test_videos_are_made_once(networks, tmp_path, monkeypatch):
    own = bench(networks, tmp_path)
    first = own.studio.videos([scene.shot() for scene in own.main], "test")
    assert first[0].shape == (18, 128, 96, 3) and first[0].dtype == np.uint8
    monkeypatch.setattr(Studio, "paint", lambda *_: pytest.fail("made again"))
    again = bench(networks, tmp_path)
    seen = []
    again.studio.progress = lambda *what: seen.append(what)
    second = again.studio.videos([scene.shot() for scene in again.main], "test")
    assert all((a == b).all() for a, b in zip(first, second)) and seen == [("test", 2, 2)]


def test_another_motion_or_seed_is_another_video(networks, tmp_path):
    own = bench(networks, tmp_path)
    shot = own.main[0].shot()
    paths = {own.studio._video_path(s) for s in (shot, replace(shot, keypoints=False), own.main[1].shot())}
    assert len(paths) == 3


def test_a_damaged_video_is_removed_and_told(networks, tmp_path):
    own = bench(networks, tmp_path)
    shot = own.main[0].shot()
    path = own.studio._video_path(shot)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    with pytest.raises(EMO2Error, match="Run it again"):
        own.studio.videos([shot], "test")
    assert not path.exists()


@pytest.mark.slow
def test_two_workers_paint_the_same(networks, tmp_path):
    own = bench(networks, tmp_path / "a")
    shots = [scene.shot() for scene in own.main]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    one = own.studio.videos(shots, "test")
    other = bench(networks, tmp_path / "b")
    other.studio.workers = 2
    two = other.studio.videos(shots, "test")
    torch.set_num_threads(threads)
    assert all((a == b).all() for a, b in zip(one, two))


def test_motions_are_kept_and_damaged_ones_made_again(networks, tmp_path):
    own = bench(networks, tmp_path)
    gesture = Gesture(own.main[0].waveform, Framing(size=(128, 96)), "dance", seed=4)
    (first,) = own.studio.motions([gesture], "test")
    (path,) = (tmp_path / "motions").iterdir()
    path.write_bytes(b"half")
    (second,) = own.studio.motions([gesture], "test")
    assert (first.rotations == second.rotations).all() and len(first) == 18


def test_networks_are_found_by_their_name_or_their_kind(tmp_path):
    assert not Networks([tmp_path]).has("vae")
    with pytest.raises(EMO2Error, match="emo2 train autoencoder"):
        Networks([tmp_path]).path("vae")
    mine = save_checkpoint(tmp_path / "mine.safetensors", "vae", CONFIGS["vae"], {}, untrained=1)
    assert Networks([tmp_path]).path("vae") == mine
    write_networks(tmp_path, "vae")
    assert Networks([tmp_path]).path("vae").name == NAMES["vae"]
    assert Networks([tmp_path], {"vae": mine}).path("vae") == mine


def test_a_network_s_digest_knows_its_numbers_and_not_its_notes(tmp_path):
    tensors = puppet_estimator.build(CONFIGS["puppet_estimator"]).state_dict()
    digests = []
    for factor, notes in ((1, {}), (1, {"metrics": "{}"}), (2, {})):
        changed = {name: value * factor for name, value in tensors.items()}
        path = tmp_path / NAMES["puppet_estimator"]
        save_checkpoint(path, "puppet_estimator", CONFIGS["puppet_estimator"], changed, notes=notes)
        digests.append(Networks([tmp_path]).digest("puppet_estimator"))
    assert digests[0] == digests[1] != digests[2]
    names = tuple(tensors)
    assert Networks([tmp_path]).digest("puppet_estimator", without=names[:1]) != digests[2]
    changed = {name: value + (name == names[0]) for name, value in changed.items()}
    before = Networks([tmp_path]).digest("puppet_estimator", without=names[:1])
    save_checkpoint(path, "puppet_estimator", CONFIGS["puppet_estimator"], changed)
    assert Networks([tmp_path]).digest("puppet_estimator", without=names[:1]) == before
    assert Networks([tmp_path]).digest("puppet_estimator") != digests[2]


def test_without_keypoints_only_the_hand_maps_are_shown(shared_bench, monkeypatch):
    shown = []
    network = shared_bench.networks.video
    monkeypatch.setattr(type(network), "encode_maps", lambda self, maps, *_, **__: shown.append(maps.sum((0, 2, 3, 4))))
    shot = replace(shared_bench.main[0].shot(), frames=2)
    for each in (shot, replace(shot, keypoints=False)):
        shared_bench.studio.paint(each)
    (both, alone) = shown
    assert (both[:3] == alone[:3]).all() and both[3:].sum() > 0 and alone[3:].sum() == 0


def test_the_number_of_clips_scales_what_follows_from_it():
    assert Amounts().with_clips(25).made == 10
    assert Amounts().with_clips(None) == Amounts()
    with pytest.raises(EMO2Error, match="at least 1"):
        Amounts().with_clips(0)


def test_no_two_purposes_share_a_puppet(shared_bench):
    numbers = [shared_bench.numbers(purpose, 50) for purpose in range(1, 10)]
    assert len({n for block in numbers for n in block}) == 9 * 50
