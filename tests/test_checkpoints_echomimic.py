"""EchoMimicV2's four files: loaded strictly, as .pth or .safetensors, and every wrong file said to be what it is."""

import pickle
from dataclasses import replace

import pytest
import torch
from echomimic_cases import TINY
from emo2.models.checkpoints.echomimic_v2 import PARTS, expected_shapes, load_echomimic_v2, read_part
from emo2.models.checkpoints.identify import identify
from emo2.models.errors import EMO2Error
from emo2.models.video.model import VideoModel
from emo2.models.video.temporal import sinusoids
from safetensors.torch import save_file

CONFIG = replace(TINY, size=(64, 64), widths=(32, 64), attention_levels=(True, True), layers_per_block=1)


@pytest.fixture(scope="module")
def video():
    torch.manual_seed(0)
    model = VideoModel(CONFIG).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model


def parts_of(video):
    """The four files' tensors, position tables included, as the original saves them."""
    found = {name: {} for name in PARTS}
    for name, keys in expected_shapes(video).items():
        state = getattr(video, PARTS[name].module).state_dict()
        found[name] = {key: state[key].clone() for key in keys}
    for key in [key for key in found["motion_module"] if key.endswith(".to_q.weight")]:
        width = len(found["motion_module"][key])
        found["motion_module"][key.replace(".to_q.weight", ".pos_encoder.pe")] = sinusoids(width, 32)[None]
    return found


@pytest.fixture
def files(video, tmp_path):
    paths = {}
    for name, tensors in parts_of(video).items():
        paths[name] = tmp_path / f"{name}.pth"
        torch.save(tensors, paths[name])
    return paths


def outputs(model):
    torch.manual_seed(1)
    with torch.inference_mode():
        known = model.prepare(
            reference=model.encode_reference(torch.randn(1, 4, 8, 8)),
            audio=model.encode_audio(torch.randn(1, 3, 10, 5, 16)),
            pose=model.encode_maps(torch.rand(1, 3, 3, 64, 64)),
        )
        return model(torch.randn(1, 4, 3, 8, 8), 500, conditions=known)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_four_files_make_the_network(video, files, suffix):
    if suffix == ".safetensors":
        for name, path in files.items():
            files[name] = path.with_suffix(suffix)
            save_file(torch.load(path), files[name])
    model, header = load_echomimic_v2(files, CONFIG)
    torch.testing.assert_close(outputs(model), outputs(video), atol=1e-6, rtol=0)
    assert all(torch.equal(value, video.state_dict()[name]) for name, value in model.state_dict().items())
    assert header.kind == "video" and header.config["map_drawing"] == "echomimic_v2"
    assert not any(p.requires_grad or p.is_meta for p in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())


def test_half_precision_stays(video, files):
    for path in files.values():
        torch.save({key: value.half() for key, value in torch.load(path).items()}, path)
    model, _ = load_echomimic_v2(files, CONFIG)
    assert {p.dtype for p in model.parameters()} == {torch.float16}


def test_views_on_a_large_storage_do_not_keep_it(video, tmp_path):
    """The public pose encoder is 1.7 GB for 2 MB of weights: its tensors are views on another network's."""
    tensors = parts_of(video)["pose_encoder"]
    whole = torch.zeros(sum(t.numel() for t in tensors.values()) + 500_000)
    views, start = {}, 0
    for key, value in tensors.items():
        views[key] = whole[start : start + value.numel()].view(value.shape).copy_(value)
        start += value.numel()
    path = tmp_path / "pose_encoder.pth"
    torch.save(views, path)
    assert path.stat().st_size > 2_000_000
    read = read_part(path, "pose_encoder", expected_shapes(video))
    assert all(torch.equal(read[key], value) for key, value in tensors.items())
    assert all(value.untyped_storage().nbytes() == value.numel() * 4 for value in read.values())


@pytest.mark.parametrize("given, wanted", [
    ("motion_module", "denoising_unet"), ("reference_unet", "denoising_unet"), ("denoising_unet", "reference_unet"),
    ("pose_encoder", "motion_module"), ("denoising_unet", "pose_encoder"),
])  # fmt: skip
def test_a_file_in_the_wrong_place_is_sent_to_its_own(video, files, given, wanted):
    files[wanted] = files[given]
    with pytest.raises(EMO2Error) as caught:
        load_echomimic_v2(files, replace(CONFIG))
    said = str(caught.value)
    assert said.startswith(f"{wanted}: ") and f"{wanted}.pth" in said
    assert f"belongs to the input {given}" in said or given == "denoising_unet", said


SDXL = {"down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3), "up_blocks.0.resnets.0.conv1.weight": (1, 1, 3, 3),
        "conv_out.weight": (4, 320, 3, 3),
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048)}  # fmt: skip


