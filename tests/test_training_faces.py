"""Trainers of faces: whose head it is, and facial controls for a video network."""

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint, read_header, save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.pose import face_network
from emo2.models.pose.face_reader import load_face_reader
from emo2.models.types import Framing
from emo2.models.video import model as network
from emo2.models.video.config import VideoConfig
from emo2.models.video.face_control import is_face_part
from emo2.models.video.model import VideoModel
from emo2.training.face_identity import FaceIdentityRecipe, contrast
from emo2.training.face_reader import FaceReaderRecipe
from emo2.training.puppets.cache import PuppetCache, Record
from emo2.training.puppets.faces import head_picture
from emo2.training.recipe import sample_rng
from emo2.training.video_clip import VideoClipRecipe
from emo2.training.video_face import VideoFaceRecipe, part_of
from emo2.training.video_face_data import face_of
from training_video_cases import FRAMES, NETWORK, SIZE, STILL, batch_of, fill, moved
from video_run_cases import one_thread  # noqa: F401

SURE = {"face": 0.0, "emotion": 0.0, "blink": 0.0, "identity": 0.0}
SMALL = {"widths": [8, 8, 8, 8], "groups": 4, "side": 48, "embedding": 16}
SMALL_READER = {"widths": [8, 8, 8, 8], "groups": 4, "side": 48}


