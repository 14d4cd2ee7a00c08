"""ComfyUI's core nodes without ComfyUI, on real media: pictures with alpha and EXIF, sounds of every format, videos."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
import torch
from emo2.models.errors import EMO2Error
from emo2.models.video.read_sound import as_float
from emo2.nodes import host
from emo2.runner import inputs
from emo2.runner.core_nodes import NODE_CLASS_MAPPINGS as NODES
from emo2.runner.core_nodes.audio import read_audio
from emo2.runner.core_nodes.video import Components, VideoFromComponents, VideoFromFile
from PIL import Image

RATE = 16000


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Inputs are looked for in tmp_path, results go to tmp_path/out."""
    monkeypatch.setattr(host.outside, "output", tmp_path / "out")
    before = inputs.use(inputs.InputFolders([tmp_path], tmp_path / "out"))
    yield tmp_path
    inputs.use(before)


def run(kind, **values):
    node = NODES[kind]()
    answer = getattr(node, node.FUNCTION)(**values)
    return answer["result"] if isinstance(answer, dict) else answer


def shown(kind, **values):
    node = NODES[kind]()
    return getattr(node, node.FUNCTION)(**values)["ui"]


def test_load_image_with_alpha(here):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    Image.fromarray(pixels, "RGBA").save(here / "a.png")
    image, mask = run("LoadImage", image="a.png")
    assert image.shape == (1, 5, 7, 3) and mask.shape == (1, 5, 7) and image.dtype == torch.float32
    np.testing.assert_allclose(image[0] * 255, pixels[..., :3], atol=1e-4)
    np.testing.assert_allclose(mask[0] * 255, 255 - pixels[..., 3].astype(float), atol=1e-4)


def test_load_image_without_alpha(here):
    Image.new("L", (6, 4), 128).save(here / "grey.png")
    image, mask = run("LoadImage", image="grey.png")
    assert image.shape == (1, 4, 6, 3) and torch.allclose(image, torch.tensor(128 / 255))
    assert mask.shape == (1, 64, 64) and not mask.any()


@pytest.mark.parametrize(
    "mode, size", [("P", (6, 4)), ("1", (6, 4)), ("CMYK", (6, 4)), ("I;16", (6, 4)), ("RGB", (1, 1))]
)
def test_load_image_of_every_kind(here, mode, size):
    name = "x.tif" if mode == "CMYK" else "x.png"
    picture = Image.fromarray(np.full(size[::-1], 65535, np.uint16)) if mode == "I;16" else Image.new(mode, size, 1)
    picture.save(here / name)
    image, _ = run("LoadImage", image=name)
    assert image.shape == (1, size[1], size[0], 3) and image.min() >= 0 and image.max() <= 1
    if mode == "I;16":
        assert image.min() == 1


def test_exif_orientation_turns_the_picture(here):
    """A phone's portrait is stored lying down: left half black, orientation 6 (turn right)."""
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(here / "phone.jpg", quality=100, exif=exif)
    image, _ = run("LoadImage", image="phone.jpg")
    assert image.shape == (1, 16, 8, 3)
    assert image[0, :7].max() < 0.1 and image[0, 9:].min() > 0.9


