"""The video nodes: pictures of every kind, photographs and cartoons, lengths, ranges, warnings, errors."""

import cv2
import numpy as np
import pytest
import torch
import video_run_cases as cases
from emo2.models.checkpoints.format import save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.picture import covered, one_picture
from emo2.models.types import AudioFeatures, Framing
from emo2.models.video import vae as autoencoder
from emo2.models.video.photograph import looks_like_photograph
from emo2.models.video.windows import WindowOptions
from emo2.nodes import host
from emo2.nodes.decode import LoadVAE, StreamVideo
from emo2.nodes.saving import place
from emo2.nodes.video import ContextWindows, EncodeReference, LoadCLIPVision, LoadVideoModel, SampleVideo
from seed_only_cases import seed_only
from video_run_cases import CONFIG, one_thread  # noqa: F401

WIDGETS = {
    "seed": 1, "steps": 1, "cfg": 1.0, "scheduler": "ddim", "reference_strength": 1.0, "audio_strength": 1.0,
    "pose_strength": 1.0, "start_second": 0.0, "end_second": 0.0, "quick_preview": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of small models: two video models that differ, and a VAE."""
    folder = tmp_path_factory.mktemp("models")
    for name, seed in (("one", 1), ("two", 2)):
        save_checkpoint(folder / f"{name}.safetensors", "video", CONFIG.to_dict(), {}, untrained=seed)
    autoencoder.write_tiny(folder / "vae.safetensors")
    return folder


@pytest.fixture(autouse=True)
def outside(models, tmp_path, monkeypatch):
    monkeypatch.setattr(host, "outside", host.Outside([models], tmp_path, tmp_path / "output", [], quiet=True))
    return host.outside


@pytest.fixture
def model():
    return LoadVideoModel().load("one.safetensors")[0]


@pytest.fixture
def vae():
    return LoadVAE().load("vae.safetensors")[0]


def picture(height: int, width: int, channels: int = 3, count: int = 1) -> torch.Tensor:
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def ref(model, vae):
    return EncodeReference().encode(model, vae, picture(40, 40))[0]


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 3),
        (1, 1, 4),
        (31, 77, 3),
        (77, 31, 1),
        (32, 32, 3),
        (500, 300, 4),
        pytest.param((8000, 6000, 3), marks=pytest.mark.slow),
    ],
)
def test_any_picture_becomes_a_reference(model, vae, shape):
    reference, shown = EncodeReference().encode(model, vae, picture(*shape))
    assert shown.shape == reference.image.shape == (1, *CONFIG.size, 3) and shown.min() >= 0 and shown.max() <= 1
    assert reference.latents.shape == (1, *cases.LATENTS) and len(reference.features) > 0
    assert all(value.device.type == "cpu" and value.dtype == torch.float32 for value in reference.features.values())


@pytest.mark.parametrize(
    "image, words",
    [
        (picture(8, 8, 3, 2), "one picture.*batch of 2"),
        (picture(8, 8, 2), "grey, RGB or RGBA"),
        (torch.rand(8, 8, 3), "a picture"),
        (torch.full((1, 8, 8, 3), float("nan")), "finite"),
        ("portrait.png", "a picture"),
    ],
)
def test_wrong_pictures(model, vae, image, words):
    with pytest.raises(EMO2Error, match=f"^EMO2 Encode Reference, image: .*{words}") as caught:
        EncodeReference().encode(model, vae, image)
    assert "\n" not in str(caught.value)


def test_alpha_is_dropped_and_grey_repeated():
    colours = picture(5, 5)
    assert torch.equal(one_picture(torch.cat([colours, torch.zeros(1, 5, 5, 1)], dim=-1)), colours)
    assert one_picture(picture(5, 5, 1)).shape == (1, 5, 5, 3)


@pytest.mark.parametrize("size", [(704, 528), (200, 300), (64, 48), (90, 300)])
def test_the_framing_fits_the_cut_picture(size):
    """A dot at the framing's neck lies at the fitted framing's neck."""
    framing = Framing((0.45, 0.5), 0.3, size)
    x, y = np.meshgrid((np.arange(size[1]) + 0.5) / size[1], (np.arange(size[0]) + 0.5) / size[0])
    radius = 0.04 * min(size)
    dot = np.exp(-(((x - 0.45) * size[1]) ** 2 + ((y - 0.5) * size[0]) ** 2) / radius**2)
    cut = covered(torch.from_numpy(dot).float()[None, ..., None].repeat(1, 1, 1, 3), (128, 96))[0, ..., 0].numpy()
    neck = framing.fitted((128, 96)).neck
    weight = cut / cut.sum()
    centre = (weight.sum(0) @ (np.arange(96) + 0.5) / 96, weight.sum(1) @ (np.arange(128) + 0.5) / 128)
    assert np.allclose(centre, neck, atol=0.006)


def cartoon(seed: int) -> np.ndarray:
    """A flat figure before a plain or shaded wall, with outlines."""
    rng = np.random.default_rng(seed)
    colour = lambda: tuple(int(c) for c in rng.integers(30, 240, 3))
    canvas = np.full((600, 450, 3), colour(), np.uint8)
    if seed % 2:
        canvas = np.clip(canvas + np.linspace(-25, 25, 600)[:, None, None], 0, 255).astype(np.uint8)
    shirt, skin, hair = colour(), colour(), colour()
    cv2.ellipse(canvas, (225, 560), (170, 260), 0, 0, 360, shirt, -1, cv2.LINE_AA)
    cv2.ellipse(canvas, (225, 190), (90, 110), 0, 0, 360, hair, -1, cv2.LINE_AA)
    cv2.ellipse(canvas, (225, 210), (75, 95), 0, 0, 360, skin, -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.circle(canvas, (225 + 30 * side, 200), 9, (20, 20, 20), -1, cv2.LINE_AA)
        cv2.line(canvas, (225 + 130 * side, 380), (225 + 60 * side, 520), skin, 40, cv2.LINE_AA)
    cv2.ellipse(canvas, (225, 260), (22, 9), 0, 0, 360, colour(), 3, cv2.LINE_AA)
    return canvas


def as_image(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float()[None] / 255


@pytest.mark.parametrize("size", [None, (96, 128), (300, 400)])
@pytest.mark.parametrize("seed", range(12))
def test_drawings_are_no_photographs(seed, size):
    drawn = cartoon(seed)
    if size:
        drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    assert not looks_like_photograph(as_image(drawn))
    noisy = drawn + np.random.default_rng(seed).normal(0, 2, drawn.shape)
    assert not looks_like_photograph(as_image(noisy.clip(0, 255)))


@pytest.mark.shared
def test_photographs_are_photographs(shared):
    for path in sorted((shared / "data" / "portraits").glob("*.png")):
        photo = cv2.imread(str(path))
        for size in (None, (96, 128), (300, 300)):
            assert looks_like_photograph(as_image(cv2.resize(photo, size) if size else photo)), (path.name, size)
        for quality in (95, 50):
            small = cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
            assert looks_like_photograph(as_image(small)), (path.name, quality)


def test_one_colour_is_no_photograph():
    assert not looks_like_photograph(torch.zeros(1, 1, 1, 3)) and not looks_like_photograph(torch.ones(1, 50, 50, 3))


def test_a_photograph_with_a_tiny_model_names_the_other_workflow(model, vae, outside):
    outside.warnings.clear()
    EncodeReference().encode(model, vae, as_image(cartoon(0)))
    assert outside.warnings == []
    EncodeReference().encode(model, vae, picture(200, 200))  # every pixel another shade
    assert len(outside.warnings) == 1 and "the workflow echomimic_v2" in outside.warnings[0]


def test_untrained_weights_are_announced(outside):
    LoadVideoModel().load("one.safetensors")
    LoadCLIPVision().load(seed_only(outside.models[0], "clip_vision")["clip_vision"])
    assert ["untrained" in line for line in outside.warnings] == [True, True]


def test_the_shipped_models_load_and_say_what_they_are(outside):
    loaded = [
        LoadVideoModel().load("emo2_video_tiny.safetensors")[0].header,
        LoadCLIPVision().load("emo2_clip_vision_tiny.safetensors")[0].handle.header,
    ]
    assert len(outside.warnings) == sum(header.untrained is not None for header in loaded)


def sample(model, ref, **changes):
    return SampleVideo().sample(model, ref, **(WIDGETS | changes))


@pytest.mark.parametrize("seconds, frames", [(0.04, 1), (0.041, 2), (0.24, 6), (0.3, 8)])
def test_the_sound_decides_the_length(model, ref, seconds, frames):
    heard = cases.sound(10)
    heard = type(heard)(heard.hidden, heard.loudness, seconds, heard.rate, "test")
    latent, fps, count = sample(model, ref, audio_features=heard, motion=cases.motion(5))
    assert (fps, count, latent["samples"].shape) == (25.0, frames, (frames, *cases.LATENTS))


def test_without_sound_the_motion_decides_resampled_to_the_models_rate(model, ref):
    assert sample(model, ref, motion=cases.motion(7))[2] == 7
    resampled = sample(model, ref, motion=cases.motion(12, fps=30.0))
    assert resampled[2] == 10


def test_without_either_the_end_decides(model, ref):
    assert sample(model, ref, end_second=0.2)[2] == 5
    with pytest.raises(EMO2Error, match="EMO2 Sample Video, motion: "):
        sample(model, ref)


@pytest.mark.parametrize("frames, told", [(37, False), (38, True), (13, False), (12, True)])
def test_motion_and_sound_of_different_lengths(model, ref, outside, frames, told):
    outside.warnings.clear()
    assert sample(model, ref, audio_features=cases.sound(25), motion=cases.motion(frames))[2] == 25
    assert sum("lasts" in line for line in outside.warnings) == told


def test_a_range_goes_on_from_the_frames_before(model, ref):
    given = {"audio_features": cases.sound(15), "motion": cases.motion(15)}
    whole = sample(model, ref, **given)[0]["samples"]
    latent, _, count = sample(model, ref, **given, start_second=0.24, end_second=0.48,
                              previous={"samples": whole[:6]})  # fmt: skip
    assert count == 6 and torch.equal(latent["samples"], whole[6:12])


def test_quick_preview_takes_few_steps(model, ref, monkeypatch):
    ticks = []
    monkeypatch.setattr(
        host.Progress, "tick", lambda self, count=1, preview=None: ticks.append((self.total, preview()))
    )
    sample(model, ref, motion=cases.motion(6), steps=40, cfg=3.0, quick_preview=True)
    assert [total for total, _ in ticks] == [6] * 6
    assert ticks[0][1].size == (CONFIG.size[1], CONFIG.size[0]), "a picture of the middle frame"


def test_framings_that_differ_are_told(model, vae, outside):
    moved = cases.motion(6)
    image = picture(64, 64)
    for neck, told in (((0.5, 0.4), False), ((0.6, 0.4), True)):
        ref, _ = EncodeReference().encode(model, vae, image, Framing(neck, 0.4, (64, 64)))
        outside.warnings.clear()
        sample(model, ref, motion=moved)
        assert any("Apply Framing" in line for line in outside.warnings) == told


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"steps": 0}, "steps"),
        ({"cfg": -1.0}, "cfg"),
        ({"pose_strength": -0.5}, "pose_strength"),
        ({"scheduler": "plms"}, "scheduler"),
        ({"start_second": 1.0}, "start_second"),
        ({"end_second": 1.0}, "end_second"),
        ({"start_second": 0.2, "end_second": 0.1}, "end_second"),
        ({"audio_features": AudioFeatures(np.zeros((9, 2, 12), np.float16), np.zeros(9), 0.2)}, "audio_features"),
        ({"previous": {"samples": torch.zeros(3, 4, 4, 4)}}, "previous"),
        ({"previous": {"samples": torch.zeros(3, 12, 4, 4)}, "windows": WindowOptions(6, 2)}, "previous"),
        ({"windows": WindowOptions(12, 3)}, "windows"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_before_any_work(model, ref, changes, name, monkeypatch):
    monkeypatch.setattr(type(model.module), "forward", lambda *args, **kwargs: pytest.fail("the network ran"))
    with pytest.raises(EMO2Error) as caught:
        sample(model, ref, **({"motion": cases.motion(8), "audio_features": cases.sound(8)} | changes))
    assert str(caught.value).startswith(f"EMO2 Sample Video, {name}: expected ") and "\n" not in str(caught.value)


def test_a_reference_of_another_model_is_refused(ref):
    other = LoadVideoModel().load("two.safetensors")[0]
    with pytest.raises(EMO2Error, match=r"EMO2 Sample Video, reference: .*Connect the same model"):
        sample(other, ref, motion=cases.motion(3))


def test_models_of_another_kind_are_refused(model, vae, ref):
    with pytest.raises(EMO2Error, match=r"EMO2 Encode Reference, model: expected a video model, but got an? vae"):
        EncodeReference().encode(vae.handle, vae, picture(8, 8))
    with pytest.raises(EMO2Error, match="EMO2 Load Video Model, model_name: expected a video model"):
        LoadVideoModel().load("vae.safetensors")
    vae.latent_channels = 4
    with pytest.raises(EMO2Error, match="EMO2 Encode Reference, vae: "):
        EncodeReference().encode(model, vae, picture(8, 8))


def test_windows_node_and_sampler(model, ref):
    windows = ContextWindows().make(6, 2, True, 2, "uniform")[0]
    latent, _, count = sample(model, ref, motion=cases.motion(14), windows=windows, steps=2)
    assert count == 14 and latent["samples"].isfinite().all()
    with pytest.raises(EMO2Error, match="EMO2 Context Windows, overlap"):
        ContextWindows().make(6, 6, True, 2, "uniform")


def stream(model, ref, vae, **changes):
    return StreamVideo().stream(model, ref, vae, **(WIDGETS | {"filename_prefix": "a/b", "crf": 20} | changes))


def test_stream_node(model, ref, vae, outside):
    given = {"motion": cases.motion(8), "audio_features": cases.sound(8), "audio": cases.track(0.3, 44100, 2)}
    out = stream(model, ref, vae, **given)
    shown = {"filename": "b_00001_.mp4", "subfolder": "a", "type": "output"}
    assert out["ui"] == {"images": [shown], "animated": (True,)}
    filename, count, fps, video = out["result"]
    assert filename == str(outside.output / "a" / "b_00001_.mp4") and (count, fps) == (8, 25.0)
    parts = video.get_components()
    assert parts.images.shape == (8, *CONFIG.size, 3) and parts.audio["sample_rate"] == 44100
    assert stream(model, ref, vae, **given)["result"][0].endswith("b_00002_.mp4")


def test_a_stream_of_sound_alone_or_of_nothing(model, ref, vae, outside):
    assert stream(model, ref, vae, audio=cases.track(0.3))["result"][1] == 8
    out = stream(model, ref, vae, motion=cases.motion(4))["result"]
    assert out[1] == 4 and out[3].get_components().audio is None
    outside.warnings.clear()
    stream(model, ref, vae, audio_features=cases.sound(4), audio=cases.track(1.0))
    assert any("same recording" in line for line in outside.warnings)
    with pytest.raises(EMO2Error, match="EMO2 Stream Video, motion"):
        stream(model, ref, vae)
    wrong = cases.sound(6).__class__(np.zeros((9, 2, 12), np.float16), np.zeros(9), 0.2)
    with pytest.raises(EMO2Error, match="EMO2 Stream Video, audio_features"):
        stream(model, ref, vae, audio_features=wrong)


@pytest.mark.parametrize("prefix", ["../evil", "/etc/evil", "", "a/../../evil", "..", "a/"])
def test_prefixes_stay_in_the_output_folder(prefix):
    with pytest.raises(EMO2Error, match="filename_prefix"):
        place(prefix, 32, 32)


def test_prefixes(outside):
    folder, name, sub = place("take", 704, 512)
    assert (folder, name, sub) == (outside.output, "take", "")
    folder, name, sub = place("%year%/clips/x_%width%x%height%", 704, 512)
    assert name == "x_512x704" and folder == outside.output / sub and sub.endswith("/clips") and len(sub) == 10
