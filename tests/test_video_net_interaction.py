"""Frame-wise interaction of sound and picture: nothing at first, then each sound knows its picture and pose."""

import dataclasses

import pytest
import torch
from emo2.models.video.condition_batch import ConditionBatch
from emo2.models.video.config import VideoConfig
from emo2.models.video.interaction import GRID, pose_prior
from emo2.models.video.model import VideoModel
from training_video_cases import fill

PLAIN = VideoConfig(
    size=(64, 48), latent_channels=4, widths=(16, 32), attention_levels=(True, True), heads=2, norm_groups=4,
    temporal_heads=2, clip_frames=4, motion_frames=2, positions=8, guider_channels=(4, 6, 8, 8), audio_dim=12,
    audio_layers=2, audio_width=12, layers_per_block=1,
)  # fmt: skip
CONFIG = dataclasses.replace(PLAIN, audio_interaction=8)
FRAMES = 4


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def told(model: VideoModel, rows: int = 1, pose_seed: int = 3, strength: float | torch.Tensor = 1.0) -> dict:
    windows = draw(rows, FRAMES, PLAIN.audio_window, PLAIN.audio_layers, PLAIN.audio_dim, seed=2)
    maps = draw(rows, 6, FRAMES, *PLAIN.size, seed=pose_seed).sigmoid()
    return {"audio": model.encode_audio(windows), "pose": model.encode_maps(maps, strength=strength)}


NOISY = draw(1, 4, FRAMES, 8, 6)


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return fill(VideoModel(CONFIG)).eval().requires_grad_(False)


def test_a_new_interaction_changes_nothing():
    plain = fill(VideoModel(PLAIN)).eval().requires_grad_(False)
    extended = VideoModel(CONFIG).eval().requires_grad_(False)
    fresh = {name: value for name, value in extended.state_dict().items() if ".processor.interaction." in name}
    assert fresh and set(extended.state_dict()) - set(fresh) == set(plain.state_dict())
    extended.load_state_dict(fresh | plain.state_dict())
    known = told(plain)
    assert torch.allclose(plain(NOISY, 500, **known), extended(NOISY, 500, **known), atol=1e-6)


def test_prepared_conditions_give_the_same(model):
    known = told(model)
    direct = model(NOISY, 500, **known)
    assert torch.allclose(model(NOISY, 500, conditions=model.prepare(**known)), direct, atol=1e-5)


def test_rows_of_a_batch_do_not_disturb_each_other(model):
    """Both halves of guidance in one batch, and a row without pose, without sound, as when each is alone."""
    both = model.prepare(rows=2, **told(model, rows=2))
    batch = both.keep(pose=(True, False)).with_unconditional()
    noisy = draw(2, 4, FRAMES, 8, 6)
    out = model(noisy.repeat(2, 1, 1, 1, 1), 500, conditions=batch)
    nothing = model(noisy, 500, conditions=ConditionBatch(rows=2))
    assert torch.allclose(out[:2], nothing, atol=1e-5)
    for row in (0, 1):
        alone = both.keep(pose=(True, False)).keep(**{n: tuple(i == row for i in (0, 1)) for n in ("audio", "pose")})
        other = model(noisy, 500, conditions=alone)
        assert torch.allclose(out[2 + row], other[row], atol=1e-5)


def test_sound_meets_the_picture_and_the_pose_of_its_own_frame(model):
    """The tokens that a frame's attention reads change with that frame's picture and pose, and with no other's."""
    block = next(iter(model.backbone.spatial().values()))
    interaction = block.attn2.processor.interaction
    tokens, picture = draw(FRAMES, 5, 12, seed=4), draw(FRAMES, 48, block.attn2.query_dim, seed=5)
    prior = draw(FRAMES, GRID[0] * GRID[1], 16, seed=6)
    before = interaction(tokens, picture, prior)
    for changed in ("picture", "prior"):
        given = {"picture": picture.clone(), "prior": prior.clone()}
        given[changed][2] = draw(*given[changed].shape[1:], seed=7)
        moved = (interaction(tokens, **given) - before).abs().amax(dim=(1, 2))
        assert moved[2] > 1e-3 and moved[[0, 1, 3]].max() == 0


def test_the_prior_carries_the_poses_strength(model):
    """What is refocused reaches the sound too: twice the strength is twice the prior, none is none."""
    strength = torch.tensor([[0.0, 0.5, 1.0, 2.0]])
    like = draw(FRAMES, 16, 8, 6)
    full, scaled = (pose_prior(ConditionBatch(pose=told(model, strength=s)["pose"]), like)[0] for s in (1.0, strength))
    assert torch.allclose(scaled, full * strength[0][:, None, None], atol=1e-6) and full.abs().max() > 0.1
    assert not pose_prior(ConditionBatch(), like).any()


def test_strength_of_the_pose_in_each_frame(model):
    whole, half = (told(model, strength=s)["pose"] for s in (1.0, torch.tensor([[1.0, 0.5, 0.0, 1.0]])))
    assert torch.equal(half[:, :, 0], whole[:, :, 0]) and torch.allclose(half[:, :, 1], whole[:, :, 1] / 2)
    assert not half[:, :, 2].any()
    assert told(model, strength=0.0)["pose"] is None


def test_it_learns():
    """Every parameter of the interaction gets a gradient once its last projection has moved."""
    model = fill(VideoModel(CONFIG))
    model(NOISY, 500, **told(model)).square().mean().backward()
    own = {name: p for name, p in model.named_parameters() if ".processor.interaction." in name}
    assert len(own) == 11 * len(model.backbone.spatial())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in own.values())