def paint(folder, count, **kinds):
    from emo2.training.puppets.cache import latents_path, write_cache

    write_cache(folder, count, frames=FRAMES, size=SIZE, **kinds)
    cache = PuppetCache(folder)
    for index in range(count):
        record = cache[index]
        latents = np.random.default_rng(index).standard_normal((1 + len(record), 4, SIZE[0] // 8, SIZE[1] // 8))
        np.save(latents_path(record.path), latents.astype(np.float16))
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    config = VideoConfig(**NETWORK)
    video = save_checkpoint(
        folder / "video.safetensors", "video", config.to_dict(), fill(VideoModel(config)).state_dict(),
        notes={"stage": "clip", "steps": "7"},
    )  # fmt: skip
    face = face_network.build(SMALL)
    encoder = save_checkpoint(folder / "face.safetensors", "face_encoder", SMALL, fill(face).state_dict())
    return {
        "data": str(paint(folder / "half", 2, emotion="any")), "face_encoder": str(encoder), "video": str(video),
        "close_ups": str(paint(folder / "close", 2, framing="head", emotion="happy")), "previews": 0, "channels": 8,
    }  # fmt: skip


def recipe(files, **options):
    return VideoFaceRecipe({**files, "drops": STILL, "face_drops": SURE, **options}, 0)


def test_records_know_blinks_and_emotions(files):
    record = PuppetCache(files["close_ups"])[0]
    track = face_of(record)
    assert len(track) == len(record) and track.blink_known and track.emotion_known
    assert (track.emotion[:, 1] > 0.6).all(), "happy throughout"
    found = {name: value for name, value in record.arrays.items() if name not in ("blink", "emotion")}
    footage = face_of(Record(record.path, found, record.info))
    assert footage.blink_known and not footage.emotion_known, "blinks by the eyes' outlines"
    unseen = {**found, "face_scores": np.zeros_like(found["face_scores"])}
    assert face_of(Record(record.path, unseen, record.info)) is None
    assert record.motion.framing.shoulder_width > 0.6
    assert PuppetCache(files["data"])[0].motion.framing.shoulder_width < 0.45


def test_close_ups_come_first(files):
    data = recipe(files, close_up_samples=6, close_up_share=0.0).dataset()
    rng = sample_rng(0, 0)
    assert all(data.source(rng, index) is data.close_ups for index in range(6))
    assert all(data.source(rng, index) is not data.close_ups for index in range(6, 30))
    mixed = recipe(files, close_up_share=0.4).dataset()
    near = np.mean([mixed.source(rng, 10) is mixed.close_ups for _ in range(800)])
    assert near == pytest.approx(0.4, abs=0.06)


def test_an_extended_checkpoint_begins_as_it_was(files):
    made = recipe(files)
    before, _ = load_checkpoint(files["video"], "video", network.build, "video")
    lesson = made.build()
    assert made.config.face_control == 8 and made.config.face_identity == 16
    batch = batch_of(made.dataset(), 0, 1)
    assert batch["has_face"].all()
    known = lesson.conditions(batch)
    assert known.face is not None and known.mask("face") == (True, True)
    plain = VideoClipRecipe({"data": files["data"], "image": files["video"], "previews": 0}, 0).build()
    plain.video.load_state_dict(before.state_dict())
    with torch.no_grad():
        assert torch.equal(lesson(batch)[0], plain(batch)[0])


@pytest.mark.parametrize("train", [["face"], ["face", "attention"], ["face", "attention", "picture"]])
def test_who_learns(files, train):
    made, names = recipe(files, train=train), set(train)
    torch.manual_seed(0)
    lesson = fill(made.build())
    changed, _ = moved(lesson, batch_of(made.dataset(), 0, 1))
    assert {part_of(name.removeprefix("video.")) for name in changed} == names
    face = {name for name, _ in lesson.named_parameters() if is_face_part(name.removeprefix("video."))}
    # Nothing is heard here, so what would read the sound has nothing to learn from.
    assert face - changed == {f"video.face_control.audio.{name}" for name in ("weight", "bias")}
    scales = [group["scale"] for group in made.parameter_groups(lesson)]
    assert scales == ([1.0] if train == ["face"] else [1.0, 0.2])


def test_what_is_dropped(files):
    for name in ("emotion", "blink", "identity"):
        sample = recipe(files, face_drops={**SURE, name: 1.0}).dataset()[3]
        assert not sample[f"has_{name}"] and sample["has_face"]
    assert not recipe(files, face_drops={**SURE, "face": 1.0}).dataset()[3]["has_face"]
    assert not recipe(files, drops={**STILL, "everything": 1.0}).dataset()[3]["has_face"]
    blind = recipe(files, face_encoder=None)
    assert not blind.dataset()[3]["has_identity"] and blind.config.face_identity == 512


def test_rows_without_a_face_are_as_if_alone(files):
    made = recipe(files)
    lesson = fill(made.build()).eval()
    batch = batch_of(made.dataset(), 0, 1)
    whole = lesson(batch)[0]
    batch["has_face"] = torch.tensor([True, False])
    with torch.no_grad():
        part = lesson(batch)[0]
    assert torch.allclose(part[0], whole[0], rtol=1e-4) and not torch.allclose(part[1], whole[1], rtol=1e-4)


def test_the_checkpoint_says_what_it_is(files, tmp_path):
    made = recipe(files, head_mask=True)
    [path] = made.export(made.build(), tmp_path, {"steps": "3"})
    header = read_header(path)
    assert header.notes["stage"] == "face" and header.notes["steps_before"] == "7 clip"
    assert header.config["face_control"] == 8 and header.config["head_mask"]
    again = recipe(files, video=str(path), channels=4)
    assert again.config.face_control == 8, "what is there stays as it is"
    loaded, _ = load_checkpoint(path, "video", network.build, "video")
    assert loaded.face_control is not None


@pytest.mark.parametrize(
    "options, words",
    [
        ({"train": ["mouth"]}, "recipe.train"), ({"channels": 0}, "recipe.channels"), ({"channels": 3}, "of heads"),
        ({"close_ups": None, "close_up_samples": 4}, "close_up_samples"), ({"face_drops": {"nose": 1.0}}, "nose"),
    ],
)  # fmt: skip
def test_wrong_options_are_told_before_any_work(files, options, words):
    with pytest.raises(EMO2Error, match=words):
        recipe(files, **options).config  # noqa: B018


def test_heads_of_one_person_in_other_clothes():
    one, again, other = (
        head_picture(5, "train", 0, 48),
        head_picture(5, "train", 0, 48),
        head_picture(5, "train", 1, 48),
    )
    assert one.shape == (48, 48, 3) and np.array_equal(one, again) and not np.array_equal(one, other)
    assert not np.array_equal(one, head_picture(5, "held-out", 0, 48))


def test_a_pair_is_found_among_others():
    found = torch.nn.functional.normalize(torch.randn(4, 2, 8, generator=torch.Generator().manual_seed(0)), dim=2)
    found[:, 1] = found[:, 0]
    losses, parts = contrast(found, torch.arange(4), 0.05)
    assert parts["found"].min() == 1 and losses.max() < 0.5
    worse, _ = contrast(torch.cat([found[:, :1], found[:, 1:].roll(1, 0)], 1), torch.arange(4), 0.05)
    assert worse.min() > losses.max()
    # The same person twice in a batch is nobody's mistake.
    twice, parts = contrast(found[[0, 0, 1, 2]], torch.tensor([0, 0, 1, 2]), 0.05)
    assert parts["found"].min() == 1 and twice.max() < 0.5


def test_people_are_visited_evenly_and_the_network_learns(tmp_path):
    made = FaceIdentityRecipe({"people": 6, "views": 2, "network": SMALL}, 0)
    data = made.dataset()
    assert sorted(int(data[i]["person"]) for i in range(6)) == list(range(6))
    assert torch.equal(data[3]["heads"], made.dataset()[3]["heads"])
    torch.manual_seed(0)
    lesson = made.build()
    optimizer = torch.optim.Adam(lesson.parameters(), lr=3e-3)
    batch = batch_of(data, *range(6))
    losses = []
    for _ in range(25):
        loss = lesson(batch)[0].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    [path] = made.export(lesson, tmp_path, {"steps": "25"})
    assert face_network.load_face_network(path).embedding == 16
    with pytest.raises(EMO2Error, match="views"):
        FaceIdentityRecipe({"views": 1}, 0)


def test_the_face_reader_learns_and_is_read(tmp_path):
    """A few puppets by heart: lids and emotions come back from their pictures, and from frames by framing."""
    made = FaceReaderRecipe({"pool": 12, "network": SMALL_READER}, 0)
    data = made.dataset()
    assert torch.equal(data[15]["emotion"], data[3]["emotion"]) and not torch.equal(data[15]["head"], data[3]["head"])
    torch.manual_seed(0)
    lesson = made.build()
    optimizer = torch.optim.Adam(lesson.parameters(), lr=4e-3)
    batch = batch_of(data, *range(12))
    losses = []
    for _ in range(40):
        loss = lesson(batch)[0].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    [path] = made.export(lesson, tmp_path, {"steps": "40"})
    reader = load_face_reader(path)
    frames = np.zeros((3, 128, 96, 3), np.uint8)
    lids, emotions = reader.read(frames, Framing(size=(128, 96)))
    assert lids.shape == (3,) and emotions.shape == (3, 8) and np.allclose(emotions.sum(1), 1, atol=1e-5)
    with pytest.raises(EMO2Error, match="pool"):
        FaceReaderRecipe({"pool": 0}, 0)
