"""The trainings of both branches: samples, what is learned of text and sound, and what is exported."""

import dataclasses

import numpy as np
import pytest
import torch
from directed_cases import (
    ACTIONS,
    LENGTH,
    LOUD,
    NUMBERS,
    SOFT,
    SPAN,
    clip,
    learn,
    sources,
    text_encoder,
    tokenizer,
    windows,
)  # fmt: skip
from direction_cases import branch_config
from emo2.models.audio import load_encoder
from emo2.models.audio.encoder import write_tiny
from emo2.models.checkpoints.format import load_checkpoint
from emo2.models.direction import text as text_network
from emo2.models.direction.branches import MotionBranch, TwoBranch, build, build_branch
from emo2.models.direction.conditions import FAR, Conditions
from emo2.models.direction.config import DEFAULT_TEXT
from emo2.models.direction.sampling import sample
from emo2.models.errors import EMO2Error
from emo2.training import audio_motion, text_motion
from emo2.training.audio_motion import AudioMotionRecipe, begin_as
from emo2.training.described import Described
from emo2.training.directed_clips import ClipFolder, Saying, sayings
from emo2.training.directed_lesson import AudioLesson, TextLesson
from emo2.training.directed_windows import rows_of
from emo2.training.kept_clips import KeptClip, KeptClips, write_clip
from emo2.training.text_motion import TextMotionRecipe
from torch.utils.data import default_collate

SIZES = {"layers": 2, "window": LENGTH, "overlap": 6}


def asked(encoder, action, sound=None):
    rows = np.zeros(LENGTH, np.int64)
    rows[slice(*SPAN)] = 1
    return Conditions(encoder.encode([DEFAULT_TEXT, f"please {ACTIONS[action]}"]), rows, None, sound)


def inside(codes, action):
    """Share of the span's tokens with one of the action's codes."""
    return np.isin(codes[slice(*SPAN)], (5 + 2 * action, 6 + 2 * action)).mean()


@pytest.fixture(scope="module")
def taught():
    """A text branch that has learned the small world, with its encoder."""
    encoder = text_encoder()
    torch.manual_seed(0)
    lesson = TextLesson(MotionBranch(branch_config(levels=2, **SIZES)), encoder.train(), True)
    found = windows(lesson.branch.config, encoder.pieces)
    first, last = learn(lesson, found, 160)
    return lesson.eval().requires_grad_(False), first, last


def test_the_text_says_which_action_and_when(taught):
    lesson, first, last = taught
    assert last < 0.6 * first
    for action in range(3):
        codes = sample(lesson.branch, asked(lesson.encoder, action), LENGTH, steps=5, seed=action)
        assert inside(codes[0], action) >= 0.75
        assert np.isin(np.delete(codes[0], np.arange(*SPAN)), (LOUD, SOFT)).mean() >= 0.75
        assert (codes[1] == (codes[0] + 1) % 16).mean() >= 0.75, "the residual level goes with the first"


def test_the_sound_says_the_rest_and_the_text_branch_stays(taught):
    text, *_ = taught
    torch.manual_seed(1)
    audio = MotionBranch(branch_config("audio", levels=2, **SIZES))
    begin_as(audio, text.branch)
    lesson = AudioLesson(TwoBranch(text.branch, audio), text.encoder)
    before = {name: value.clone() for name, value in lesson.model.text.state_dict().items()}
    found = windows(audio.config, text.encoder.pieces, sound=True)
    _, last = learn(lesson, found, 120)
    lesson.eval()
    assert all(torch.equal(value, before[name]) for name, value in lesson.model.text.state_dict().items())
    fits, right = [], []
    for seed in range(3):
        truth = clip(100 + seed, action=seed)
        c = asked(text.encoder, seed, torch.from_numpy(truth.sound.astype(np.float32)))
        codes = sample(lesson.model, c, LENGTH, steps=5, seed=seed, guidance=2.0)[0]
        outside = np.delete(np.arange(LENGTH), np.arange(*SPAN))
        fits.append((codes[outside] == truth.codes[0, outside]).mean())
        right.append(inside(codes, seed))
    assert np.mean(fits) >= 0.8 and np.mean(right) >= 0.75, (last, fits, right)


def test_samples_follow_their_index_and_hold_together():
    a, b = windows(seed=4), windows(seed=4)
    assert all(torch.equal(value, b[7][name]) for name, value in a[7].items())
    for index in range(40):
        one = a[index]
        masked, valid = one["masked"], one["valid"]
        assert 1 <= int(masked.sum()) <= int(valid.sum())
        assert torch.equal(one["shown"][~masked], one["codes"][0][~masked])
        assert int(one["rows"].max()) < len(one["pieces"])
    shown = torch.cat([a[i]["shown"][a[i]["masked"]] == 16 for i in range(60)]).float().mean()
    assert 0.7 < shown < 0.9  # ten in a hundred random, ten their own
    assert 0.02 < 1 - np.mean([bool(a[i]["keep_text"]) for i in range(400)]) < 0.2


