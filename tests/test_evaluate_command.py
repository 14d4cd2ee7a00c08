"""`emo2 evaluate` on the command line: what is refused, what is written, and one's own files."""

import json

import numpy as np
import pytest
from emo2.evaluation import own_video
from emo2.evaluation.card import metrics_of, model_card, note_metrics
from emo2.evaluation.report import Goal, Report, Row, markdown
from emo2.evaluation.tiny import run as tiny_run
from emo2.evaluation.tiny.goals import figure
from emo2.evaluation.tiny.networks import NAMES, Networks
from emo2.models.checkpoints.format import read_header, save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.motion.files import save_motion
from emo2.models.pose import puppet_estimator
from emo2.models.types import Framing, Motion
from emo2.models.video.mp4 import write_mp4
from emo2.runner.cli import main
from evaluate_cases import CONFIGS, write_networks


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "one of --profile, --video and --motion"),
        (["--profile", "tiny", "--video", "x.mp4"], "--profile and --video"),
        (["--profile", "large"], "one of tiny"),
        (["--profile", "tiny", "--parts", "vae,feet"], "but got feet"),
        (["--profile", "tiny", "--parts", ","], "some of vae"),
        (["--profile", "tiny", "--models", "/nowhere/at/all"], "no folder at /nowhere/at/all"),
        (["--profile", "tiny", "--speech", "/nowhere/at/all"], "--speech"),
        (["--profile", "tiny", "--clips", "0"], "--clips"),
        (["--profile", "tiny", "--seed", "-1"], "--seed"),
        (["--profile", "tiny", "--motion-smoothing", "-1"], "--motion-smoothing"),
        (["--profile", "tiny", "--motion-smoothing", "nan"], "--motion-smoothing"),
        (["--profile", "tiny", "--steps", "0"], "steps"),
        (["--profile", "tiny", "--workers", "0"], "--workers"),
        (["--profile", "tiny", "--card", "card.md"], "--card"),
        (["--profile", "tiny", "--card-only"], "--card-only"),
        (["--video", "/nowhere.mp4"], "no file at /nowhere.mp4"),
        (["--motion", "/nowhere.npz"], "no file at /nowhere.npz"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_before_any_work(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tiny_run, "evaluate", lambda *_: pytest.fail("it began"))
    assert main(["evaluate", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and len(error.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def report(networks=None):
    rows = (figure("vae.psnr", 29.5, interval=(28.5, 30.5), count=50), figure("video.hands_real", 0.99),
            figure("motion.fgd", 0.2), figure("motion.div", None, note="missing x"))  # fmt: skip
    about = {"steps": 12, "cfg": 1.5, "scheduler": "ddim", "motion_steps": 25, "motion_cfg": 1.5,
             "motion_smoothing": 0.12, "seed": 0, "date": "2026-11-21", "networks": networks or {}}  # fmt: skip
    return Report(rows, about)


def test_figures_are_printed_and_written_and_parts_are_put_in_place(tmp_path, monkeypatch, capsys):
    write_networks(tmp_path, "vae")
    monkeypatch.setattr(tiny_run, "evaluate", lambda bench, parts: report())
    out = tmp_path / "e.json"
    base = ["evaluate", "--profile", "tiny", "--models", str(tmp_path), "--work", str(tmp_path / "w"), "--quiet"]
    assert main([*base, "--json", str(out)]) == 0
    table = capsys.readouterr().out
    assert "29.5" in table and "28.5 .. 30.5" in table and "1 not measured" in table
    assert Report.load(out) == report()
    later = Report((figure("vae.psnr", 33.0),), {"date": "later", "networks": {}})
    monkeypatch.setattr(tiny_run, "evaluate", lambda bench, parts: later)
    assert main([*base, "--json", str(out), "--parts", "vae"]) == 0
    assert "0.99" not in capsys.readouterr().out
    both = Report.load(out)
    assert both["vae.psnr"].status == "target" and both["video.hands_real"].value == 0.99
    other = Report((figure("vae.psnr", 20.0),), {"networks": {"another": "one"}})
    monkeypatch.setattr(tiny_run, "evaluate", lambda bench, parts: other)
    assert main([*base, "--json", str(out), "--parts", "vae"]) == 0
    assert "other weights" in capsys.readouterr().err and Report.load(out) == other


def test_the_card_has_the_stored_figures_and_so_has_the_metadata(tmp_path, capsys):
    weights = tmp_path / "weights"
    weights.mkdir()
    write_networks(weights, "video")
    config = CONFIGS["puppet_estimator"]
    tensors = puppet_estimator.build(config).state_dict()
    notes = {"data": "puppets", "seed": "5", "steps": "777"}
    path = save_checkpoint(weights / NAMES["puppet_estimator"], "puppet_estimator", config, tensors, notes=notes)
    digest = Networks([weights]).digest("puppet_estimator")
    stored = report({path.name: digest}).save(tmp_path / "e.json")
    command = ["evaluate", "--profile", "tiny", "--models", str(weights), "--json", str(stored), "--card-only"]
    assert main([*command, "--card", str(weights / "README.md")]) == 0
    text = (weights / "README.md").read_text()
    for row in Report.load(stored).rows:
        assert markdown([row]).splitlines()[-1] in text
    assert "| 777 |" in text and "| 5 |" in text and "none: untrained" in text and "128 x 96" in text
    header = read_header(path)
    assert json.loads(header.notes["metrics"]) == {"video.hands_real": 0.99} and header.notes["steps"] == "777"
    assert Networks([weights]).digest("puppet_estimator") == digest
    before = path.stat().st_mtime_ns
    assert main([*command, "--card", str(weights / "README.md")]) == 0
    assert path.stat().st_mtime_ns == before, "written again without need"


def test_figures_of_other_weights_are_refused(tmp_path):
    config = CONFIGS["puppet_estimator"]
    tensors = puppet_estimator.build(config).state_dict()
    save_checkpoint(tmp_path / NAMES["puppet_estimator"], "puppet_estimator", config, tensors)
    with pytest.raises(EMO2Error, match="other weights"):
        note_metrics(tmp_path, report({NAMES["puppet_estimator"]: "another"}))
    with pytest.raises(EMO2Error, match="none in"):
        model_card(tmp_path / "nothing", report())


def test_each_network_gets_its_own_figures():
    assert set(metrics_of(report(), "gesture_encoder")) == {"motion.fgd"}
    assert set(metrics_of(report(), "vae")) == {"vae.psnr"}
    assert metrics_of(report(), "pose_discriminator") == {}


@pytest.fixture
def videos(tmp_path):
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(60, 200, (20, 8, 6, 3), dtype=np.uint8), 16, 1), 16, 2)
    noisy = np.clip(frames.astype(int) + rng.normal(0, 20, frames.shape), 0, 255).astype(np.uint8)
    for name, pictures in (("true", frames), ("made", noisy), ("short", frames[:10]), ("wide", frames[:, :64])):
        write_mp4(tmp_path / f"{name}.mp4", [pictures], 25, crf=5)
    return tmp_path


def test_a_video_of_one_s_own(videos, monkeypatch, capsys):
    monkeypatch.setattr(own_video, "hand_metrics", lambda *_: [])
    monkeypatch.setattr(own_video, "_all_faces", lambda *_: None)
    out = videos / "e.json"
    made, true, short = (str(videos / f"{name}.mp4") for name in ("made", "true", "short"))
    command = ["evaluate", "--models", str(videos), "--json", str(out)]
    assert main([*command, "--video", made, "--truth", true]) == 0
    found = Report.load(out)
    assert 18 < found["video.PSNR"].value < 32 and 0 < found["video.SSIM"].value < 1
    assert "inception" in found["video.FID"].note and str(videos / "evaluation") in found["video.FID"].note
    assert "mediapipe" in found["video.CSIM"].note and found["video.CSIM"].value is None
    assert main([*command, "--video", made, "--truth", short]) == 0
    assert "cut to 10 frames" in capsys.readouterr().err
    assert main([*command, "--video", made]) == 0
    assert "--truth" in Report.load(out)["video.PSNR"].note
    assert main([*command, "--video", made, "--truth", str(videos / "wide.mp4")]) == 2
    assert "the shape of --video" in capsys.readouterr().err
    (videos / "bad.mp4").write_text("no video")
    assert main([*command, "--video", str(videos / "bad.mp4")]) == 2
    assert main([*command, "--video", made, "--truth", true, "--truth", true]) == 2
    assert "one for each --video" in capsys.readouterr().err


def still(count, moving):
    framing = Framing(size=(128, 96))
    place = np.tile(np.array([[0.15, 0.3, -0.2], [-0.15, 0.3, -0.2]]), (count, 1, 1))
    place[:, :, 1] += moving * 0.1 * np.sin(np.arange(count) / 4)[:, None]
    rotations = np.zeros((count, 2, 16, 4))
    rotations[..., 0] = 1
    return Motion(rotations, place, 25.0, framing)


def test_motions_of_one_s_own(tmp_path, capsys):
    import soundfile

    rng = np.random.default_rng(0)
    for name, moving in (("made", 0.5), ("true", 1.0)):
        save_motion(still(100, moving), tmp_path / f"{name}.npz")
    bursts = np.repeat(rng.random(40) > 0.5, 1600) * rng.normal(0, 0.2, 64000)
    soundfile.write(tmp_path / "voice.wav", bursts, 16000)
    made, true, voice = (str(tmp_path / name) for name in ("made.npz", "true.npz", "voice.wav"))
    out = tmp_path / "e.json"
    command = ["evaluate", "--motion", made, "--truth", true, "--models", str(tmp_path), "--json", str(out)]
    assert main([*command, "--audio", voice]) == 0
    found = Report.load(out)
    assert found["motion.div_ratio"].value == pytest.approx(0.5, abs=0.01)
    assert found["motion.jerk_ratio"].value == pytest.approx(0.5, abs=0.01)
    assert found["motion.pck"].value == 1
    assert 0 <= found["motion.ba"].value <= 1 and NAMES["gesture_encoder"] in found["motion.fgd"].note
    assert main(command) == 0
    assert "--audio" in Report.load(out)["motion.ba"].note
    (tmp_path / "text.wav").write_text("no sound")
    assert main([*command, "--audio", str(tmp_path / "text.wav")]) == 2
    assert "a sound file" in capsys.readouterr().err


def test_a_strict_goal_reads_as_one():
    assert markdown([Row("a.b", "b", 0.0, goal=Goal(low=0, strict=True))]).splitlines()[-1].count("> 0") == 1
