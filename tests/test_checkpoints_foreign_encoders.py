"""Stable Diffusion's autoencoder and CLIP's image encoder in all their layouts, loaded and used without ComfyUI."""

import json
import re

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.autoencoder import load_vae
from emo2.models.checkpoints.clip_vision import load_clip_vision
from emo2.models.checkpoints.format import load_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.video import clip_vision, vae
from emo2.nodes import host
from emo2.runner.cli import main
from emo2.runner.core_nodes.latent import CLIPVisionEncode, CLIPVisionLoader, VAEDecode, VAEEncode, VAELoader
from safetensors.torch import save_file

SIZES = {"block_out_channels": [32, 64, 64], "layers_per_block": 2, "latent_channels": 4, "norm_num_groups": 32,
         "mid_block_add_attention": True}  # fmt: skip
EYES = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 1,
        "image_size": 28, "patch_size": 14, "projection_dim": 24, "hidden_act": "quick_gelu"}  # fmt: skip
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    return vae.build(SIZES).eval()


@pytest.fixture(scope="module")
def eyes():
    torch.manual_seed(0)
    return clip_vision.build(EYES).eval()


def old_names(tensors):
    """As stabilityai/sd-vae-ft-mse has them."""
    renamed = {}
    for name, value in tensors.items():
        for new, old in OLD.items():
            if ".attentions." in name:
                name = name.replace(f".{new}.", f".{old}.")
        renamed[name] = value
    return renamed


def stability(tensors, levels=3):
    """As Stability's own files have them (vae-ft-mse-840000-ema-pruned)."""
    found = {}
    for name, value in tensors.items():
        name = re.sub(r"encoder\.down_blocks\.(\d)\.resnets\.(\d)", r"encoder.down.\1.block.\2", name)
        name = re.sub(r"encoder\.down_blocks\.(\d)\.downsamplers\.0", r"encoder.down.\1.downsample", name)
        up = lambda match: f"decoder.up.{levels - 1 - int(match[1])}."
        name = re.sub(r"decoder\.up_blocks\.(\d)\.", up, name)
        name = re.sub(r"(decoder\.up\.\d)\.resnets\.(\d)", r"\1.block.\2", name)
        name = re.sub(r"(decoder\.up\.\d)\.upsamplers\.0", r"\1.upsample", name)
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda match: f"mid.block_{int(match[1]) + 1}", name)
        if "mid_block.attentions.0" in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
            for new, own in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
                name = name.replace(f".{new}.", f".{own}.")
            value = value[..., None, None] if name.endswith("weight") and value.ndim == 2 else value
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        found[name] = value
    return found


def vae_files(tensors, folder):
    """{layout: path} of the same weights."""
    whole, part = folder / "model" / "vae", folder / "alone"
    for place in (whole, part):
        place.mkdir(parents=True)
    save_file(tensors, whole / "diffusion_pytorch_model.safetensors")
    torch.save(old_names(tensors), part / "diffusion_pytorch_model.bin")
    save_file(old_names(tensors), folder / "old.safetensors")
    torch.save({"state_dict": {**stability(tensors), "loss.logvar": torch.zeros(())}}, folder / "own.ckpt")
    inside = {f"first_stage_model.{name}": value for name, value in stability(tensors).items()}
    save_file({**inside, "model.diffusion_model.out.2.bias": torch.zeros(4)}, folder / "whole.safetensors")
    half = {name: value.half() for name, value in tensors.items()}
    save_file(half, folder / "half.safetensors")
    return {"whole folder": folder / "model", "folder": part, "old names": folder / "old.safetensors",
            "Stability's": folder / "own.ckpt", "checkpoint": folder / "whole.safetensors"}  # fmt: skip


def test_every_layout_of_a_vae_is_the_same_vae(autoencoder, tmp_path):
    picture = torch.rand(1, 32, 40, 3, generator=torch.Generator().manual_seed(1))
    wanted = vae.encode(autoencoder, picture)
    for layout, path in vae_files(autoencoder.state_dict(), tmp_path).items():
        module, header = load_vae(path)
        assert header.config == SIZES, layout
        torch.testing.assert_close(vae.encode(module, picture), wanted, msg=layout)
        torch.testing.assert_close(vae.decode(module, wanted), vae.decode(autoencoder, wanted), msg=layout)
    module, _ = load_vae(tmp_path / "half.safetensors")
    assert next(module.parameters()).dtype == torch.float32
    assert (vae.encode(module, picture) - wanted).abs().max() < 0.01


