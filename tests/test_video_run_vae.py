"""The tiny autoencoder, as a module and as the VAE on a wire that ComfyUI's own nodes use."""

import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint, read_header
from emo2.models.errors import EMO2Error
from emo2.models.video import vae
from emo2.models.video.decode import check_vae, decode_chunks, decode_video
from emo2.nodes import host
from emo2.nodes.decode import DecodeVideo, LoadVAE, PackVAE
from seed_only_cases import seed_only
from video_run_cases import fill, one_thread  # noqa: F401


@pytest.fixture(scope="module")
def wire(tmp_path_factory) -> PackVAE:
    """The VAE with random, non-zero weights."""
    path = vae.write_tiny(tmp_path_factory.mktemp("vae") / "a.safetensors")
    module, header = load_checkpoint(path, "vae", vae.build)
    return PackVAE(host.wrap(fill(module), header))


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_size_and_shapes(wire):
    assert 1.6e6 < sum(parameter.numel() for parameter in wire.handle.module.parameters()) < 1.7e6
    latents = wire.encode(rand(3, 128, 96, 3))
    assert latents.shape == (3, 12, 16, 12) and latents.dtype == torch.float32
    pixels = wire.decode(latents)
    assert pixels.shape == (3, 128, 96, 3) and pixels.min() >= 0 and pixels.max() <= 1


def test_encoding_is_the_same_each_time(wire):
    picture = rand(1, 64, 48, 3)
    first = wire.encode(picture)
    torch.manual_seed(5)
    assert torch.equal(wire.encode(picture), first)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 50])
def test_decoded_whole_or_in_chunks_the_frames_are_equal(wire, chunk):
    latents = torch.randn(7, 12, 16, 12, generator=torch.Generator().manual_seed(1))
    one_by_one = torch.cat([wire.decode(latents[i : i + 1]) for i in range(7)])
    made = decode_video(wire, latents, chunk)
    assert (made - one_by_one).abs().max() < 1e-5
    assert [len(part) for part in decode_chunks(wire, latents, chunk)] == [
        min(chunk, 7 - first) for first in range(0, 7, chunk)
    ]


def test_the_node_decodes_the_same(wire):
    latents = torch.randn(5, 12, 4, 4, generator=torch.Generator().manual_seed(1))
    (images,) = DecodeVideo().decode(wire, {"samples": latents}, 2)
    assert (images - wire.decode(latents)).abs().max() < 1e-5


def test_what_comfyui_asks_of_a_vae(wire):
    """The calls and figures that ComfyUI's VAE nodes use, in the forms in which they use them."""
    assert wire.downscale_ratio == wire.spacial_compression_encode() == wire.spacial_compression_decode() == 8
    assert wire.temporal_compression_decode() is None and wire.latent_channels == 12
    wire.throw_exception_if_invalid()
    picture = rand(2, 64, 48, 3)
    tiled = wire.encode_tiled(picture, tile_x=512, tile_y=512, overlap=64, tile_t=64, overlap_t=8)
    assert torch.equal(tiled, wire.encode(picture))
    back = wire.decode_tiled(tiled, tile_x=64, tile_y=64, overlap=8, tile_t=None, overlap_t=None)
    assert torch.equal(back, wire.decode(tiled)) and torch.equal(wire.decode(tiled, vae_options={}), back)


def test_other_pictures(wire):
    """Alpha is dropped, grey is repeated, and what does not fill a latent is cut evenly."""
    picture = rand(1, 64, 48, 3)
    alpha = torch.cat([picture, torch.zeros(1, 64, 48, 1)], dim=-1)
    assert torch.equal(wire.encode(alpha), wire.encode(picture))
    grey = rand(1, 64, 48, 1)
    assert torch.equal(wire.encode(grey), wire.encode(grey.repeat(1, 1, 1, 3)))
    padded = torch.nn.functional.pad(picture, (0, 0, 3, 4, 1, 2))
    assert torch.equal(wire.encode(padded), wire.encode(picture))


def test_wrong_input(wire):
    with pytest.raises(EMO2Error, match="at least 8 x 8"):
        wire.encode(rand(1, 7, 48, 3))
    with pytest.raises(EMO2Error, match=r"latents \(F, 12, h, w\)"):
        wire.decode(torch.zeros(1, 4, 8, 8))
    with pytest.raises(EMO2Error, match="4 latent channels, but got one with 12"):
        list(decode_chunks(wire, torch.zeros(1, 4, 8, 8)))
    with pytest.raises(EMO2Error, match="chunk"):
        list(decode_chunks(wire, torch.zeros(1, 12, 8, 8), 0))
    with pytest.raises(EMO2Error, match="latent"):
        list(decode_chunks(wire, torch.zeros(0, 12, 8, 8)))
    with pytest.raises(EMO2Error, match="4 latent channels"):
        check_vae(wire, 4)


def test_a_vae_that_does_not_say_its_channels_is_taken_as_it_is():
    class Foreign:
        def decode(self, latents):  # a video VAE of ComfyUI's: a batch axis in front of the frames
            return latents.movedim(1, -1)[None, ..., :3]

    frames = decode_video(Foreign(), rand(3, 4, 2, 2))
    assert frames.shape == (3, 2, 2, 3)


def test_the_shipped_file_loads_and_an_untrained_one_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "outside", host.Outside([tmp_path], quiet=True))
    (loaded,) = LoadVAE().load("emo2_vae_tiny.safetensors")
    header = read_header(host.model_path("emo2_vae_tiny.safetensors"), "vae")
    assert loaded.latent_channels == 12
    assert len(host.outside.warnings) == (header.untrained is not None)
    host.outside.warnings.clear()
    name = seed_only(tmp_path, "vae")["vae"]
    LoadVAE().load(name)
    (warning,) = host.outside.warnings
    assert name in warning and "untrained" in warning
    with pytest.raises(EMO2Error, match=r"EMO2 Load VAE, vae_name: expected an image autoencoder"):
        LoadVAE().load("emo2_video_tiny.safetensors")


def test_training_reaches_every_weight():
    """A gradient flows through encoder and decoder, so that this network can be trained."""
    torch.manual_seed(0)
    module = vae.build(vae.TINY)
    picture = rand(1, 3, 32, 32)
    loss = (module.decode(module.encode(picture).latent_dist.sample()).sample - picture).square().mean()
    loss.backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
