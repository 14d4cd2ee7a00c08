"""The video network's parameters are what the architecture's formula says; its config is strict."""

import itertools
import json

import pytest
import torch
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel, build


def conv(inside: int, out: int, side: int = 3) -> int:
    return inside * out * side * side + out


def linear(inside: int, out: int, bias: bool = True) -> int:
    return inside * out + out * bias


def resnet(inside: int, out: int, time: int) -> int:
    shortcut = conv(inside, out, 1) if inside != out else 0
    return 2 * inside + conv(inside, out) + linear(time, out) + 2 * out + conv(out, out) + shortcut


def attention(width: int, source: int) -> int:
    """Query, keys, values without bias, output with one, and the layer norm before it."""
    return width * width + 2 * source * width + linear(width, width) + 2 * width


def feed_forward(width: int) -> int:
    """Gated: 4 times the width twice over, and back; and the layer norm before it."""
    return linear(width, 8 * width) + linear(4 * width, width) + 2 * width


def spatial(width: int, sound: int | None) -> int:
    cross = attention(width, sound) if sound else 0
    return 2 * width + 2 * conv(width, width, 1) + attention(width, width) + cross + feed_forward(width)


def temporal(width: int, attentions: int = 2) -> int:
    return 2 * width + 2 * linear(width, width) + attentions * attention(width, width) + feed_forward(width)


def unet(config: VideoConfig, sound: int | None, motion: bool, outputs: bool) -> int:
    """A UNet of Stable Diffusion's plan: levels down, a middle, levels up with one more layer each."""
    widths, count = config.widths, config.layers_per_block
    time = 4 * widths[0]
    total = conv(config.latent_channels, widths[0]) + linear(widths[0], time) + linear(time, time)

    def layer(inside: int, out: int, level: int) -> int:
        size = resnet(inside, out, time) + (temporal(out) if motion else 0)
        return size + (spatial(out, sound) if config.attention_levels[level] else 0)

    skips = [widths[0]]
    for level, width in enumerate(widths):
        for place in range(count):
            total += layer(skips[-1] if place == 0 else width, width, level)
            skips.append(width)
        if level < len(widths) - 1:
            total += conv(width, width)
            skips.append(width)

    last = widths[-1]
    total += 2 * resnet(last, last, time) + spatial(last, sound) + (temporal(last) if motion else 0)

    before = last
    for level in reversed(range(len(widths))):
        width = widths[level]
        for _ in range(count + 1):
            total += layer(before + skips.pop(), width, level)
            before = width
        if level > 0:
            total += conv(width, width)
    assert skips == []
    if outputs:
        total += 2 * widths[0] + conv(widths[0], config.latent_channels)
    return total


def guider(config: VideoConfig) -> int:
    channels = config.guider_channels
    total = conv(config.map_channels, channels[0]) + conv(channels[-1], config.widths[0])
    return total + sum(conv(a, a) + conv(a, b) for a, b in itertools.pairwise(channels))


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module", params=["paper", "tiny"])
def sized(request):
    config = getattr(VideoConfig, request.param)()
    with torch.device("meta"):
        return config, VideoModel(config)


def test_parameters_follow_the_formula(sized):
    config, model = sized
    assert size(model.reference_net) == unet(config, None, motion=False, outputs=False)
    assert size(model.backbone) == unet(config, config.audio_width, motion=True, outputs=True)
    assert size(model.guider) == guider(config)
    assert size(model.confidence_embedding) == 2 * config.widths[0]
    states, wide = config.audio_layers * config.audio_dim, config.audio_width
    tokens = linear(states, wide) + linear(wide, wide) + config.audio_window * wide + 2 * wide
    assert size(model.audio_projection) == tokens
    assert size(model) == sum(size(part) for part in model.children())


def test_the_formula_knows_the_published_sizes():
    """Stable Diffusion 1.5's UNet, and EchoMimicV2's files: reference network and denoiser without motion modules."""
    paper = VideoConfig.paper()
    assert unet(paper, 768, motion=False, outputs=True) == 859_520_964
    assert unet(paper, None, motion=False, outputs=False) == 815_521_280
    assert unet(paper, 384, motion=False, outputs=True) == 849_936_324


def test_paper_size_has_16_spatial_and_21_temporal_places():
    with torch.device("meta"):
        model = VideoModel(VideoConfig.paper())
    spatial_places, temporal_places = model.backbone.spatial(), model.backbone.temporal()
    assert (len(spatial_places), len(temporal_places)) == (16, 21)
    features, motion = model.reference_net.to("meta")(torch.zeros(1, 4, 16, 16, device="meta"))
    assert features.keys() == spatial_places.keys() and motion.keys() == temporal_places.keys()
    for name, block in spatial_places.items():
        assert features[name].shape[-1] == block.attn1.to_k.in_features
    for name, module in temporal_places.items():
        assert motion[name].shape[1] == module.temporal_transformer.norm.num_channels


def test_keys_are_those_of_diffusers_and_animatediff():
    with torch.device("meta"):
        model = VideoModel(VideoConfig.paper())
    temporal_keys = [key for key in model.backbone.state_dict() if ".motion_modules." in key]
    assert len(temporal_keys) == 588 - 42
    assert (
        "down_blocks.0.motion_modules.1.temporal_transformer.transformer_blocks.0.attention_blocks.0.to_out.0.bias"
        in (temporal_keys)
    )
    assert len(model.backbone.state_dict()) - len(temporal_keys) == 686
    assert len(model.reference_net.state_dict()) == 570


# --- config


@pytest.mark.parametrize("config", [VideoConfig.paper(), VideoConfig.tiny()], ids=["paper", "tiny"])
def test_config_survives_json(config):
    assert VideoConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_profiles_are_the_designs():
    paper, tiny = VideoConfig.paper(), VideoConfig.tiny()
    assert (paper.size, paper.widths, paper.latent_size) == ((704, 512), (320, 640, 1280, 1280), (88, 64))
    assert (tiny.size, tiny.latent_size, tiny.latent_channels) == ((128, 96), (16, 12), 12)
    for config in (paper, tiny):
        assert (config.fps, config.clip_frames, config.motion_frames, config.audio_window) == (25.0, 24, 12, 5)
        assert config.positions >= 36


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": 3},
        {"temporal_norm": "batch"},
        {"audio_absent": "silence"},
        {"prediction_type": "score"},
        {"zero_terminal_snr": True, "prediction_type": "epsilon"},
        {"size": [704, 500]},
        {"size": [704]},
        {"widths": [320, 640]},
        {"widths": [64, 96, 100]},
        {"positions": 30},
        {"motion_frames": -1},
        {"guider_channels": [16, 32]},
        {"audio_projection": "none", "audio_width": 7},
        {"clip_frames": 0},
        {"fps": 0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_config_that_cannot_be_is_refused_by_name(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        build(VideoConfig.tiny().to_dict() | changes)