@pytest.mark.parametrize(("tensors", "words"), [
    ({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}, "a whole checkpoint"),
    ({"a.lora_down.weight": torch.zeros(1)}, "a LoRA"),
    ({"encoder.down_blocks.0.resnets.0.conv1.weight": torch.zeros(8, 8, 3, 3),
      "decoder.up_blocks.0.resnets.0.conv1.weight": torch.zeros(8, 8, 3, 3)}, "another VAE"),
    ({"nothing": torch.zeros(1)}, "unknown"),
])  # fmt: skip
def test_what_is_no_such_vae_is_named(tensors, words, tmp_path):
    save_file(tensors, tmp_path / "file.safetensors")
    with pytest.raises(EMO2Error, match=f"vae_name: .*{words}.*file.safetensors.*sd-vae-ft-mse") as caught:
        load_vae(tmp_path / "file.safetensors", "vae_name")
    assert "\n" not in str(caught.value)


def test_a_vae_that_lacks_a_tensor_is_refused(autoencoder, tmp_path):
    tensors = dict(autoencoder.state_dict())
    del tensors["decoder.conv_out.bias"]
    save_file(tensors, tmp_path / "cut.safetensors")
    with pytest.raises(EMO2Error, match=r"1 missing \(decoder\.conv_out\.bias"):
        load_vae(tmp_path / "cut.safetensors")
    with pytest.raises(EMO2Error, match="Download the whole folder"):
        load_vae(tmp_path)


def clips_own(tensors):
    """The encoder under CLIP's own names, beside a text encoder."""
    found = {"text_projection": torch.zeros(2), "logit_scale": torch.zeros(())}
    whole = {"embeddings.class_embedding": "class_embedding", "embeddings.patch_embedding.weight": "conv1.weight",
             "embeddings.position_embedding.weight": "positional_embedding", "pre_layrnorm.weight": "ln_pre.weight",
             "pre_layrnorm.bias": "ln_pre.bias", "post_layernorm.weight": "ln_post.weight",
             "post_layernorm.bias": "ln_post.bias"}  # fmt: skip
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
    stacked = {}
    for name, value in tensors.items():
        if name == "visual_projection.weight":
            found["visual.proj"] = value.T.contiguous()
            continue
        name = name.removeprefix("vision_model.")
        if name in whole:
            found[f"visual.{whole[name]}"] = value
            continue
        number, _, rest = name.removeprefix("encoder.layers.").partition(".")
        part, _, kind = rest.rpartition(".")
        layer = f"visual.transformer.resblocks.{number}."
        if match := re.fullmatch(r"self_attn\.([qkv])_proj", part):
            stacked.setdefault(f"{layer}attn.in_proj_{kind}", {})[match[1]] = value
        else:
            found[f"{layer}{parts[part]}.{kind}"] = value
    return found | {name: torch.cat([group[part] for part in "qkv"]) for name, group in stacked.items()}


def test_every_layout_of_clips_image_encoder_is_the_same(eyes, tmp_path):
    tensors = eyes.model.state_dict()
    folder = tmp_path / "clip-vit"
    folder.mkdir()
    save_file({**tensors, "text_model.final_layer_norm.bias": torch.zeros(3)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"vision_config": {**EYES, "model_type": "clip_vision_model"}}))
    save_file({name: value.half().float() for name, value in tensors.items()}, tmp_path / "one.safetensors")
    torch.save(clips_own(tensors), tmp_path / "own.bin")
    picture = torch.rand(2, 40, 30, 3, generator=torch.Generator().manual_seed(1))
    wanted = eyes.encode_image(picture).image_embeds
    for path, close in ((folder, 1e-6), (tmp_path / "one.safetensors", 1e-2), (tmp_path / "own.bin", 1e-6)):
        module, header = load_clip_vision(path)
        assert {key: header.config[key] for key in EYES} == EYES
        assert (module.encode_image(picture).image_embeds - wanted).abs().max() < close