def test_the_share_of_masks_follows_a_cosine():
    found = windows(carried=0.0)
    shares = [float(found[i]["masked"].float().mean()) for i in range(400)]
    assert abs(np.mean(shares) - 2 / np.pi) < 0.04  # the mean of cos(pi / 2 u)
    carried = windows(carried=1.0)
    assert not any(bool(carried[i]["masked"][: branch_config().overlap].any()) for i in range(40))


def test_texts_stand_where_they_are_said():
    found = windows(default=0.0)
    one = found.sample(clip(3, action=1), np.random.default_rng(0))
    rows, edges = one["rows"].numpy(), one["edges"].numpy()
    assert rows.tolist() == [0] * 8 + [1] * 8 + [0] * 8
    assert edges[SPAN[0]].tolist() == [0, 7] and edges[SPAN[1] - 1].tolist() == [7, 0] and edges[0, 0] == FAR
    words = found.pieces.cut([DEFAULT_TEXT], 16)[0]
    assert one["pieces"][0].tolist() == words[0].tolist()


def test_a_cut_window_knows_where_its_text_began():
    """The edges are told from the clip, not from the window."""
    found = windows(window=6)
    seen = set()
    for seed in range(60):
        one = found.sample(clip(3), np.random.default_rng(seed))
        here = one["rows"].numpy() > 0
        if here.all():
            seen.add(tuple(one["edges"].numpy()[0]))
    assert any(since > 0 for since, _ in seen) and any(until > 5 for _, until in seen)


def test_plain_speech_may_be_the_default_text():
    told = (Saying(("someone is talking",), 0.0, 24.0),)
    plain = dataclasses.replace(clip(0), sayings=told)
    found = windows(default=0.5)
    found.speech = frozenset({"someone is talking"})
    rows = [int(found.sample(plain, np.random.default_rng(seed))["rows"].max()) for seed in range(60)]
    assert 0.25 < np.mean(rows) < 0.75


def test_short_clips_are_padded_and_change_no_loss():
    """A batch with a padded clip gives that clip the loss it has alone."""
    encoder = text_encoder()
    torch.manual_seed(0)
    lesson = TextLesson(MotionBranch(branch_config(levels=2, **SIZES)), encoder, False).eval()
    short = dataclasses.replace(clip(1), codes=clip(1).codes[:, :10])
    wide, narrow = (windows(lesson.branch.config, encoder.pieces, window=window) for window in (LENGTH, 10))
    a = wide.sample(short, np.random.default_rng(5))
    assert a["valid"].sum() == 10 and not a["masked"][10:].any()
    b = {**a, **{name: a[name][..., :10] for name in ("codes", "valid", "masked", "shown", "rows")}}
    b["edges"] = a["edges"][:10]
    with torch.no_grad():
        (x, _), (y, _) = (lesson(default_collate([one])) for one in (a, b))
    torch.testing.assert_close(x, y, atol=1e-4, rtol=1e-4)
    assert narrow.window == 10


def test_sayings_of_one_span_are_choices():
    told = [dataclasses.make_dataclass("D", ["text", "start", "end"])(*row) for row in
            [("a", 0.0, 0.0), ("b", 0.0, 0.0), ("c", 1.6, 3.2), ("d", 1.6, 99.0)]]  # fmt: skip
    found = sayings(told, 6.25, 25)
    assert [(s.choices, s.start, s.end) for s in found] == [
        (("a", "b"), 0.0, 25.0), (("c",), 10.0, 20.0), (("d",), 10.0, 25.0),
    ]  # fmt: skip
    assert rows_of(found, 25).tolist() == [1] * 10 + [3] * 15


