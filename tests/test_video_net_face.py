"""Facial controls of the video network: nothing at first, then emotion, blink and identity of each frame."""

import dataclasses

import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.video.condition_batch import ConditionBatch
from emo2.models.video.config import VideoConfig
from emo2.models.video.face_control import is_face_part
from emo2.models.video.model import VideoModel
from training_video_cases import fill
from video_run_cases import one_thread  # noqa: F401

PLAIN = VideoConfig(
    size=(64, 48), latent_channels=4, widths=(16, 32), attention_levels=(True, True), heads=2, norm_groups=4,
    temporal_heads=2, clip_frames=4, motion_frames=2, positions=8, guider_channels=(4, 6, 8, 8), audio_dim=12,
    audio_layers=2, audio_width=12, layers_per_block=1,
)  # fmt: skip
CONFIG = dataclasses.replace(PLAIN, face_control=8, face_identity=6)
FRAMES = 4


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sound(model: VideoModel, rows: int = 1):
    return model.encode_audio(draw(rows, FRAMES, PLAIN.audio_window, PLAIN.audio_layers, PLAIN.audio_dim, seed=2))


def shown(rows: int = 1) -> dict[str, torch.Tensor]:
    return {
        "emotion": draw(rows, FRAMES, 8, seed=3).softmax(-1),
        "blink": draw(rows, FRAMES, seed=4).sigmoid(),
        "identity": draw(rows, 6, seed=5),
    }


def told(model: VideoModel, rows: int = 1, **changes) -> dict:
    heard = sound(model, rows)
    return {"audio": heard, "face": model.encode_face(**(shown(rows) | changes), audio=heard, frames=FRAMES, rows=rows)}


NOISY = draw(1, 4, FRAMES, 8, 6)


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return fill(VideoModel(CONFIG)).eval().requires_grad_(False)


@pytest.mark.parametrize("more", [{}, {"audio_interaction": 8}, {"audio_absent": "zeros"}])
def test_new_controls_change_nothing_to_the_bit(more):
    """With a face and without one, with sound and without it; and the checkpoint's own names are all still there."""
    plain = fill(VideoModel(dataclasses.replace(PLAIN, **more))).eval().requires_grad_(False)
    extended = VideoModel(dataclasses.replace(CONFIG, **more)).eval().requires_grad_(False)
    fresh = {name: value for name, value in extended.state_dict().items() if is_face_part(name)}
    assert fresh and set(extended.state_dict()) - set(fresh) == set(plain.state_dict())
    extended.load_state_dict(fresh | plain.state_dict())
    known = told(extended)
    assert torch.equal(extended(NOISY, 500, **known), plain(NOISY, 500, audio=known["audio"]))
    assert torch.equal(extended(NOISY, 500, face=known["face"]), plain(NOISY, 500))
    assert torch.equal(extended(NOISY, 500), plain(NOISY, 500))


def test_prepared_conditions_give_the_same(model):
    known = told(model)
    direct = model(NOISY, 500, **known)
    assert torch.allclose(model(NOISY, 500, conditions=model.prepare(**known)), direct, atol=1e-5)
    assert not torch.allclose(model(NOISY, 500, audio=known["audio"]), direct, atol=1e-3)


def test_rows_of_a_batch_do_not_disturb_each_other(model):
    both = model.prepare(rows=2, **told(model, rows=2))
    batch = both.keep(face=(True, False)).with_unconditional()
    noisy = draw(2, 4, FRAMES, 8, 6)
    out = model(noisy.repeat(2, 1, 1, 1, 1), 500, conditions=batch)
    nothing = model(noisy, 500, conditions=ConditionBatch(rows=2))
    assert torch.allclose(out[:2], nothing, atol=1e-5)
    first = both.keep(face=(True, False), audio=(True, False))
    assert torch.allclose(out[2], model(noisy, 500, conditions=first)[0], atol=1e-5)
    second = both.keep(face=(False, False))
    assert torch.allclose(out[3], model(noisy, 500, conditions=second)[1], atol=1e-5)