def test_the_published_sizes_are_told_by_the_shapes():
    """OpenAI's ViT-L/14, and ViT-H/14, whose heads are wider and whose activation is another."""
    from emo2.models.checkpoints.clip_vision import sizes

    for width, layers, projection, heads, act in ((1024, 24, 768, 16, "quick_gelu"), (1280, 32, 1024, 16, "gelu")):
        with torch.device("meta"):
            network = clip_vision.build(
                {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers, "image_size": 224,
                 "patch_size": 14, "num_attention_heads": heads, "projection_dim": projection}
            )  # fmt: skip
        found = sizes(network.model.state_dict())
        assert found == {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
                         "num_attention_heads": heads, "patch_size": 14, "image_size": 224,
                         "projection_dim": projection, "hidden_act": act}  # fmt: skip


@pytest.mark.parametrize(("tensors", "words"), [
    ({"encoder.positional_embedding": torch.zeros(1)}, "a Whisper model"),
    ({"vision_model.embeddings.class_embedding": torch.zeros(8)}, "without its projection"),
])  # fmt: skip
def test_what_is_no_image_encoder_is_named(tensors, words, tmp_path):
    save_file(tensors, tmp_path / "file.safetensors")
    with pytest.raises(EMO2Error, match=f"clip_name: .*{words}.*clip-vit-large"):
        load_clip_vision(tmp_path / "file.safetensors", "clip_name")


def test_comfyuis_loaders_work_without_comfyui(autoencoder, eyes, tmp_path, monkeypatch):
    monkeypatch.setattr(host, "outside", host.Outside(models=[tmp_path], quiet=True))
    for folder, module in (("vae", autoencoder), ("clip_vision", eyes.model)):
        (tmp_path / folder).mkdir()
        save_file(module.state_dict(), tmp_path / folder / "file.safetensors")
    assert VAELoader.INPUT_TYPES()["required"]["vae_name"][0] == ["file.safetensors"]
    loaded = VAELoader().load_vae("file.safetensors")[0]
    picture = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    latent = VAEEncode().encode(loaded, picture)[0]
    assert latent["samples"].shape == (1, 4, 8, 8) and loaded.latent_channels == 4
    assert VAEDecode().decode(loaded, latent)[0].shape == (1, 32, 32, 3)
    encoder = CLIPVisionLoader().load_clip("file.safetensors")[0]
    told = CLIPVisionEncode().encode(encoder, picture, "center")[0]
    assert torch.equal(told.image_embeds, eyes.encode_image(picture).image_embeds)
    with pytest.raises(EMO2Error, match=r"vae_name.*none\.safetensors"):
        VAELoader().load_vae("none.safetensors")


def test_they_convert_to_the_packs_own_format(autoencoder, eyes, tmp_path, capsys):
    files = vae_files(autoencoder.state_dict(), tmp_path)
    save_file(eyes.model.state_dict(), tmp_path / "eyes.safetensors")
    for kind, source, build in (
        ("vae", files["Stability's"], vae.build), ("clip_vision", tmp_path / "eyes.safetensors", clip_vision.build)
    ):  # fmt: skip
        out = tmp_path / f"{kind}.safetensors"
        assert main(["convert", kind, str(source), "--out", str(out)]) == 0
        module, header = load_checkpoint(out, kind, build)
        assert header.notes["source"] == kind and str(out) in capsys.readouterr().out
        own = autoencoder if kind == "vae" else eyes
        assert all(torch.equal(value, own.state_dict()[name]) for name, value in module.state_dict().items())


def test_a_checkpoint_with_weights_draws_no_random_numbers(tmp_path, autoencoder):
    """Its network is not filled with numbers that the file then replaces."""
    from emo2.models.checkpoints.format import save_checkpoint

    path = save_checkpoint(tmp_path / "own.safetensors", "vae", SIZES, autoencoder.state_dict())
    drawn = []

    def build(config):
        before = torch.get_rng_state()
        module = vae.build(config)
        drawn.append(not torch.equal(before, torch.get_rng_state()))
        return module

    module, _ = load_checkpoint(path, "vae", build)
    assert all(torch.equal(value, autoencoder.state_dict()[name]) for name, value in module.state_dict().items())
    save_checkpoint(path, "vae", SIZES, {}, untrained=3)
    module, _ = load_checkpoint(path, "vae", build)
    assert drawn == [False, True] and np.isfinite(module.encoder.conv_in.weight.numpy()).all()