def test_kept_clips_as_tokens(tmp_path):
    told = (Described("a", 0.32, 0.96), Described("b", 0.32, 0.96), Described("c", 0.0, 0.0))
    wave = np.random.default_rng(0).integers(-9000, 9000, 16000).astype(np.int16)
    vectors = np.random.default_rng(1).normal(size=(25, NUMBERS)).astype(np.float16)
    for number, sound in enumerate((wave, None)):
        known = np.ones((25, 2), bool)
        write_clip(tmp_path / f"clip_{number:06d}.npz", KeptClip(vectors, known, told, sound), 25.0)
    voice, _ = load_encoder(write_tiny(tmp_path / "voice"))
    folder = ClipFolder(KeptClips(tmp_path, None), tokenizer(), voice, "k")
    assert len(folder) == 2 and folder.texts() == ["a", "b", "c"]
    one = folder[0]
    assert one.codes.tolist() == [list(range(7))] * 2
    assert [s.choices for s in one.sayings] == [("c",), ("a", "b")] and one.sayings[1].start == 2.0
    assert one.sound.shape[0] == 56 and folder[1].sound is None
    (kept,) = (tmp_path / "heard-k").iterdir()
    again = ClipFolder(KeptClips(tmp_path, None), tokenizer(), voice, "k")
    np.testing.assert_array_equal(again[0].sound, one.sound)
    kept.write_bytes(b"half")
    with pytest.raises(EMO2Error, match="sound_000000"):
        ClipFolder(KeptClips(tmp_path, None), tokenizer(), voice, "k")[0]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A tokenizer's and a voice's file, and data that need neither."""
    monkeypatch.setattr(text_motion, "load_tokenizer", lambda path: tokenizer())
    monkeypatch.setattr(text_motion, "speech", lambda: ())
    monkeypatch.setattr(audio_motion, "speech", lambda: ())
    for module in (text_motion, audio_motion):
        monkeypatch.setattr(module, "open_tokens", lambda *_: sources())
    path = tmp_path / "tokenizer.safetensors"
    path.write_bytes(b"codes")
    return path


def test_both_recipes_from_nothing_to_a_model(files, tmp_path, monkeypatch):
    options = {"data": "somewhere", "tokenizer": str(files), "network": {"width": 32, "layers": 2, "heads": 2},
               "text": {"layers": 1, "mlp": 32}, "vocabulary": 320}  # fmt: skip
    made = TextMotionRecipe(options, 0)
    dataset = made.dataset()
    torch.manual_seed(0)
    lesson = made.build()
    learn(lesson, dataset, 2, batch=4)
    written = made.export(lesson, tmp_path, {"steps": "2"})
    assert [path.name for path in written] == [
        "emo2_text_motion_tiny.safetensors",
        "emo2_text_encoder_tiny.safetensors",
    ]
    branch, header = load_checkpoint(written[0], "text_motion", build_branch)
    assert header.notes["steps"] == "2" and branch.config.levels == 2 and branch.config.codes == 16
    load_checkpoint(written[1], "text_encoder", text_network.build)
    found = type("Voice", (), {"states": 2, "width": 6})()
    monkeypatch.setattr("emo2.models.audio.load_encoder", lambda *_: (found, None))
    options = {"data": "somewhere", "tokenizer": str(files), "text_motion": str(written[0]),
               "text_encoder": str(written[1]), "audio_encoder": "voice", "fusion": "last"}  # fmt: skip
    hearing = AudioMotionRecipe(options, 0)
    lesson = hearing.build()
    learn(lesson, hearing.dataset(), 2, batch=4)
    (path,) = hearing.export(lesson, tmp_path, {})
    model, header = load_checkpoint(path, "direction", build)
    assert model.config.fusion == "last" and header.notes["tokenizer"]
    assert all(torch.equal(value, branch.state_dict()[name]) for name, value in model.text.state_dict().items())
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"other codes")
    with pytest.raises(EMO2Error, match="the tokenizer that the text branch was trained with"):
        AudioMotionRecipe(options | {"tokenizer": str(other)}, 0).build()


def test_the_audio_branch_begins_as_the_text_branch():
    text, audio = MotionBranch(branch_config()), MotionBranch(branch_config("audio"))
    names = begin_as(audio, text)
    assert torch.equal(audio.embed.weight, text.embed.weight)
    assert not any(name.startswith("listen") and "nothing" not in name for name in names)


@pytest.mark.parametrize(
    "wrong",
    [{"masks": {"windw": 3}}, {"masks": {"carried": 2}}, {"network": {"widht": 3}}, {"profile": "huge"}, {"data": 3},
     {"tokenizer": None}, {"train_encoder": False}, {"vocabulary": 10}, {"speed": 1}, {"text": {"width": 30}},
     {"data": [{"kind": "puppets", "folder": "a", "count": -1}]}, {"data": [{"kind": "wax", "folder": "a"}]}],
)  # fmt: skip
def test_wrong_options_are_told_at_once(wrong):
    with pytest.raises(EMO2Error, match="recipe"):
        TextMotionRecipe({"data": "somewhere", "tokenizer": "t", **wrong}, 0)


def test_wrong_options_of_the_audio_branch():
    right = {"data": "a", "tokenizer": "t", "text_motion": "m", "text_encoder": "e", "audio_encoder": "v"}
    AudioMotionRecipe(right, 0)
    for wrong in ({"fusion": "sideways"}, {"text_motion": None}, {"audio_encoder": ""}, {"masks": 3}):
        with pytest.raises(EMO2Error, match="recipe"):
            AudioMotionRecipe({**right, **wrong}, 0)