def test_animated_pictures_give_a_batch(here):
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (0, 120, 240)]
    frames[0].save(here / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    image, mask = run("LoadImage", image="a.webp")
    assert image.shape == (3, 4, 4, 3) and len(mask) == 3
    assert [round(float(frame[0, 0, 0]) * 255) for frame in image] == [0, 120, 240]


@pytest.mark.parametrize("damage", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n1234", b"text"])
def test_damaged_pictures_are_one_line(here, damage):
    (here / "bad.png").write_bytes(damage)
    with pytest.raises(EMO2Error, match="whole picture") as error:
        run("LoadImage", image="bad.png")
    assert "\n" not in str(error.value)


def test_names_stay_in_the_input_folders(here):
    """A workflow file is somebody else's; what the person gives on the command line may be anywhere."""
    inner = here / "inner"
    inner.mkdir()
    Image.new("RGB", (4, 4)).save(here / "secret.png")
    folders = inputs.InputFolders([inner])
    for name in ("../secret.png", str(here / "secret.png"), "secret.png", "x\0y", ".."):
        assert folders.find(name) is None
    granted = folders.from_command_line(str(here / "secret.png"))
    assert folders.find(granted) == here / "secret.png"
    with pytest.raises(EMO2Error, match="neither at"):
        folders.from_command_line("nobody.png")
    assert "Invalid image file: nobody.png" in NODES["LoadImage"].VALIDATE_INPUTS("nobody.png")


def test_annotated_names(here):
    (here / "out").mkdir()
    Image.new("RGB", (4, 4)).save(here / "out" / "made.png")
    assert inputs.current.find("made.png [output]") == here / "out" / "made.png"
    assert inputs.current.find("made.png") is None and inputs.current.find("made.png [input]") is None


def test_save_image_counts_on_and_carries_the_workflow(here):
    images = torch.rand(2, 4, 6, 3)
    ui = shown(
        "SaveImage", images=images, filename_prefix="sub/take", prompt={"1": {}}, extra_pnginfo={"workflow": {"a": 1}}
    )
    assert [i["filename"] for i in ui["images"]] == ["take_00001_.png", "take_00002_.png"]
    assert {i["subfolder"] for i in ui["images"]} == {"sub"}
    with Image.open(here / "out" / "sub" / "take_00001_.png") as saved:
        assert json.loads(saved.text["prompt"]) == {"1": {}} and json.loads(saved.text["workflow"]) == {"a": 1}
        np.testing.assert_array_equal(np.asarray(saved), (images[0].numpy() * 255).astype(np.uint8))
    ui = shown("SaveImage", images=images[:1], filename_prefix="sub/take")
    assert ui["images"][0]["filename"] == "take_00003_.png"
    assert shown("SaveImage", images=images[:1], filename_prefix="sub/tak")["images"][0]["filename"] == "tak_00001_.png"
    assert (
        shown("SaveImage", images=images[:1], filename_prefix="%width%x%height%")["images"][0]["filename"]
        == "6x4_00001_.png"
    )
    with pytest.raises(EMO2Error, match="within the output folder"):
        run("SaveImage", images=images, filename_prefix="../up")


def test_previews_are_a_few_of_many(here):
    images = torch.arange(100)[:, None, None, None].expand(100, 4, 4, 3) / 255
    ui = shown("PreviewImage", images=images)["images"]
    assert len(ui) == 8 and {i["subfolder"] for i in ui} == {"previews"}
    shades = [Image.open(here / "out" / "previews" / i["filename"]).getpixel((0, 0))[0] for i in ui]
    assert shades[0] == 0 and shades[-1] == 99 and shades == sorted(shades)
    assert len(shown("PreviewImage", images=images[:1])["images"]) == 1


def write_audio(path, samples, rate=RATE, codec=None, layout="mono"):
    """(channels, T) float to a file of the format that the suffix names."""
    if path.suffix == ".ogg":
        soundfile.write(path, samples.T, rate)
        return
    with av.open(str(path), "w") as container:
        codec = codec or {".flac": "flac", ".mp4": "aac", ".wav": "pcm_s16le", ".mp3": "libmp3lame"}[path.suffix]
        stream = container.add_stream(codec, rate=rate, layout=layout)
        wanted = stream.codec_context.codec.audio_formats[0].name
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for piece in av.AudioResampler(format=wanted, layout=layout, rate=rate).resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def tone(seconds=0.5, channels=1, rate=RATE):
    t = np.arange(int(seconds * rate)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * 220 * (c + 1) * t) for c in range(channels)])


