"""The parts `framings` and `faces` of an evaluation: perfect videos score as real renders, what lacks is said."""

import pytest
from emo2.evaluation.tiny import faces
from emo2.evaluation.tiny.bench import Amounts, Bench
from emo2.evaluation.tiny.goals import FIGURES
from emo2.evaluation.tiny.networks import NAMES, Networks
from emo2.evaluation.tiny.studio import Studio
from emo2.models.checkpoints.format import save_checkpoint
from emo2.models.pose import face_network, face_reader
from emo2.models.video.conditions import Settings
from emo2.models.video.face_track import EMOTIONS
from evaluate_cases import CONFIGS, write_networks

FEW = Amounts(frames=18, framed=1, moods=9, people=3)


def bench(folder):
    studio = Studio(Networks([folder]), folder / "work", Settings(steps=1, cfg=1.0), motion_steps=1, motion_cfg=1.0)
    return Bench(studio.networks, studio, FEW)


@pytest.fixture
def networks(tmp_path):
    folder = write_networks(tmp_path, "vae", "audio", "puppet_estimator")
    small = {"widths": [8, 8, 8, 8], "groups": 4}
    for kind, module in (("face_encoder", face_network), ("face_reader", face_reader)):
        save_checkpoint(folder / NAMES[kind], kind, {**module.TINY, **small}, {}, untrained=1)
    return folder


@pytest.fixture
def painted(monkeypatch):
    """A studio whose videos are the puppets' own pictures."""
    scenes = {}
    shot = faces.Scene.shot

    def remember(scene, *args):
        made = shot(scene, *args)
        scenes[made.seed] = scene
        return made

    monkeypatch.setattr(faces.Scene, "shot", remember)
    monkeypatch.setattr(Studio, "videos", lambda self, shots, what: [scenes[s.seed].truth for s in shots])


def test_every_framing_is_measured_with_people_of_its_own(networks, painted):
    write_networks(networks, "video")
    rows = {row.key: row for row in faces.framings(bench(networks))}
    assert set(rows) == {key for key in FIGURES if key.startswith("framings.")}
    assert all(rows[f"framings.{framing}_identity"].value == 1 for framing in faces.FRAMINGS)
    shoulders = [faces.Scene(14_000_000 + k, 25, framing=f).puppet.framing.shoulder_width
                 for k, f in enumerate(faces.FRAMINGS)]  # fmt: skip
    assert shoulders[0] > shoulders[1] > shoulders[2]


def test_facial_controls_are_those_of_the_performance(networks, painted):
    config = {**CONFIGS["video"], "face_control": 8, "face_identity": 128}
    save_checkpoint(networks / NAMES["video"], "video", config, {}, untrained=1)
    rows = {row.key: row for row in faces.measure(bench(networks))}
    assert set(rows) == {key for key in FIGURES if key.startswith("faces.")}
    for name in ("blink", "emotion"):
        assert rows[f"faces.{name}"].value == rows[f"faces.{name}_true"].value
    assert rows["faces.identity"].value == 1 and rows["faces.identity_kept"].value == 0
    track = faces.track_of(faces.Scene(3, 25, emotion="sad"))
    assert (track.emotion.argmax(1) == EMOTIONS.index("sad")).mean() > 0.9 and len(track) == 25


def test_a_network_without_facial_controls_is_said_to_be_one(networks):
    write_networks(networks, "video")
    rows = faces.measure(bench(networks))
    assert rows and all(row.value is None and "no facial controls" in row.note for row in rows)
    (networks / NAMES["face_reader"]).unlink()
    assert "emo2 train face-reader" in faces.measure(bench(networks))[0].note
