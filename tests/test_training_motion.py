"""Stage 1's trainer: what the loss counts, what is dropped, and that the same index is the same sample."""

import numpy as np
import pytest
import torch
from emo2.models import audio
from emo2.models.checkpoints.precision import LEAST
from emo2.models.errors import EMO2Error
from emo2.models.motion import MotionConfig, MotionTransformer, sample_motion, vector
from emo2.models.types import AudioFeatures
from emo2.training.motion import MotionRecipe
from emo2.training.motion_data import MotionCache, Source, TakeList, build_motion_cache, statistics, write_take
from emo2.training.motion_lesson import MotionLesson, hand_movement
from emo2.training.motion_windows import MotionWindows
from motion_cases import gestures
from torch.utils.data import default_collate
from training_motion_cases import NO_DROP, PLAIN, options, sources, take

SMALL = {"width": 32, "depth": 2, "heads": 2, "mlp_ratio": 2, "carried": 6, "window": 44, "predicts": "motion"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cache of three takes."""
    path = tmp_path_factory.mktemp("takes")
    for seed in range(3):
        write_take(path / f"take_{seed:06d}.npz", take(seed))
    return path


def recipe(folder, **changes):
    windows = {"frames": 50, "draws": 2, "context": 5} | changes.pop("windows", {})
    data = [{"kind": "puppets", "folder": str(folder), "count": 0}]
    return MotionRecipe({"data": data, "network": SMALL, "windows": windows, **changes}, seed=3)


def lesson(folder, **changes):
    torch.manual_seed(0)
    made = recipe(folder, **changes)
    module = made.build()
    with torch.no_grad():
        for p in module.motion.parameters():  # its last layer starts at zero, and hides what is to be seen
            p.add_(torch.randn_like(p) * 0.05)
    return module.eval(), made.dataset()


def batch_of(dataset, *indices):
    return default_collate([dataset[i] for i in indices])


def windows(frames=50, config=None, takes=None, seed=3, **changes):
    config = config or MotionConfig(**{**MotionConfig.tiny().to_dict(), **SMALL})
    return MotionWindows(takes or sources(), config, options(frames=frames, **changes), seed)


def test_a_sample_depends_on_its_index_alone():
    first, again = windows(), windows()
    list(map(first.__getitem__, range(4)))
    for name, value in first[7].items():
        assert torch.equal(value, again[7][name]), name
    assert not torch.equal(first[7]["noise"], first[8]["noise"])


def test_all_samples_have_one_shape():
    dataset = windows(frames=50, takes=sources(0, 1, count=40) + sources(2, count=90))
    shapes = [{k: (v.shape, v.dtype) for k, v in dataset[i].items()} for i in range(12)]
    assert all(shape == shapes[0] for shape in shapes)


@pytest.mark.parametrize("what", ["hidden", "carried", "padding"])
def test_the_loss_skips(folder, what):
    """What is not annotated, carried or padding may hold anything: neither the loss nor its gradient notices."""
    module, dataset = lesson(folder, windows={"short": 1.0, "first": 0.0, "drop": {"mask": 0.0, "all": 0.0}})
    batch = batch_of(dataset, *range(4))
    batch["known"][:, :, vector.hand(0)] = batch["known"][:, :, vector.hand(0)] & (torch.arange(50) % 7 > 2)[:, None]
    batch["mask"][..., 0] = batch["known"][:, :, vector.hand(0).start]
    if what == "hidden":
        place = ~batch["known"]  # a copy
    elif what == "padding":
        place = ~batch["valid"][..., None].repeat(1, 1, vector.SIZE)
    else:
        place = batch["clean"][..., None].expand_as(batch["known"])
    assert place.any()
    before = gradient(module, batch)
    if what == "carried":
        # Carried frames are seen, so only the target and the noise there may change without a trace.
        batch["noise"][place[:, None].expand_as(batch["noise"])] = 9.0
    else:
        batch["motion"][place] = 9.0
        # Points outside the picture are noise like all others; only a hidden hand's is kept from the network.
        place[..., vector.KEYPOINTS] &= what == "padding"
        batch["noise"][place[:, None].expand_as(batch["noise"])] += 5.0
    after = gradient(module, batch)
    for a, b in zip(before, after):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def gradient(module, batch):
    module.zero_grad()
    losses, _parts = module(batch)
    losses.sum().backward()
    return [losses.detach(), *(p.grad.clone() for p in module.parameters() if p.grad is not None)]


def test_new_frames_count(folder):
    module, dataset = lesson(folder, windows=PLAIN)
    batch = batch_of(dataset, 0)
    before = module(batch)[0]
    batch["motion"][:, 30, vector.hand(1).stop - 1] += 0.3
    assert abs(module(batch)[0] - before).item() > 1e-3


def test_conditions_are_dropped_independently():
    drop = {"audio": 0.2, "style": 0.4, "speed": 0.5, "image": 0.3, "mask": 0.1, "offset": 0.6, "all": 0.0}
    dataset = windows(drop=drop, draws=1)
    rng = np.random.default_rng(0)
    kept = [dataset._dropped(rng) for _ in range(4000)]
    table = {name: np.array([k[f"keep_{name}"][0] for k in kept], float) for name in drop if name != "all"}
    for name, values in table.items():
        assert values.mean() == pytest.approx(1 - drop[name], abs=0.03)
    across = np.corrcoef(np.array(list(table.values())))
    assert np.abs(across - np.eye(len(table))).max() < 0.06
    nothing = windows(drop=NO_DROP | {"all": 1.0})._dropped(rng)
    assert not any(value.any() for value in nothing.values())


def test_dropped_conditions_are_not_seen(folder):
    drop = {"audio": 1.0, "image": 1.0, "speed": 1.0, "offset": 1.0}
    module, dataset = lesson(folder, windows={"drop": drop}, weights={"sight": 0.0})
    batch = batch_of(dataset, 0, 1)
    before = module.moves(batch, *seen(module, batch))[0]
    for name in ("waveform", "picture"):
        batch[name] = torch.randn_like(batch[name])
    batch["speed"][:], batch["offset"][:] = 0.02, 0.3
    torch.testing.assert_close(module.moves(batch, *seen(module, batch))[0], before)


def seen(module, batch):
    return module.listen(batch)[1], module.look(batch)


def test_training_hears_what_run_time_hears():
    """The features of a window are those that the encoder's nodes give the sampler, to half precision."""
    whole = take(5, count=50)
    dataset = windows(takes=[Source("puppets", TakeList([whole]))], **PLAIN | {"context": 0})
    torch.manual_seed(1)
    voice = audio.build(audio.TINY).eval()
    module = MotionLesson(MotionTransformer(dataset.config), voice, None, {})
    with torch.no_grad():
        heard = module.listen(default_collate([dataset[0]]))[1][0]
    told = audio.encode(voice, whole.waveform).at_frames(25.0, 0, 50)[:, 0]
    np.testing.assert_allclose(heard.numpy(), told, atol=5e-3)


def test_a_frozen_encoder_s_windows_hold_what_run_time_hears(folder, tmp_path):
    """States are computed once a take, from the whole sound, and a window's frames get exactly `at_frames` of them."""
    voice = audio.write_tiny(tmp_path / "voice.safetensors")
    frozen = {"train_encoders": False, "audio_encoder": str(voice), "network": SMALL | {"image_width": 0}}
    made = recipe(folder, windows=PLAIN | {"frames": 40}, **frozen)
    torch.manual_seed(0)
    module, dataset = made.build(), made.dataset()
    heard = []
    hear = dataset.hear
    dataset.hear = lambda waveform: heard.append(len(waveform)) or hear(waveform)
    batch = batch_of(dataset, *range(6))
    assert "waveform" not in batch and len(heard) <= 3
    assert not any("voice" in name for name in module.state_dict())
    encoder, _ = audio.load_encoder(voice)
    whole = take(1)
    for begin in (0, 7, 50):
        sample = default_collate([dataset.window(whole, np.random.default_rng(0), start=begin)])
        _, frames = module.listen(sample)
        told = audio.encode(encoder, whole.waveform).at_frames(25.0, begin, 40)[:, 0]
        np.testing.assert_allclose(frames[0].numpy(), told, atol=2e-3)
    assert torch.isfinite(module(batch)[0]).all()
    assert [path.name for path in made.export(module, tmp_path, {})] == ["emo2_motion_tiny.safetensors"]


def test_frames_lie_among_states_as_at_run_time():
    """Windows anywhere, with context, up to the end of the sound: the same instants as `AudioFeatures.at_frames`."""
    whole = take(6, count=80)
    dataset = windows(takes=[Source("puppets", TakeList([whole]))], **PLAIN)
    states = np.random.default_rng(0).normal(size=(160, 1, 3)).astype(np.float16)
    features = AudioFeatures(states, np.zeros(160, np.float32), 3.2)
    for begin in (0, 1, 13, 30):
        rng = np.random.default_rng(0)
        sample = dataset._sound(whole, begin, rng)
        first = max(0, min(2 * begin - 5, 160 - dataset.states))
        rows = np.asarray(sample["place"]) + first
        low = np.floor(rows).astype(int)
        weight = (rows - low)[:, None]
        high = np.minimum(low + 1, 159)
        blended = states[low, 0] * (1 - weight) + states[high, 0] * weight
        blended[~sample["heard"]] = 0
        np.testing.assert_allclose(blended[:50], features.at_frames(25.0, begin, 50)[:, 0, 0], atol=2e-3)


def test_gradients_reach_all_networks(folder):
    module, dataset = lesson(folder)
    module.train()
    module(batch_of(dataset, *range(4)))[0].mean().backward()
    silent = [n for n, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    # CLIP's norm after the last layer serves the class token only; wav2vec's mask is never used.
    assert not silent, silent
    assert not module.voice.training and not module.sight.training


def test_it_learns_one_sample_by_heart(folder):
    torch.manual_seed(0)
    made = recipe(folder, windows=PLAIN | {"first": 1.0}, weights={"sound": 0.1})
    module, dataset = made.build(), made.dataset()
    batch = batch_of(dataset, 5)
    optimiser = torch.optim.Adam(module.parameters(), 4e-3)
    losses = []
    for _ in range(20):
        loss = module(batch)[0].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0], losses[::5]


def test_export_is_what_the_nodes_load(folder, tmp_path):
    from emo2.models.checkpoints.format import load_checkpoint
    from emo2.models.motion import build
    from emo2.models.video import clip_vision

    module, _ = lesson(folder, name="test")
    written = recipe(folder, name="test").export(module, tmp_path, {"seed": "3"})
    assert [p.name for p in written] == [f"emo2_{n}_test.safetensors" for n in ("motion", "audio", "clip_vision")]
    motion, header = load_checkpoint(written[0], "motion", build)
    assert header.notes["seed"] == "3" and header.untrained is None
    voice, _ = audio.load_encoder(written[1])
    sight, _ = load_checkpoint(written[2], "clip_vision", clip_vision.build)
    for loaded, whole in ((voice, module.voice), (sight, module.sight)):
        buffers = {name for name, _ in whole.named_buffers()}  # the rest is kept in half precision
        for name, value in loaded.state_dict().items():
            own = whole.state_dict()[name]
            assert torch.equal(value, own if name in buffers else own.half().float()), name
    for name, value in motion.state_dict().items():
        own = module.motion.state_dict()[name]
        if own.ndim < 2 or own.numel() < LEAST:
            assert torch.equal(value, own), name
        else:  # in eight bits
            most = own.flatten(1).abs().amax(1)
            assert ((value - own).flatten(1).abs().amax(1) <= most / 254 * 1.01 + 1e-12).all(), name
    assert torch.equal(motion.mean, module.motion.mean) and motion.config.predicts == "motion"
    features = audio.encode(voice, take(9, count=60).waveform)
    assert len(sample_motion(motion, features, steps=2, style="singing")) == 60


def test_what_a_narrow_network_gives_is_the_noise_it_means():
    config = MotionConfig(**{**MotionConfig.tiny().to_dict(), **SMALL})
    model = MotionTransformer(config)
    noisy, when = torch.randn(2, 20, vector.SIZE), torch.tensor([40.0, 700.0])
    alpha = model.alphas[when.long()].view(-1, 1, 1)
    # An untouched network says: the mean pose, whatever it sees.
    torch.testing.assert_close(model(noisy, when), noisy / (1 - alpha).sqrt())


def test_statistics_skip_what_is_not_known_and_have_floors():
    one = take(0)
    hidden = take(1)
    hidden.motion[:, vector.hand(1)] = 50.0
    hidden.known[:, vector.hand(1)] = False
    mean, deviation, ordinary = statistics([Source("puppets", TakeList([one, hidden]))])
    assert np.abs(mean).max() < 5 and deviation.min() >= 0.01 and ordinary > 0


def test_puppets_become_takes(tmp_path):
    cache = build_motion_cache(tmp_path, 2, seed=40, seconds=(4.0, 5.0))
    assert len(cache) == 2
    one = cache[1]
    assert len(one) == round(len(one.waveform) / 640) and one.picture.shape == (64, 64, 3)
    assert np.abs(one.waveform).max() > 0.01 and np.isfinite(one.motion).all()
    times = [path.stat().st_mtime_ns for path in cache.files]
    again = build_motion_cache(tmp_path, 2, seed=40, seconds=(4.0, 5.0))
    assert [path.stat().st_mtime_ns for path in again.files] == times
    cache.files[0].write_bytes(cache.files[0].read_bytes()[:1000])
    with pytest.raises(EMO2Error, match=r"take_000000\.npz"):
        MotionCache(tmp_path)[0]


def test_recordings_of_people_are_takes_too(folder, monkeypatch):
    """A real data set's reader is asked for the model's frame rate, mixed in by weight; no picture comes with it."""
    from emo2.training.readers import beat2

    asked = {}

    def read_folder(path, **options):
        asked.update(options, path=path)
        one = take(4, count=70)
        yield one.waveform, gestures(4, 70), "speaking"

    monkeypatch.setattr(beat2, "read_folder", read_folder)
    data = [
        {"kind": "puppets", "folder": str(folder), "count": 0},
        {"kind": "beat2", "folder": "people", "weight": 3, "strict": False},
    ]
    made = MotionRecipe({"data": data, "network": SMALL, "windows": {"frames": 50, "context": 5}}, 0)
    dataset = made.dataset()
    assert asked["fps"] == 25.0 and asked["strict"] is False and str(asked["path"]) == "people"
    people = [not bool(dataset[i]["has_picture"]) for i in range(100)]
    assert 0.6 < np.mean(people) < 0.9
    torch.manual_seed(0)
    losses, _ = made.build()(batch_of(dataset, *range(4)))
    assert torch.isfinite(losses).all()


def test_the_movement_that_the_voice_must_foretell():
    """A hand that falls at 0.5 m/s while the other rests; nothing is asked where a hand is not known."""
    motion = torch.zeros(1, 10, vector.SIZE)
    motion[0, :, vector.hand(0).stop - 2] = torch.arange(10) * 0.02
    known = torch.ones(1, 10, vector.SIZE, dtype=torch.bool)
    known[0, 6, vector.hand(1)] = False
    batch = {"motion": motion, "known": known, "valid": torch.arange(10)[None] < 9}
    movement, seen = hand_movement(batch)
    assert movement.shape == (1, 10, 3) and seen.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 0, 0]]
    assert movement[0, 2].tolist() == pytest.approx([np.log(0.3) + 1.5, np.arcsinh(1.0) / 1.5, 0.0], abs=1e-4)


@pytest.mark.parametrize(
    "wrong, word",
    [
        ({"data": None}, "recipe.data"),
        ({"data": [{"kind": "films", "folder": "x"}]}, "puppets"),
        ({"windows": {"frame": 3}}, "frames"),
        ({"windows": {"first": 2.0}}, "first"),
        ({"network": {"depht": 3}}, "depht"),
        ({"weights": {"velocity": -1}}, "velocity"),
        ({"profile": "huge"}, "tiny"),
        ({"train_encoders": False}, "audio_encoder"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_wrong_options_are_told_at_once(wrong, word):
    with pytest.raises(EMO2Error, match=word):
        MotionRecipe({"data": "somewhere", **wrong}, 0)
