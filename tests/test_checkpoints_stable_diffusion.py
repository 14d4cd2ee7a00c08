"""Stable Diffusion's UNet in its three layouts, AnimateDiff's modules in their two, and what is neither."""

import re

import pytest
import torch
from emo2.models.checkpoints.stable_diffusion import read_motion_modules, read_unet
from emo2.models.errors import EMO2Error
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel
from emo2.models.video.temporal import sinusoids
from emo2.training.stable_diffusion import begin_temporal
from safetensors.torch import save_file

SIZES = {"in_channels": 4, "out_channels": 4, "block_out_channels": (16, 32), "layers_per_block": 2,
         "norm_num_groups": 4, "attention_head_dim": 2, "cross_attention_dim": 768,
         "down_block_types": ("CrossAttnDownBlock2D",) * 2, "up_block_types": ("CrossAttnUpBlock2D",) * 2}  # fmt: skip
RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
          "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip


@pytest.fixture(scope="module")
def unet():
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(**SIZES).state_dict()


def stability(name):
    """A tensor of the small UNet under Stability's own name."""
    whole = {"conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0",
             "time_embedding.linear_2": "time_embed.2", "conv_norm_out": "out.0", "conv_out": "out.2"}  # fmt: skip
    stem, kind = name.rsplit(".", 1)
    if stem in whole:
        return f"{whole[stem]}.{kind}"
    if match := re.fullmatch(r"(down|up)_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.+)", name):
        way, level, part, place, rest = match.groups()
        number = 1 + 3 * int(level) + int(place) if way == "down" else 3 * int(level) + int(place)
        block = f"{'input' if way == 'down' else 'output'}_blocks.{number}.{0 if part == 'resnets' else 1}"
        return f"{block}.{inner(rest, part)}"
    if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", name):
        part, place, rest = match.groups()
        return f"middle_block.{2 * int(place) if part == 'resnets' else 1}.{inner(rest, part)}"
    if match := re.fullmatch(r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.+)", name):
        return f"input_blocks.{3 + 3 * int(match[1])}.0.op.{match[2]}"
    match = re.fullmatch(r"up_blocks\.(\d)\.upsamplers\.0\.conv\.(.+)", name)
    return f"output_blocks.{2 + 3 * int(match[1])}.2.conv.{match[2]}"


def inner(rest, part):
    first, _, kind = rest.partition(".")
    return f"{RESNET[first]}.{kind}" if part == "resnets" else rest


def test_all_layouts_hold_the_same(unet, tmp_path):
    folder = tmp_path / "model" / "unet"
    folder.mkdir(parents=True)
    save_file(unet, folder / "diffusion_pytorch_model.safetensors")
    whole = {f"model.diffusion_model.{stability(name)}": value for name, value in unet.items()}
    whole["first_stage_model.decoder.conv_in.weight"] = torch.zeros(2)
    save_file(whole, tmp_path / "sd15.safetensors")
    torch.save({"state_dict": whole, "global_step": 3}, tmp_path / "sd15.ckpt")
    paths = (folder.parent, folder, folder / "diffusion_pytorch_model.safetensors", tmp_path / "sd15.safetensors",
             tmp_path / "sd15.ckpt")  # fmt: skip
    for path in paths:
        found = read_unet(path, "unet")
        assert found.keys() == unet.keys(), path
        assert all(torch.equal(found[name], value) for name, value in unet.items()), path


def modules(mid=True):
    torch.manual_seed(1)
    video = VideoModel(NET)
    state = {name: torch.randn_like(value) for name, value in video.backbone.state_dict().items() if ".motion_" in name}
    return {name: value for name, value in state.items() if mid or not name.startswith("mid_block")}


NET = VideoConfig(size=(64, 48), widths=(16, 32), attention_levels=(True, True), layers_per_block=1, heads=2,
                  temporal_heads=2, norm_groups=4, audio_dim=8, audio_layers=2, audio_width=8)  # fmt: skip


@pytest.mark.parametrize("mid", [True, False])
@pytest.mark.parametrize("form", ["theirs", "prefixed", "diffusers"])
def test_animatediffs_modules_begin_the_temporal_ones(tmp_path, mid, form):
    own = modules(mid)
    given = dict(own)
    for name in [name for name in own if name.endswith("attention_blocks.0.to_q.weight")]:
        table = sinusoids(own[name].shape[0], 24)[None]
        given[name.replace("to_q.weight", "pos_encoder.pe")] = table
    if form == "prefixed":
        given = {f"module.{name}": value for name, value in given.items()}
    if form == "diffusers":
        given = {diffusers_name(name): value for name, value in given.items()}
    path = tmp_path / "mm.ckpt"
    torch.save({"state_dict": given} if form == "prefixed" else given, path)
    video = VideoModel(NET)
    before = {name: value.clone() for name, value in video.backbone.state_dict().items()}
    assert begin_temporal(video, path) == len(own)
    for name, value in video.backbone.state_dict().items():
        assert torch.equal(value, own.get(name, before[name])), name


def diffusers_name(name):
    """diffusers' MotionAdapter flattens a module's single transformer block."""
    for ours, theirs in ((".temporal_transformer.", "."), ("attention_blocks.0.", "attn1."),
                         ("attention_blocks.1.", "attn2."), ("norms.0.", "norm1."), ("norms.1.", "norm2."),
                         ("ff_norm.", "norm3.")):  # fmt: skip
        name = name.replace(ours, theirs)
    return name


def test_what_is_neither_is_said(unet, tmp_path):
    lora = tmp_path / "style.safetensors"
    save_file({"lora_unet_mid.lora_down.weight": torch.zeros(2, 2)}, lora)
    for read in (read_unet, read_motion_modules):
        with pytest.raises(EMO2Error, match=r"a LoRA \(style\.safetensors\)"):
            read(lora, "file")
        with pytest.raises(EMO2Error, match="no file at"):
            read(tmp_path / "none.ckpt", "file")
        with pytest.raises(EMO2Error, match="neither"):
            read(tmp_path, "file")
    plain = tmp_path / "unet.safetensors"
    save_file(unet, plain)
    with pytest.raises(EMO2Error, match=r"the UNet of Stable Diffusion 1\.5"):
        read_motion_modules(plain, "file")


def test_modules_of_another_width_are_refused(tmp_path):
    given = {name: torch.zeros(*(2 * side for side in value.shape)) for name, value in modules().items()}
    torch.save(given, tmp_path / "mm.ckpt")
    with pytest.raises(EMO2Error, match=r"recipe\.motion_modules.*of another shape"):
        begin_temporal(VideoModel(NET), tmp_path / "mm.ckpt")
