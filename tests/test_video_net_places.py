"""The reference network's features are what the backbone has at those places; motion frames pass as a clip does."""

import pytest
import torch
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel
from emo2.models.video.temporal import TemporalModule

CONFIG = VideoConfig.tiny()
FRAMES, LATENTS = 3, (CONFIG.latent_channels, 8, 6)


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def twins() -> VideoModel:
    """A network whose reference network has the backbone's own weights; its temporal modules add nothing yet."""
    torch.manual_seed(0)
    model = VideoModel(CONFIG).eval().requires_grad_(False)
    own = model.backbone.state_dict()
    model.reference_net.load_state_dict({name: own[name] for name in model.reference_net.state_dict()})
    return model


def test_features_are_what_the_backbone_has_at_those_places(twins):
    """Without conditions, at t = 0: the inputs of all temporal modules, and of all self-attentions after norm1."""
    entered, normed = {}, {}
    handles = []
    for name, module in twins.backbone.temporal().items():
        handles.append(module.register_forward_pre_hook(lambda _, args, name=name: entered.update({name: args[0]})))
    for name, block in twins.backbone.spatial().items():
        handles.append(block.norm1.register_forward_hook(lambda _, __, out, name=name: normed.update({name: out})))
    latents = draw(1, LATENTS[0], FRAMES, *LATENTS[1:])
    twins(latents, 0)
    for handle in handles:
        handle.remove()
    motion = twins.encode_motion_frames(latents)
    reference = twins.encode_reference(latents[0].transpose(0, 1))
    assert torch.equal(reference.pop("conv_in"), twins.reference_input(latents[0].transpose(0, 1)))
    assert list(motion) == list(entered) and list(reference) == list(normed)
    for name, tensor in motion.items():
        torch.testing.assert_close(tensor[0], entered[name], atol=1e-5, rtol=0, msg=name)
    for name, tensor in reference.items():
        torch.testing.assert_close(tensor, normed[name], atol=1e-5, rtol=0, msg=name)


def test_the_reference_network_stands_at_time_0(twins):
    seen = []
    handle = twins.reference_net.time_embedding.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    twins.encode_reference(draw(1, *LATENTS))
    handle.remove()
    half = CONFIG.widths[0] // 2
    assert torch.equal(seen[0][0], torch.cat([torch.ones(half), torch.zeros(half)]))


@pytest.mark.parametrize("norm", ["frame", "clip"])
def test_motion_frames_offer_what_a_clip_of_them_offers(norm):
    """At the same positions, carried frames have the keys and values that they would have as a clip."""
    modules = []
    for carried in (FRAMES, 0):
        values = {"motion_frames": carried, "temporal_norm": norm, "temporal_attentions": 3}
        torch.manual_seed(0)
        modules.append(TemporalModule("place", 64, VideoConfig.from_dict(CONFIG.to_dict() | values)))
    features = draw(1, FRAMES, 64, 5, 4)
    pairs = modules[0].keys_values(features)
    transformer = modules[1].temporal_transformer
    found = []
    for attention in transformer.transformer_blocks[0].attention_blocks:
        attention.to_k.register_forward_hook(lambda _, __, out: found.append(out))
        attention.to_v.register_forward_hook(lambda _, __, out: found.append(out))
    transformer(features[0], 1, None, [])
    ours = [tensor[0].transpose(1, 2).flatten(2) for pair in pairs for tensor in pair]
    assert len(ours) == len(found) == 6
    for mine, its in zip(ours, found):
        torch.testing.assert_close(mine, its, atol=1e-5, rtol=0)
