"""A network is taught to be led by voices, by videos and by both: what samples lack, and what a checkpoint gains."""

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import read_header, save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.maps.face import HEAD, LIPS
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel
from emo2.training.options import read_options
from emo2.training.video_clip import VideoClipRecipe
from emo2.training.video_data import Clips, Drops, Emphasis, Puppets, pose_presence, unknown_face
from training_video_cases import NETWORK, STILL, batch_of, fill, paint

ALL = {**STILL, "lips": 0.0, "head": 0.0, "stretch": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint(tmp_path_factory.mktemp("puppets"))


def clips(folder, config, **drops):
    own = read_options(Drops, ALL | drops)
    return Clips(Puppets(folder, config), None, 0, 5, own, Emphasis(), 0.0, 0.0, True)


def test_parts_go_in_the_order_in_which_they_drown_the_voice():
    rng = np.random.default_rng(0)
    drops = Drops(lips=0.6, head=0.5)
    drawn = [frozenset(unknown_face(rng, drops)) for _ in range(4000)]
    nothing, lips, both = (sum(d == frozenset(s) for d in drawn) for s in ((), LIPS, (*LIPS, *HEAD)))
    assert nothing + lips + both == len(drawn), "the head never goes alone"
    assert nothing / 4000 == pytest.approx(0.4, abs=0.03) and lips / 4000 == pytest.approx(0.3, abs=0.03)


def test_a_pose_may_be_there_in_a_part_of_the_clip():
    rng = np.random.default_rng(0)
    drawn = np.stack([pose_presence(rng, 24, Drops(pose=0.1, stretch=0.5)) for _ in range(3000)])
    assert drawn.min() == 0 and drawn.max() == 1
    assert (drawn == 0).all(1).mean() == pytest.approx(0.1, abs=0.05)
    soft = (np.abs(np.diff(drawn, axis=1)) > 0).any(1)
    assert soft.mean() == pytest.approx(0.45, abs=0.06)
    # One hand-over at most, and in either direction.
    assert (np.abs(np.diff(np.sign(np.diff(drawn, axis=1)).clip(-1, 1), axis=1)).sum(1) <= 4).all()
    rising = drawn[:, -1] > drawn[:, 0]
    assert 0.15 < rising[soft].mean() < 0.85
    assert np.array_equal(pose_presence(rng, 5, Drops(pose=0.0)), np.ones(5))


def test_faces_are_shown_only_to_networks_that_know_them(folder):
    plain, shown = VideoConfig(**NETWORK), VideoConfig(**NETWORK, face_maps=True)
    old, new = (clips(folder, config)[3] for config in (plain, shown))
    assert (new["maps"] != old["maps"]).any() and torch.equal(new["maps"][:3], old["maps"][:3])
    hidden = clips(folder, shown, lips=1.0, head=1.0)
    # Other draws, another stretch: what matters is that no face is in any of them.
    for index in range(4):
        sample = hidden[index]
        colours = sample["maps"][3:].permute(1, 2, 3, 0).reshape(-1, 3)
        assert not (colours == torch.tensor([255, 0, 255], dtype=torch.uint8)).all(1).any()


def test_part_of_a_pose_reaches_the_network(folder, tmp_path):
    """A clip whose pose ends in the middle is told so frame by frame."""
    config = VideoConfig(**NETWORK)
    path = tmp_path / "video.safetensors"
    save_checkpoint(path, "video", config.to_dict(), fill(VideoModel(config)).state_dict(), notes={"stage": "clip"})
    recipe = VideoClipRecipe(
        {"data": str(folder), "image": str(path), "previews": 0, "drops": ALL | {"stretch": 1.0}}, 0
    )
    lesson = recipe.build()
    batch = batch_of(recipe.dataset(), 0, 1)
    assert batch["has_pose"].shape == (2, 5)
    batch["has_pose"] = torch.tensor([[1.0, 0.5, 0.0, 0.0, 1.0], [0.0] * 5])
    pose = lesson.conditions(batch).pose
    full = lesson.conditions({**batch, "has_pose": torch.ones(2, 5)}).pose
    assert lesson.conditions(batch).mask("pose") == (True, False)
    assert torch.allclose(pose[0, :, 1], full[0, :, 1] / 2) and not pose[0, :, 2].any()


@pytest.mark.parametrize(
    "extend", [{"face_maps": True}, {"audio_interaction": 6}, {"face_maps": True, "audio_interaction": 6}]
)
def test_an_extended_checkpoint_begins_as_it_was(folder, tmp_path, extend):
    config = VideoConfig(**NETWORK)
    path = tmp_path / "video.safetensors"
    before = fill(VideoModel(config))
    save_checkpoint(path, "video", config.to_dict(), before.state_dict(), notes={"stage": "clip"})
    recipe = VideoClipRecipe({"data": str(folder), "image": str(path), "previews": 0, "extend": extend}, 0)
    lesson = recipe.build()
    assert recipe.config == VideoConfig.from_dict(config.to_dict() | extend)
    noisy = torch.randn(1, 4, 5, 8, 6, generator=torch.Generator().manual_seed(0))
    windows = torch.randn(1, 5, config.audio_window, config.audio_layers, config.audio_dim)
    maps = torch.rand(1, 6, 5, *config.size)
    told = lambda m: m(noisy, 400, audio=m.encode_audio(windows), pose=m.encode_maps(maps))
    with torch.no_grad():
        assert torch.allclose(told(lesson.video), told(before), atol=1e-5)
    made = recipe.export(lesson, tmp_path / "export", {})
    assert read_header(made[0]).config == recipe.config.to_dict()


def test_what_cannot_be_extended(folder):
    with pytest.raises(EMO2Error, match="face_maps, head_mask, audio_interaction"):
        VideoClipRecipe({"data": str(folder), "image": "x", "extend": {"widths": [1]}}, 0)
