"""A face track and an identity on their way through the samplers and nodes."""

import dataclasses

import numpy as np
import pytest
import torch
import video_run_cases as cases
from emo2.models.checkpoints.format import save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.pose import face_network
from emo2.models.types import Framing
from emo2.models.video import vae as autoencoder
from emo2.models.video.conditions import Conditions, Settings, prepare
from emo2.models.video.face_track import FaceTrack, weights
from emo2.models.video.model import VideoModel
from emo2.models.video.sampler import sample_video
from emo2.models.video.stream import job_fingerprint
from emo2.models.video.windows import WindowOptions
from emo2.nodes import host
from emo2.nodes.decode import LoadVAE
from emo2.nodes.face_encoder import LoadFaceEncoder
from emo2.nodes.video import EncodeReference, LoadVideoModel, SampleVideo
from video_run_cases import CONFIG, one_thread  # noqa: F401

FACED = dataclasses.replace(CONFIG, face_control=8, face_identity=128)
WIDGETS = {
    "seed": 1, "steps": 1, "cfg": 1.0, "scheduler": "ddim", "reference_strength": 1.0, "audio_strength": 1.0,
    "pose_strength": 1.0, "start_second": 0.0, "end_second": 0.0, "quick_preview": False,
}  # fmt: skip
QUICK = Settings(steps=1, cfg=1.0)


def track(frames: int, emotion: str = "happy", blink: float = 1.0, fps: float = CONFIG.fps, **known) -> FaceTrack:
    return FaceTrack(np.full(frames, blink), np.tile(weights(emotion), (frames, 1)), fps, **known)


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return cases.fill(VideoModel(FACED))


def conditions(model, face=None, identity=None, frames=8) -> Conditions:
    reference = dataclasses.replace(cases.reference(model), identity=identity)
    return Conditions(FACED, reference, None, cases.sound(frames), None, face)


def made(model, settings=QUICK, count=8, **told) -> torch.Tensor:
    return sample_video(model, conditions(model, **told), settings, count=count)


def test_controls_reach_their_frames(model):
    """Another emotion from frame 6 on changes the second clip, and leaves the first as it is."""
    calm, later = track(8, "neutral", 0), np.tile(weights("neutral"), (8, 1))
    later[6:] = weights("angry")
    one, two = made(model, face=calm), made(model, face=calm.replace(emotion=later))
    assert torch.equal(one[:6], two[:6]) and not torch.allclose(one[6:], two[6:], atol=1e-4)
    assert not torch.allclose(one, made(model, face=track(8, "neutral", 1)), atol=1e-4)
    assert not torch.allclose(one, made(model), atol=1e-4)


def test_identity_counts_and_strength_zero_takes_all_away(model):
    person = torch.nn.functional.normalize(cases.draw(128, seed=4), dim=0)
    plain = made(model)
    assert not torch.allclose(plain, made(model, identity=person), atol=1e-4)
    nothing = dataclasses.replace(QUICK, face_strength=0.0)
    assert torch.equal(plain, made(model, nothing, face=track(8), identity=person))


def test_what_nobody_knows_is_left_open(model):
    both = conditions(model, face=track(8, blink_known=False)).face_controls(np.arange(4))
    assert set(both) == {"emotion"}
    assert conditions(model, face=track(8, emotion_known=False, blink_known=False)).face_controls(np.arange(4)) == {}
    past = conditions(model, face=track(3)).face_controls(np.arange(5))
    assert past["blink"].tolist() == [[1, 1, 1, 0, 0]] and (past["emotion"][0, :, 1] == 1).all()


def test_windows_and_guidance(model):
    windows = WindowOptions(4, 2, closed_loop=False, shift=0)
    known = conditions(model, face=track(8))
    one = sample_video(model, known, dataclasses.replace(QUICK, cfg=2.0), count=8, windows=windows)
    two = sample_video(model, known, QUICK, count=8, windows=windows)
    assert torch.isfinite(one).all() and not torch.allclose(one, two)


def test_a_track_at_another_rate_is_resampled(model):
    known = prepare(FACED, "model", audio=cases.sound(8), face=track(16, fps=2 * CONFIG.fps))
    assert known.face.fps == CONFIG.fps and len(known.face) == 8


def test_a_model_without_controls_refuses_a_track():
    with pytest.raises(EMO2Error, match=r"facial controls.*video-face"):
        prepare(CONFIG, "model", audio=cases.sound(8), face=track(8))


def test_an_identity_of_another_encoder_is_refused(model):
    reference = dataclasses.replace(cases.reference(model), identity=torch.ones(512))
    with pytest.raises(EMO2Error, match=r"128 numbers.*512"):
        prepare(FACED, "model", reference=reference, audio=cases.sound(8))
    plain = dataclasses.replace(cases.reference(cases.network()), identity=torch.ones(512))
    assert prepare(CONFIG, "model", reference=plain, audio=cases.sound(8)).face_controls(np.arange(2)) == {}


def test_another_face_is_another_job(model):
    name = lambda **told: job_fingerprint(
        cases.LinearVAE(), conditions(model, **told), QUICK, "model", 0, 8, None, 17, 1.0
    )
    person = torch.ones(128)
    names = [name(), name(face=track(8)), name(face=track(8, "sad")), name(identity=person)]
    assert len(set(names)) == 4 and name(face=track(8)) == names[1]


@pytest.fixture
def outside(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    for file, config in (("plain", CONFIG), ("faced", FACED)):
        save_checkpoint(folder / f"{file}.safetensors", "video", config.to_dict(), {}, untrained=1)
    save_checkpoint(folder / "face.safetensors", "face_encoder", face_network.TINY, {}, untrained=1)
    autoencoder.write_tiny(folder / "vae.safetensors")
    monkeypatch.setattr(host, "outside", host.Outside([folder], tmp_path, tmp_path / "output", [], quiet=True))
    return host.outside


def test_from_the_loader_to_the_video(outside):
    encoder = LoadFaceEncoder().load("face.safetensors")[0]
    assert "face.safetensors" in LoadFaceEncoder.INPUT_TYPES()["required"]["face_encoder"][0]
    model, vae = LoadVideoModel().load("faced.safetensors")[0], LoadVAE().load("vae.safetensors")[0]
    image = torch.rand(1, 40, 40, 3, generator=torch.Generator().manual_seed(0))
    framing = Framing((0.5, 0.5), 0.4, (40, 40))
    reference = EncodeReference().encode(model, vae, image, framing, encoder)[0]
    assert reference.identity.shape == (128,)
    latent, _, count = SampleVideo().sample(model, reference, **WIDGETS, audio_features=cases.sound(5), face=track(5))
    assert count == 5 and torch.isfinite(latent["samples"]).all()
    with pytest.raises(EMO2Error, match="framing"):
        EncodeReference().encode(model, vae, image, None, encoder)
    other = LoadVideoModel().load("plain.safetensors")[0]
    plain = EncodeReference().encode(other, vae, image)[0]
    with pytest.raises(EMO2Error, match=r"EMO2 Sample Video, face: .*without them"):
        SampleVideo().sample(other, plain, **WIDGETS, audio_features=cases.sound(5), face=track(5))


def test_files_of_another_kind_are_refused_at_once(outside):
    assert LoadFaceEncoder.VALIDATE_INPUTS("face.safetensors") is True
    assert "face_encoder" in LoadFaceEncoder.VALIDATE_INPUTS("vae.safetensors")
    assert "not there" in LoadFaceEncoder.VALIDATE_INPUTS("missing.onnx")
