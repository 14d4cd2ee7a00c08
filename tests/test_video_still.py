"""What stands still keeps the reference picture's detail; what moves is left to the network."""

import numpy as np
import pytest
import torch
import video_run_cases as cases
from emo2.models.errors import EMO2Error
from emo2.models.types import Reference
from emo2.models.video.decode import decode_video
from emo2.models.video.still import Still
from emo2.nodes.decode import DecodeVideo
from video_run_cases import CONFIG


@pytest.fixture(scope="module")
def reference():
    """A picture with detail that the autoencoder loses."""
    noise = np.random.default_rng(0).uniform(-0.02, 0.02, (1, *CONFIG.size, 3)).astype(np.float32)
    image = (torch.linspace(0.2, 0.8, CONFIG.size[1])[None, None, :, None] + torch.from_numpy(noise)).clamp(0, 1)
    latents = cases.LinearVAE().encode(image)
    return Reference(latents, {}, cases.LinearVAE().decode(latents) + torch.from_numpy(noise), "model")


def test_a_repeated_reference_becomes_the_picture(reference):
    still = Still.of(cases.LinearVAE(), reference)
    frames = decode_video(cases.LinearVAE(), reference.latents.repeat(3, 1, 1, 1), finish=still.kept)
    assert (frames - reference.image).abs().max() < 1e-6
    plain = decode_video(cases.LinearVAE(), reference.latents.repeat(3, 1, 1, 1))
    assert (plain - reference.image).abs().max() > 0.015


def test_what_differs_is_left_alone(reference):
    still = Still.of(cases.LinearVAE(), reference)
    frame = torch.from_numpy(still.rebuilt)[None].clone()
    half = CONFIG.size[0] // 2
    frame[:, half:] = (frame[:, half:] + 0.5) % 1
    kept = still.kept(frame)
    edge = 3
    assert (kept[:, half + edge :] - frame[:, half + edge :]).abs().max() < 1e-4
    assert (kept[:, : half - edge] - reference.image[:, : half - edge]).abs().max() < 2e-3


def test_fine_detail_goes_with_the_thing_that_it_belongs_to():
    """A hand with a fingertip that the autoencoder loses, and a crack in the wall that it loses too."""
    wall = np.full((128, 96, 3), 0.5, np.float32)
    rebuilt = wall.copy()
    rebuilt[40:60, 30:50] = 0.9  # the hand
    picture = rebuilt.copy()
    picture[37:40, 38:41] = 0.9  # its fingertip
    picture[100:103, 70:73] = 0.9  # a crack
    frame = torch.from_numpy(wall)[None]  # the hand has gone
    kept = Still(picture, rebuilt).kept(frame)[0]
    assert kept[38, 39, 0] == pytest.approx(0.5, abs=0.05) and kept[101, 71, 0] == pytest.approx(0.9, abs=0.01)
    assert torch.allclose(Still(picture, rebuilt).kept(torch.from_numpy(rebuilt)[None])[0], torch.from_numpy(picture))


def test_strength_lies_between_the_network_and_the_picture(reference):
    vae = cases.LinearVAE()
    frame = torch.from_numpy(Still.of(vae, reference).rebuilt)[None]
    whole, half = (Still.of(vae, reference, strength).kept(frame) for strength in (1.0, 0.5))
    assert torch.allclose(half, (whole + frame) / 2, atol=1e-6)
    assert Still.of(vae, reference, 0.0) is None
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(EMO2Error, match="keep_still"):
            Still.of(vae, reference, strength)


def test_another_size_is_named(reference):
    still = Still.of(cases.LinearVAE(), reference)
    with pytest.raises(EMO2Error, match=r"reference: expected frames of .*made with"):
        still.kept(torch.zeros(1, 8, 8, 3))
    wide = Reference(reference.latents.repeat(1, 1, 1, 2), {}, reference.image, "model")
    with pytest.raises(EMO2Error, match=r"vae: expected pictures of"):
        Still.of(cases.LinearVAE(), wide)


@pytest.mark.parametrize("chunk", [1, 2, 8])
def test_the_node_keeps_still_parts_whatever_the_chunk(reference, chunk):
    vae, latents = cases.LinearVAE(), torch.cat([reference.latents, -reference.latents, reference.latents])
    decode = lambda **more: DecodeVideo().decode(vae, {"samples": latents}, chunk, **more)[0]
    kept, plain = decode(reference=reference), decode()
    assert torch.equal(decode(reference=reference, keep_still=0.0), plain)
    assert (kept[[0, 2]] - reference.image).abs().max() < 1e-6 and (kept[1] - plain[1]).abs().mean() < 0.01
    assert torch.equal(kept, torch.cat([DecodeVideo().decode(vae, {"samples": latents}, 8, reference=reference)[0]]))
    with pytest.raises(EMO2Error, match="EMO2 Decode Video, keep_still"):
        decode(reference=reference, keep_still=2.0)
