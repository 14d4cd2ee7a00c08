"""The CLIP image encoder has the interface of ComfyUI's CLIP_VISION and sees what ComfyUI's would see."""

import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.video import clip_vision
from emo2.models.video.clip_vision import MEAN, STD, TINY, CLIPVision, prepare_pixels


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = clip_vision.write_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")
    return load_checkpoint(path, "clip_vision", clip_vision.build)[0]


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_output_has_the_fields_by_attribute_and_by_name(encoder):
    out = encoder.encode_image(picture(2, 128, 96, 3))
    patches = (TINY["image_size"] // TINY["patch_size"]) ** 2
    assert out.image_embeds.shape == (2, TINY["projection_dim"])
    assert out.last_hidden_state.shape == out.penultimate_hidden_states.shape == (2, 1 + patches, TINY["hidden_size"])
    assert out["image_embeds"] is out.image_embeds and out.mm_projected is None
    assert not torch.equal(out.last_hidden_state, out.penultimate_hidden_states)


def test_penultimate_states_become_the_last_ones_in_the_last_layer(encoder):
    out = encoder.encode_image(picture(1, 64, 64, 3))
    last = encoder.model.vision_model.encoder.layers[-1](out.penultimate_hidden_states, None)
    last = last[0] if isinstance(last, tuple) else last
    torch.testing.assert_close(last, out.last_hidden_state)


def test_pictures_differ_and_the_same_seed_is_the_same_encoder(encoder, tmp_path):
    one, other = (encoder.encode_image(picture(1, 70, 50, 3, seed=seed)).image_embeds for seed in (1, 2))
    assert not torch.allclose(one, other, atol=1e-3)
    again = load_checkpoint(clip_vision.write_tiny(tmp_path / "a.safetensors"), "clip_vision", clip_vision.build)[0]
    assert torch.equal(again.encode_image(picture(1, 70, 50, 3, seed=1)).image_embeds, one)


def test_a_batch_is_its_pictures(encoder):
    pictures = picture(3, 40, 90, 3)
    together = encoder.encode_image(pictures).image_embeds
    alone = torch.cat([encoder.encode_image(pictures[[n]]).image_embeds for n in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_cropping_sees_the_middle_and_squeezing_sees_all():
    image = torch.zeros(1, 64, 192, 3)
    image[:, :, :64] = 1  # the left third, which a middle square does not see
    black = torch.tensor([-mean / std for mean, std in zip(MEAN, STD)])
    cropped, squeezed = (prepare_pixels(image, 64, crop) for crop in (True, False))
    torch.testing.assert_close(cropped, black[None, :, None, None].expand(1, 3, 64, 64))
    assert (squeezed[0, :, 32, 2] > 1).all() and torch.allclose(squeezed[0, :, 32, 60], black)


def test_pictures_of_the_right_size_are_only_normalised_in_8_bit_steps():
    image = picture(1, 64, 64, 3)
    back = prepare_pixels(image, 64)[0] * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    torch.testing.assert_close(back.movedim(0, -1), (image[0] * 255).round() / 255, atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 33, 7, 3), (1, 300, 500, 3)])
def test_any_size_becomes_a_square(shape):
    out = prepare_pixels(picture(*shape), 64)
    assert out.shape == (1, 3, 64, 64) and torch.isfinite(out).all()


def test_alpha_is_dropped_and_grey_is_repeated():
    colour = picture(1, 50, 60, 3)
    with_alpha = torch.cat([colour, torch.zeros(1, 50, 60, 1)], dim=-1)
    assert torch.equal(prepare_pixels(with_alpha, 64), prepare_pixels(colour, 64))
    grey = colour[..., :1]
    assert torch.equal(prepare_pixels(grey, 64), prepare_pixels(grey.expand(-1, -1, -1, 3), 64))


@pytest.mark.parametrize("shape", [(50, 60, 3), (1, 50, 60, 2), (0, 50, 60, 3)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(EMO2Error):
        prepare_pixels(torch.zeros(shape), 64)


def test_config_is_strict_and_half_precision_answers_in_full():
    with pytest.raises(ValueError, match="colour"):
        CLIPVision(TINY | {"colour": 1})
    out = CLIPVision(TINY).eval().to(torch.bfloat16).encode_image(picture(1, 64, 64, 3))
    assert out.image_embeds.dtype == torch.float32


def test_gradients_reach_the_encoder():
    """Stage 1 trains it: the pass itself keeps gradients, only `encode_image` does not."""
    encoder = CLIPVision(TINY)
    encoder(prepare_pixels(picture(1, 64, 64, 3), 64))[0].square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