@pytest.mark.parametrize("name", ["emotion", "blink"])
def test_a_frame_has_its_own_controls(model, name):
    before = model.encode_face(**shown(), frames=FRAMES).tokens
    changed = shown()
    changed[name] = changed[name].clone()
    changed[name][:, 2] = draw(*changed[name][:, 2].shape, seed=9).abs()
    moved = (model.encode_face(**changed, frames=FRAMES).tokens - before).abs().amax(dim=(0, 2, 3))
    assert moved[2] > 1e-3 and moved[[0, 1, 3]].max() == 0


def test_identity_and_voice_know_each_other(model):
    """The tokens of the voice change with whose face it is, and the face's with what is heard."""
    whole = model.encode_face(**shown(), audio=sound(model), frames=FRAMES).tokens
    other = model.encode_face(**(shown() | {"identity": draw(1, 6, seed=8)}), audio=sound(model), frames=FRAMES).tokens
    silent = model.encode_face(**shown(), frames=FRAMES).tokens
    voice, face = slice(4, None), slice(0, 4)
    assert whole.shape == (1, FRAMES, 4 + CONFIG.audio_tokens, 8)
    assert (whole - other)[:, :, voice].abs().min(dim=-1).values.max() > 1e-4
    assert (whole - silent)[:, :, face].abs().max() > 1e-3


def test_what_is_masked_is_as_if_it_were_not_there(model):
    known = {"emotion": torch.tensor([True, False]), "blink": torch.tensor([[True, False, True, True], [True] * 4])}
    mixed = model.encode_face(**shown(2), frames=FRAMES, rows=2, known=known).tokens
    whole = model.encode_face(**shown(2), frames=FRAMES, rows=2).tokens
    left_out = shown(2)
    del left_out["emotion"]
    without = model.encode_face(**left_out, frames=FRAMES, rows=2).tokens
    assert torch.allclose(mixed[1], without[1], atol=1e-6)
    assert torch.allclose(mixed[0, [0, 2, 3]], whole[0, [0, 2, 3]], atol=1e-6)
    assert not torch.allclose(mixed[0, 1], whole[0, 1], atol=1e-3)


def test_an_embedding_counts_by_its_direction(model):
    longer = shown() | {"identity": shown()["identity"] * 7}
    same = [model.encode_face(**values, frames=FRAMES).tokens for values in (shown(), longer)]
    assert torch.allclose(*same, atol=1e-5)


def test_strength(model):
    heard = sound(model)
    at = lambda s: model(NOISY, 500, audio=heard, face=model.encode_face(**shown(), frames=FRAMES, strength=s))
    assert torch.equal(at(0.0), model(NOISY, 500, audio=heard))
    assert not torch.allclose(at(0.5), at(1.0), atol=1e-3)


def test_windows_take_their_frames(model):
    batch = model.prepare(**told(model))
    part = batch.at_frames([2, 3])
    assert part.face.frames == 2
    key = next(iter(part.face.keys_values.values()))[0]
    assert torch.equal(key, next(iter(batch.face.keys_values.values()))[0][:, 2:])
    both = ConditionBatch.together([part, batch.at_frames([0, 1])])
    assert both.rows == 2 and both.face.tokens.shape[0] == 2


def test_it_learns():
    """Every parameter of the controls gets a gradient once the last projection has moved."""
    model = fill(VideoModel(CONFIG))
    known = {name: torch.tensor([True, False]) for name in ("emotion", "blink", "identity", "audio")}
    heard = sound(model, 2)
    face = model.encode_face(**shown(2), audio=heard, frames=FRAMES, rows=2, known=known)
    model(draw(2, 4, FRAMES, 8, 6), 500, face=face).square().mean().backward()
    own = {name: p for name, p in model.named_parameters() if is_face_part(name)}
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in own.values())


def test_wrong_faces_are_refused(model):
    with pytest.raises(EMO2Error, match="facial controls"):
        VideoModel(PLAIN).encode_face(blink=torch.zeros(1, FRAMES), frames=FRAMES)
    with pytest.raises(EMO2Error, match="identity"):
        model.encode_face(identity=torch.zeros(1, 512), frames=FRAMES)
    with pytest.raises(EMO2Error, match="4 frames"):
        model(NOISY, 500, face=model.encode_face(blink=torch.zeros(1, 3), frames=3))
    with pytest.raises(ValueError, match="multiple of heads"):
        dataclasses.replace(CONFIG, face_control=7)
