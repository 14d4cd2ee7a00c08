"""Bad input, from the command line to the file: one line that says what, where and what to do, before any long work.

Each case runs the shipped workflow, as an artist would, with one thing wrong.
"""

import json
import os
import pickle
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import save_checkpoint
from emo2.models.errors import from_disk
from emo2.runner.cli import main
from emo2.runner.problems import NodeFailed
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
FLOW = ROOT / "workflows" / "api" / "talking_avatar.json"
FAST = ("EMO2SampleHandMotion.steps=1", "EMO2SampleVideo.steps=1", "EMO2SampleVideo.cfg=1")
LONG = ("(EMO2SampleHandMotion)", "(EMO2SampleVideo)")
RATE = 16000
NAN = float("nan")


class Evil:
    """A pickle that would leave a mark, were it opened."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (Path(self.mark),)


def wav(path, samples):
    """Write float samples (channels, T) as a WAV file."""
    data = np.ascontiguousarray(np.asarray(samples, np.float32).T)
    channels, size = np.shape(samples)[0], data.nbytes
    number = lambda value, length: int(value).to_bytes(length, "little")
    form = number(3, 2) + number(channels, 2) + number(RATE, 4) + number(RATE * channels * 4, 4)
    form += number(channels * 4, 2) + number(32, 2)
    head = b"RIFF" + number(36 + size, 4) + b"WAVEfmt " + number(16, 4) + form + b"data" + number(size, 4)
    path.write_bytes(head + data.tobytes())
    return path


def noise(seconds, channels=1):
    return np.random.default_rng(0).normal(0, 0.1, (channels, round(seconds * RATE)))


class Outcome:
    """What one run of the command left behind. `error` is its one line; `started` the nodes that were begun."""

    def __init__(self, code, captured, out):
        self.code, self.out = code, out
        lines = [line for line in re.split(r"[\r\n]+", captured.err) if line.strip()]
        self.started = [line for line in lines if re.match(r"\[\d+/\d+\] node", line)]
        errors = [line for line in lines if line.startswith("emo2: ")]
        assert len(errors) == (code != 0) and "Traceback" not in captured.err, captured.err
        self.error = errors[0] if errors else ""
        found = out.rglob("*") if os.path.isdir(out) else ()
        self.files = {path.relative_to(out).as_posix(): path for path in found if path.is_file()}
        assert not [name for name in self.files if Path(name).name.startswith(".")]

    def began(self, *classes):
        return [line for line in self.started if line.endswith(classes)]


@pytest.fixture
def emo2(tmp_path, capsys):
    """Run the shipped workflow (or another one) with settings: `emo2("4.audio=x.wav", models=DIR)`."""

    def run(*settings, flow=FLOW, models=None, out=None):
        if not isinstance(flow, Path):
            (tmp_path / "flow.json").write_bytes(flow if isinstance(flow, bytes) else json.dumps(flow).encode())
            flow = tmp_path / "flow.json"
        out = tmp_path / "out" if out is None else out
        arguments = ["run", str(flow), "--out", str(out)] + (["--models", str(models)] if models else [])
        code = main(arguments + [part for setting in settings for part in ("--set", setting)])
        return Outcome(code, capsys.readouterr(), out)

    return run


@pytest.fixture
def short(tmp_path):
    return f"Load Audio.audio={wav(tmp_path / 'short.wav', noise(0.04))}"


def video_of(outcome):
    import av

    (path,) = [path for name, path in outcome.files.items() if name.endswith(".mp4")]
    with av.open(str(path)) as video:
        (sound,) = video.streams.audio
        return video.streams.video[0].frames, sound.channels, float(sound.duration * sound.time_base)


@pytest.mark.parametrize(
    ("samples", "frames", "channels"),
    [(np.zeros((1, 4000)), 7, 1), (noise(0.04), 1, 1), (noise(0.1, 8), 3, 1), (noise(0.041, 2), 2, 2)],
    ids=["silent", "40 ms", "8 channels", "one sample too long"],
)
def test_odd_sounds_that_are_legal_work(emo2, tmp_path, samples, frames, channels):
    done = emo2(f"Load Audio.audio={wav(tmp_path / 'ä 😀.wav', samples)}", *FAST)
    assert done.code == 0
    count, tracks, seconds = video_of(done)
    assert (count, tracks) == (frames, channels) and seconds == pytest.approx(samples.shape[1] / RATE, abs=0.064)


BAD_SOUNDS = {
    "empty": (lambda p: wav(p, np.zeros((1, 0))), "track is empty"),
    "NaN": (lambda p: wav(p, np.where(np.arange(1600) == 800, NAN, 0.0)[None]), "NaN or infinity at 0.050 s"),
    "text": (lambda p: p.write_text("hello"), "a sound file"),
    "nothing": (lambda p: p.write_bytes(b""), "a sound file"),
    "cut": (lambda p: p.write_bytes(wav(p, noise(0.1)).read_bytes()[:30]), "a sound file"),
    "missing": (lambda p: None, "expected a file"),
}


@pytest.mark.parametrize("case", BAD_SOUNDS)
def test_bad_sounds(emo2, tmp_path, case):
    make, words = BAD_SOUNDS[case]
    make(tmp_path / "bad.wav")
    failed = emo2(f"Load Audio.audio={tmp_path / 'bad.wav'}")
    assert failed.code and words in failed.error and "audio" in failed.error.lower() and failed.error.endswith(".")
    assert not failed.began(*LONG) and not [name for name in failed.files if name.endswith(".mp4")]


@pytest.mark.slow
def test_ten_minutes_start_at_once(emo2, tmp_path):
    done = emo2(
        f"Load Audio.audio={wav(tmp_path / 'long.wav', np.zeros((1, 600 * RATE)))}", *FAST,
        "EMO2SampleHandMotion.end_second=0.2", "EMO2SampleVideo.end_second=0.2",
    )  # fmt: skip
    assert done.code == 0 and video_of(done)[0] == 5


@pytest.mark.parametrize(
    ("mode", "size", "fill"),
    [("RGBA", (60, 80), (200, 10, 10, 40)), ("L", (60, 80), 128), ("RGB", (1, 1), (1, 2, 3)), ("RGB", (97, 131), 0)],
)
def test_odd_pictures_that_are_legal_work(emo2, tmp_path, short, mode, size, fill):
    Image.new(mode, size, fill).save(tmp_path / "face.png")
    done = emo2(f"Load Image.image={tmp_path / 'face.png'}", short, *FAST)
    assert done.code == 0 and video_of(done)[0] == 1


def test_a_huge_picture_is_legal():
    from emo2.models.picture import covered, one_picture

    assert covered(one_picture(torch.rand(1, 1, 1, 1).expand(1, 6000, 8000, 4)), (128, 96)).shape == (1, 128, 96, 3)


def bomb(path):
    chunk = lambda kind, data: len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    head = (60000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def gif(path):
    frames = [Image.new("RGB", (60, 80), (i * 40, 0, 0)) for i in range(3)]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:])


BAD_PICTURES = {
    "batch": (gif, "one picture, but got a batch of 3"),
    "text": (lambda p: p.write_text("x"), "a whole picture"),
    "cut": (lambda p: p.write_bytes((ROOT / "assets" / "portrait.png").read_bytes()[:3000]), "a whole picture"),
    "bomb": (bomb, "exceeds limit"),
    "missing": (lambda p: None, "expected a file"),
}


@pytest.mark.parametrize("case", BAD_PICTURES)
def test_bad_pictures(emo2, tmp_path, case):
    make, words = BAD_PICTURES[case]
    make(tmp_path / "bad.png")
    failed = emo2(f"Load Image.image={tmp_path / 'bad.png'}")
    assert failed.code and words in failed.error and "image" in failed.error and not failed.began(*LONG)


LOADERS = {
    "audio": ("EMO2LoadAudioEncoder", "encoder"),
    "motion": ("EMO2LoadMotionModel", "model_name"),
    "video": ("EMO2LoadVideoModel", "model_name"),
    "vae": ("EMO2LoadVAE", "vae_name"),
    "clip_vision": ("EMO2LoadCLIPVision", "clip_name"),
}
OTHER = {"audio": "vae", "motion": "video", "video": "motion", "vae": "audio", "clip_vision": "vae"}


@pytest.fixture
def models(tmp_path):
    """A model folder with a file of every bad sort for every kind; the mark of the pickles must never appear."""
    folder, mark = tmp_path / "models" / "emo2", tmp_path / "mark"
    folder.mkdir(parents=True)
    for kind in LOADERS:
        whole = save_checkpoint(folder / f"{kind}-cut.safetensors", kind, {}, {"numbers": torch.ones(1000)})
        whole.write_bytes(whole.read_bytes()[:2000])  # the header is there, half of the numbers are not
        save_checkpoint(folder / f"{kind}-other.safetensors", OTHER[kind], {}, {}, 1)
        save_checkpoint(folder / f"{kind}-config.safetensors", kind, {"hidden_size": -3, "widths": "x"}, {}, 1)
    (folder / "evil.safetensors").write_bytes(pickle.dumps(Evil(str(mark))))
    yield folder.parent
    assert not mark.exists()


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.safetensors", "not there"), ("evil.safetensors", "a Python pickle, which is never opened"),
        ("{}-cut.safetensors", "truncated or damaged"), ("{}-other.safetensors", "Choose another file"),
        ("{}-config.safetensors", "expected"), ("../evil.safetensors", "within the"), ("/etc/passwd", "within the"),
    ],
)  # fmt: skip
def test_bad_checkpoints_of_every_kind(emo2, models, short, kind, name, words):
    class_id, field = LOADERS[kind]
    name = name.format(kind)
    flow = json.loads(FLOW.read_text())
    if kind == "clip_vision":
        flow["90"] = {"class_type": class_id, "inputs": {field: name}}
        flow["91"] = {"class_type": "CLIPVisionEncode",
                      "inputs": {"clip_vision": ["90", 0], "image": ["1", 0], "crop": "center"}}  # fmt: skip
        flow["8"]["inputs"]["clip_vision_output"] = ["91", 0]
    failed = emo2(f"{class_id}.{field}={name}", short, flow=flow, models=models)
    assert class_id in failed.error and f"{field}: expected" in failed.error and words in failed.error
    assert failed.code and not failed.began(*LONG) and not failed.files
    if "-config" not in name:  # all that can be known without building the network is said before anything starts
        assert failed.code == 2 and not failed.started


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "not there"), ({"config.json": "{"}, "a readable config.json"),
        ({"config.json": '{"model_type": "bert"}'}, "model_type bert"),
        ({"config.json": '{"model_type": "wav2vec2"}'}, "model.safetensors or pytorch_model.bin"),
        ({"config.json": '{"model_type": "wav2vec2", "hidden_size": -8}', "model.safetensors": ""}, "wav2vec 2.0"),
        ({"config.json": '{"model_type": "wav2vec2", "hidden_act": "x"}', "model.safetensors": ""}, "wav2vec 2.0"),
        ({"config.json": '{"model_type": "wav2vec2", "hidden_size": "x"}', "model.safetensors": ""}, "wav2vec 2.0"),
    ],
    ids=["missing", "json", "bert", "weights", "negative", "activation", "type"],
)  # fmt: skip
def test_bad_encoder_folders(emo2, models, short, files, words):
    folder = models / "audio_encoders" / "voice"
    for name, text in files.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    failed = emo2("EMO2LoadAudioEncoder.encoder=voice", short, models=models)
    assert "encoder: expected" in failed.error and words in failed.error and not failed.began(*LONG)


def test_bad_hands(emo2, models, short):
    mano = models / "mano"
    mano.mkdir()
    with np.load(ROOT / "weights" / "hands" / "neutral_hand.npz") as whole:
        arrays = dict(whole)
    np.savez(mano / "part.npz", **{k: v for k, v in arrays.items() if k != "posedirs"})
    np.savez(mano / "tips.npz", **{**arrays, "fingertips": np.array(list("abcde"))})
    (mano / "text.npz").write_text("hello")
    (mano / "evil.pkl").write_bytes(pickle.dumps({"v_template": Evil(str(models.parent / "mark"))}))
    cases = {"part.npz": "without posedirs", "tips.npz": "whole numbers in fingertips", "text.npz": "not a zip file",
             "evil.pkl": "nothing of it was run", "gone.pkl": "not there", "../x.pkl": "within the"}  # fmt: skip
    for name, words in cases.items():
        failed = emo2(f"EMO2LoadHands.hands={name}", short, models=models)
        assert "hands: expected" in failed.error and words in failed.error and not failed.began(*LONG)


def changed(node, **inputs):
    flow = json.loads(FLOW.read_text())
    flow[node]["inputs"] |= inputs
    return flow


def unknown():
    return {**json.loads(FLOW.read_text()), "99": {"class_type": "Nobody", "inputs": {}}}


def unconnected():
    flow = json.loads(FLOW.read_text())
    del flow["24"]["inputs"]["reference"]
    return flow


BAD_FLOWS = {
    "binary": (b"\xff\xfe\x00", "a binary file"), "no JSON": (b"hello", "not JSON"), "deep": (b"[" * 200000, "deeply"),
    "a list": ([], "JSON of another kind"), "no object": ({"nodes": [1]}, "damaged"),
    "unknown node": (unknown(), "Nobody does not exist. Take it out"),
    "cycle": (changed("2", image=["23", 1]), "Remove one of these links."),
    "missing input": (unconnected(), "Required input is missing: reference. Connect reference."),
    "no such node": (changed("24", reference=["777", 0]), "Connect it again."),
    "no such output": (changed("24", reference=["23", 9]), "has no output number 9. Connect it again."),
    "wrong wire": (changed("24", reference=["1", 0]), "Connect an output of the right type."),
    "text for a wire": (changed("24", reference="me"), "where a EMO2_REFERENCE should come over a wire. Connect it."),
    "list": (changed("24", steps=[1, 2, 3]), "Connect it again."),
    "null": (changed("24", steps=None), "Give a value of this type."),
    "word": (changed("24", steps="many"), "Give a value of this type."),
    "NaN": (changed("24", cfg=NAN), "not a finite number. Give a value of this type."),
    "too many": (changed("24", steps=10**30), "bigger than max of 200: steps. Choose a smaller value."),
    "seed": (changed("24", seed=-1), "smaller than min of 0: seed. Choose a bigger value."),
    "choice": (changed("24", scheduler="magic"), "'magic' not in ['ddim'"),
    "picture": (changed("1", image="../../../../etc/passwd"), "no such file"),
    "number": (changed("1", image=3), "no such file"), "null picture": (changed("1", image=None), "got None"),
    "long name": (changed("1", image="a" * 5000), "Invalid image file"),
    "prefix out": (changed("27", filename_prefix="../../x"), "a name within the output folder"),
    "prefix root": (changed("29", filename_prefix="/tmp/x"), "a name within the output folder"),
    "prefix long": (changed("27", filename_prefix="x" * 400), "a name of at most 200 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FLOWS)
def test_bad_workflows(emo2, case):
    flow, words = BAD_FLOWS[case]
    failed = emo2(flow=flow)
    assert words in failed.error and not failed.files and len(failed.started) <= 1
    assert failed.code == 2 or case == "null picture"


def test_a_title_that_is_no_object_does_no_harm(emo2, short):
    flow = {key: {**json.loads(FLOW.read_text())[key], "_meta": "title"} for key in ("1", "2", "3")}
    assert emo2(flow=flow).code == 0


@pytest.mark.parametrize("seed", ["-1", str(2**64)])
def test_seeds_out_of_range_are_one_line(capsys, tmp_path, seed):
    assert main(["run", str(FLOW), "--out", str(tmp_path), "--seed", seed]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_output_folders_that_cannot_be_written_to(emo2, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "deep", tmp_path / ("a" * 300)):
        failed = emo2(out=out)
        assert failed.code and not failed.started and failed.error.endswith((".", "name."))
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "a folder that can be written to" in emo2().error


def test_a_full_disk_leaves_nothing_half_written(emo2, tmp_path, short, monkeypatch):
    def full(self, stream, **_):
        Path(stream).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    failed = emo2(short)
    assert failed.code == 1 and not failed.files and failed.error.endswith("Free some space, or give another folder.")


def test_what_the_file_system_says_becomes_one_line():
    error = from_disk(OSError(30, "Read-only file system", "/a/b"))
    assert str(error) == (
        "file /a/b: expected a place that can be written to, but got Read-only file system. Give another folder."
    )
    assert from_disk(OSError(5, "Input/output error")) is None
    failed = NodeFailed("1", {"class_type": "X"}, OSError(28, "No space left on device"))
    assert "OSError" not in str(failed)