@pytest.mark.parametrize(
    "suffix, exact", [(".wav", 1e-4), (".flac", 1e-4), (".ogg", None), (".mp3", None), (".mp4", None)]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_load_audio_of_every_format(here, suffix, exact, channels):
    samples = tone(channels=channels)
    write_audio(here / f"v{suffix}", samples, layout="stereo" if channels == 2 else "mono")
    (audio,) = run("LoadAudio", audio=f"v{suffix}")
    assert audio["sample_rate"] == RATE and audio["waveform"].dtype == torch.float32
    assert audio["waveform"].shape[:2] == (1, channels)
    assert abs(audio["waveform"].shape[2] - samples.shape[1]) <= (2 * 1152 + 1024 if exact is None else 0)
    got = audio["waveform"][0].numpy()
    spectrum = np.abs(np.fft.rfft(got[:, :4096])).argmax(axis=1) * RATE / 4096
    np.testing.assert_allclose(spectrum, [220, 440][:channels], atol=5)
    if exact:
        np.testing.assert_allclose(got, samples, atol=exact)


@pytest.mark.parametrize(
    "codec, bits", [("pcm_u8", 7), ("pcm_s16le", 15), ("pcm_s32le", 23), ("pcm_f32le", 23), ("pcm_f64le", 23)]
)
def test_every_sample_format_comes_as_float(here, codec, bits):
    samples = tone(channels=2)
    write_audio(here / "v.wav", samples, codec=codec, layout="stereo")
    got, rate = read_audio(here / "v.wav")
    assert got.dtype == np.float32 and rate == RATE
    np.testing.assert_allclose(got, samples, atol=2.0 ** (1 - bits))


def test_full_scale():
    np.testing.assert_array_equal(as_float(np.array([-32768, 0, 16384], np.int16)), [-1, 0, 0.5])
    np.testing.assert_array_equal(as_float(np.array([0, 128, 192], np.uint8)), [-1, 0, 0.5])


def test_eight_channels_load(here):
    soundfile.write(here / "v.wav", tone(channels=8).T, RATE)
    assert run("LoadAudio", audio="v.wav")[0]["waveform"].shape == (1, 8, RATE // 2)


def test_files_without_sound_are_one_line(here):
    (here / "v.wav").write_bytes(b"no sound at all")
    Image.new("RGB", (4, 4)).save(here / "p.png")
    for name in ("v.wav", "p.png"):
        with pytest.raises(EMO2Error) as error:
            read_audio(here / name)
        assert "\n" not in str(error.value) and name in str(error.value)


def video(frames=6, fps=Fraction(25), seconds=None, height=32, width=48):
    ramp = torch.linspace(0, 1, frames)[:, None, None, None].expand(frames, height, width, 3)
    audio = None
    if seconds:
        audio = {"waveform": torch.from_numpy(tone(seconds, 2, 22050)).float()[None], "sample_rate": 22050}
    return VideoFromComponents(Components(ramp, audio, fps))


def save(made, prefix="video/x"):
    run("SaveVideo", video=made, filename_prefix=prefix, format="auto", codec="auto", prompt={"7": {}})
    return sorted((host.outside.output / "video").glob("*.mp4"))[-1]


def test_save_video_and_back(here):
    (made,) = run("CreateVideo", images=video().get_components().images, fps=25.0, audio=None)
    path = save(made)
    assert path.name == "x_00001_.mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.frames, stream.average_rate) == ("h264", 6, 25)
        assert json.loads(container.metadata["prompt"]) == {"7": {}} and not container.streams.audio
    (here / "in.mp4").write_bytes(path.read_bytes())
    images, audio, fps, depth = run("GetVideoComponents", video=run("LoadVideo", file="in.mp4")[0])
    assert images.shape == (6, 32, 48, 3) and audio is None and (fps, depth) == (25.0, 8)
    assert (images - made.get_components().images).abs().max() < 0.05


def test_sound_is_cut_at_the_last_pictures_end_and_never_before(here):
    for seconds, expected in ((0.2, 0.2), (5.0, 0.24)):
        got, rate = read_audio(save(video(seconds=seconds)))
        assert rate == 22050 and abs(got.shape[1] / rate - expected) <= 2 * 1024 / rate
        assert got.shape[1] / rate >= expected - 1e-6
        spectrum = np.abs(np.fft.rfft(got[:, 1024:5120])).argmax(axis=1) * rate / 4096
        np.testing.assert_allclose(spectrum, [220, 440], atol=6)


def test_ntsc_rates_survive(here):
    with av.open(str(save(video(fps=Fraction(30000, 1001))))) as container:
        assert abs(float(container.streams.video[0].average_rate) - 29.97) < 1e-3


def test_saving_a_file_copies_it(here):
    first = save(video())
    second = save(VideoFromFile(first))
    assert second.name == "x_00002_.mp4" and second.read_bytes() == first.read_bytes()


def test_a_failed_save_leaves_nothing(here):
    for bad in (video(height=33), video(frames=0)):
        with pytest.raises(EMO2Error, match="even height and width"):
            save(bad)
    assert [p for p in (here / "out").rglob("*") if p.is_file()] == []


def test_primitives_and_preview():
    assert run("PrimitiveInt", value=3) == (3,) and run("PrimitiveString", value="a") == ("a",)
    assert run("PreviewAny", source=2.5) == ("2.5",)
    assert shown("PreviewAny", source=[1, {"a": 2}])["text"] == (json.dumps([1, {"a": 2}], indent=4),)
    assert "tensor" in run("PreviewAny", source=torch.zeros(2))[0]


def test_scale():
    image = torch.rand(2, 8, 16, 3)
    sizes = {(4, 4): (4, 4), (0, 4): (4, 8), (8, 0): (4, 8)}
    for (width, height), expected in sizes.items():
        for method in NODES["ImageScale"].METHODS:
            for crop in ("disabled", "center"):
                (scaled,) = run("ImageScale", image=image, upscale_method=method, width=width, height=height, crop=crop)
                assert scaled.shape == (2, *expected, 3), (method, crop)
    assert run("ImageScale", image=image, upscale_method="area", width=0, height=0, crop="disabled")[0] is image
    flat = torch.zeros(1, 8, 16, 3)
    flat[:, :, 4:12] = 1
    middle = run("ImageScale", image=flat, upscale_method="area", width=4, height=4, crop="center")[0]
    assert middle.min() == 1


def test_latent_nodes_call_what_they_are_given():
    class Vae:
        def encode(self, pixels):
            return pixels.mean(-1)[:, None]

        def decode(self, latents):
            return latents[:, None].movedim(2, -1).expand(-1, -1, -1, -1, 3)

    (latent,) = run("VAEEncode", vae=Vae(), pixels=torch.rand(2, 4, 4, 4))
    assert latent["samples"].shape == (2, 1, 4, 4)
    assert run("VAEDecode", vae=Vae(), samples=latent)[0].shape == (2, 4, 4, 3)
    with pytest.raises(EMO2Error, match="EMO2 Load CLIP Vision"):
        run("CLIPVisionEncode", clip_vision=object(), image=torch.rand(1, 4, 4, 3), crop="center")