@pytest.mark.parametrize("shapes, words", [
    (SDXL, "the UNet of Stable Diffusion XL"),
    ({**SDXL, list(SDXL)[3]: (320, 768)}, "the UNet of Stable Diffusion 1.5"),
    ({"lora_unet_down_blocks_0.lora_down.weight": (4, 320)}, "a LoRA"),
    ({"unet.down_blocks.0.attn1.to_q.lora_A.weight": (4, 320)}, "a LoRA"),
    ({"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)},
     "a whole checkpoint of Stable Diffusion 1.5"),
    ({"decoder.up.0.block.0.conv1.weight": (1,)}, "a VAE"),
    ({"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,)}, "a motion module"),
    ({"encoder.positional_embedding": (1500, 384)}, "a Whisper model"),
    ({"x": (1,)}, "weights of an unknown kind"), ({}, "a file without weights"),
])  # fmt: skip
def test_other_files_are_said_to_be_what_they_are(tmp_path, video, shapes, words):
    assert identify(shapes) == words
    path = tmp_path / "other.pth"
    torch.save({name: torch.zeros(tuple(min(side, 1) for side in shape)) for name, shape in shapes.items()}, path)
    with pytest.raises(EMO2Error, match="EchoMimicV2's denoising UNet"):
        read_part(path, "denoising_unet", expected_shapes(video))


def test_a_file_of_the_right_kind_with_holes_names_them(video, tmp_path):
    tensors = parts_of(video)["reference_unet"]
    lost = sorted(tensors)[0]
    del tensors[lost]
    path = tmp_path / "reference_unet.pth"
    torch.save(tensors, path)
    with pytest.raises(EMO2Error, match=rf"does not fit: 1 missing \({lost}\)"):
        read_part(path, "reference_unet", expected_shapes(video))


class Evil:
    def __reduce__(self):
        return eval, ("open('/tmp/emo2-was-run', 'w')",)


def test_nothing_in_a_pickle_is_run(tmp_path, video):
    path = tmp_path / "denoising_unet.pth"
    torch.save({"conv_in.weight": Evil()}, path)
    with pytest.raises(EMO2Error, match="unsafe"):
        read_part(path, "denoising_unet", expected_shapes(video))
    path.write_bytes(pickle.dumps({"conv_in.weight": Evil()}))
    with pytest.raises(EMO2Error, match=r"unsafe|damaged"):
        read_part(path, "denoising_unet", expected_shapes(video))


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04half"])
def test_damaged_files_are_said_to_be(tmp_path, video, content):
    path = tmp_path / "denoising_unet.pth"
    path.write_bytes(content)
    with pytest.raises(EMO2Error, match="damaged"):
        read_part(path, "denoising_unet", expected_shapes(video))


def test_a_truncated_file_is_said_to_be(files, video):
    data = files["denoising_unet"].read_bytes()
    files["denoising_unet"].write_bytes(data[: len(data) // 2])
    with pytest.raises(EMO2Error, match="damaged"):
        read_part(files["denoising_unet"], "denoising_unet", expected_shapes(video))


def test_it_is_converted_into_one_file(video, files, tmp_path, monkeypatch, capsys):
    from emo2.models.checkpoints.format import load_checkpoint
    from emo2.models.video import model as network
    from emo2.models.video.config import VideoConfig
    from emo2.runner.cli import main

    monkeypatch.setattr(VideoConfig, "echomimic_v2", classmethod(lambda cls: CONFIG))
    target = tmp_path / "echo.safetensors"
    command = ["convert", "echomimic_v2", str(tmp_path), "--out", str(target), "--size", "64x128"]
    assert main(command) == 0 and capsys.readouterr().out.strip() == str(target)
    model, header = load_checkpoint(target, "video", network.build)
    assert model.config.size == (64, 128) and header.notes["source"] == "echomimic_v2"
    torch.testing.assert_close(outputs(model), outputs(video), atol=1e-6, rtol=0)
    assert main(command) == 2 and "which exists" in capsys.readouterr().err
    half = tmp_path / "half.safetensors"
    assert main([*command[:3], "--out", str(half), "--half"]) == 0
    assert half.stat().st_size < 0.6 * target.stat().st_size


@pytest.mark.parametrize("more, words", [
    (["--out", "x.pth"], "ends in .safetensors"), (["--out", "x.safetensors", "--size", "70x70"], "multiples of 64"),
    (["--out", "x.safetensors", "--accelerated"], "denoising_unet_acc.pth"),
])  # fmt: skip
def test_what_cannot_be_converted_is_said(files, tmp_path, capsys, more, words):
    from emo2.runner.cli import main

    assert main(["convert", "echomimic_v2", str(tmp_path), *more]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "x.safetensors").exists()
