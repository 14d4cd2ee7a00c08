"""The autoencoder's trainer: pictures in, a checkpoint out that the nodes load, latents of unit scale."""

import cv2
import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint, save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.video import vae
from emo2.training import autoencoder_data
from emo2.training.autoencoder import AutoencoderLesson, AutoencoderOptions, AutoencoderRecipe, unit_latents
from emo2.training.journal import read_metrics
from emo2.training.loop import train
from emo2.training.puppets.world import Puppet
from emo2.training.settings import from_values

SMALL = {"widths": [8, 8, 16], "channels": 4, "groups": 4, "mid_attention": False, "previews": 3}


class Record:
    """As a record of the puppet cache: four frames of a coloured disc (the hand) on a gradient."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.frames, self.maps = np.zeros((4, 32, 24, 3), np.uint8), np.zeros((4, 32, 24, 6), np.uint8)
        back, hand = rng.integers(0, 256, 3), rng.integers(0, 256, 3).tolist()
        for frame, marks in zip(self.frames, self.maps):
            frame[:] = back * np.linspace(0.5, 1, 32)[:, None, None]
            place = tuple(int(n) for n in rng.integers(6, 18, 2))
            cv2.circle(frame, place, 5, hand, -1)
            hands = np.zeros((32, 24, 3), np.uint8)
            cv2.circle(hands, place, 5, (1, 2, 3), -1)
            marks[..., :3] = hands
        self.path, self.latents, self.sampled_latents = seed, None, None
        # Brows, eyes and mouth lie about the picture's upper middle.
        self.arrays = {"face": np.tile(np.linspace((0.25, 0.2), (0.75, 0.4), 70), (4, 1, 1))}
        self.arrays["face"][:, 17:68:2, 1] = 0.2

    def __len__(self):
        return len(self.frames)

    def frames_at(self, indices):
        return self.frames[list(indices)]

    def maps_at(self, indices):
        return self.maps[list(indices)]


class Cache:
    def __init__(self, folder):
        self.first = 0 if str(folder) == "train" else 100

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return Record(self.first + index)


@pytest.fixture
def caches(monkeypatch):
    from emo2.training.puppets import cache

    monkeypatch.setattr(cache, "PuppetCache", Cache)


def recipe(**options):
    return AutoencoderRecipe({"data": "train", "held_out": "held-out", **SMALL, **options}, seed=1)


def test_samples_are_the_same_for_the_same_index(caches):
    one, other = recipe().dataset(), recipe().dataset()
    for index in (0, 7, 2**31):
        a, b = one[index], other[index]
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(one[0]["noise"], one[1]["noise"])
    assert a["picture"].shape == (3, 32, 24) and a["picture"].dtype == torch.uint8
    assert a["hands"].shape == (1, 32, 24) and 40 < int(a["hands"].sum()) < 120
    assert a["noise"].shape == (4, 8, 6)


def test_mirroring_takes_the_hands_along(caches):
    data = recipe().dataset()
    flat = autoencoder_data.Pictures(1, ("train",), (32, 24), False, 4, 4)
    seen = set()
    for index in range(12):
        sample, plain = data[index], flat[index]
        mirrored = not torch.equal(sample["hands"], plain["hands"])
        wanted = plain["hands"].flip(-1) if mirrored else plain["hands"]
        assert torch.equal(sample["hands"], wanted)
        grey = plain["picture"].sum(0).flip(-1) if mirrored else plain["picture"].sum(0)
        assert torch.equal(sample["picture"].sum(0), grey), "colours change places, nothing else"
        seen.add(mirrored)
    assert seen == {True, False}


def test_a_small_face_weighs_as_much_as_a_large_one_and_its_features_most():
    """A face as the painter has it, at two sizes."""
    puppet = Puppet.draw(3, "train", seconds=1.0, framing="head")
    small = Puppet.draw(3, "train", seconds=1.0, framing="full")
    maps = []
    for one in (puppet, small):
        points = one.with_face(one.motion).face[0]
        maps.append(autoencoder_data.face_weights(points, (128, 96)))
        eye, nose = points[36:42].mean(0), points[30]
        at = [maps[-1][int(y * 128), int(x * 96)] for x, y in (eye, nose)]
        assert at[0] > 3 * at[1] or one is small
        assert maps[-1].sum() == pytest.approx(600, rel=1e-4)
    assert (maps[0] > 0).sum() > 5 * (maps[1] > 0).sum() and maps[1].max() > 5 * maps[0].max()


@pytest.mark.parametrize("what", ["hands", "faces"])
def test_hands_and_faces_count_more(what):
    weights = {"hands": 0.0, "edges": 0.0, "slopes": 0.0, "kl": 0.0, what: 8.0}
    lesson = AutoencoderLesson(AutoencoderOptions(**{**SMALL, "widths": (8, 8, 16)}, **weights))
    lesson.vae.decode = lambda z: type("D", (), {"sample": made})
    picture = torch.full((1, 3, 32, 24), 128, dtype=torch.uint8)
    upper = torch.zeros(1, 1, 32, 24, dtype=torch.bool)
    upper[..., :8, :] = True
    batch = {"picture": picture, "hands": ~upper, "faces": ~upper, "noise": torch.zeros(1, 4, 8, 6), what: upper}
    losses = []
    for rows in (slice(0, 8), slice(8, 16)):
        made = picture.float() / 127.5 - 1
        made[..., rows, :] += 0.2
        losses.append(lesson(batch)[0].item())
    assert losses[0] == pytest.approx(9 * losses[1], rel=0.05)


def test_a_short_training_makes_a_checkpoint_that_loads(caches, tmp_path):
    settings = from_values({
        "trainer": "autoencoder", "seed": 1, "steps": 60, "batch": 4, "ema": 0.9, "preview_every": 60, "log_every": 5,
        "optimizer": {"lr": 3e-3, "warmup": 5}, "precision": "bf16",
    }, "test")  # fmt: skip
    done = train(settings, tmp_path, recipe=recipe(), quiet=True)
    lines = [line for line in read_metrics(tmp_path) if "loss" in line]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"] and lines[-1]["psnr"] > lines[0]["psnr"] + 2
    module, header = load_checkpoint(done.files[0], "vae", vae.build)
    assert header.config["latent_channels"] == 4 and header.untrained is None
    assert (header.notes["steps"], header.notes["samples"], header.notes["data"]) == ("60", "240", "puppets")
    assert done.files[0].stat().st_size < 2.2 * sum(p.numel() for p in module.parameters()) + 20_000, "16 bits a number"
    held_out = recipe().held_out()
    made = vae.decode(module, vae.encode(module, held_out.float() / 255))
    error = ((made - held_out / 255) ** 2).mean(dim=(1, 2, 3))
    measured = float((-10 * torch.log10(error)).mean())
    assert measured == pytest.approx(float(header.notes["held_out_psnr_db"]), abs=0.1) and measured > 12
    told = [line["held_out/psnr"] for line in read_metrics(tmp_path) if "held_out/psnr" in line]
    assert told == [pytest.approx(measured, abs=0.3)]
    sheet = cv2.imread(str(tmp_path / "samples" / "00000060" / "reconstruction.png"))
    assert sheet.shape == (2 * 32, 3 * 24, 3)
    assert np.array_equal(sheet[:32, :24, ::-1], held_out[0].numpy())


def test_unit_latents_change_the_latents_only():
    torch.manual_seed(0)
    network = vae.build({"block_out_channels": [8, 8, 16], "layers_per_block": 1, "latent_channels": 4,
                         "norm_num_groups": 4, "mid_block_add_attention": False}).eval()  # fmt: skip
    torch.nn.init.normal_(network.quant_conv.bias)
    torch.nn.init.normal_(network.post_quant_conv.bias)
    pictures = torch.rand(16, 32, 24, 3)
    latents = vae.encode(network, pictures)
    made = unit_latents(network, latents)
    scaled = vae.encode(made, pictures)
    torch.testing.assert_close(scaled.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(vae.decode(made, scaled), vae.decode(network, latents), atol=1e-5, rtol=1e-5)
    before = network.encode(pictures.movedim(-1, 1)).latent_dist
    after = made.encode(pictures.movedim(-1, 1)).latent_dist
    ratio = before.std / latents.std(dim=(0, 2, 3))[:, None, None]
    torch.testing.assert_close(after.std, ratio, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options, words", [
    ({"width": 3}, r"recipe\.width: .*Did you mean widths\?"),
    ({"widths": "many"}, r"recipe\.widths: expected a list"),
    ({"widths": [7, 8]}, "multiples of groups"),
    ({"widths": []}, "multiples of groups"),
    ({"kl": "none"}, r"recipe\.kl: expected a number"),
    ({"layers": 1.5}, r"recipe\.layers: expected a whole number"),
    ({"fresh": 1}, r"recipe\.fresh: expected true or false"),
    ({"data": 3}, r"recipe\.data: expected a text"),
])  # fmt: skip
def test_options_that_are_wrong_are_named(options, words):
    with pytest.raises(EMO2Error, match=words):
        recipe(**options)


def test_further_folders_come_as_often_and_faces_are_marked(caches):
    own = recipe(begin="x", more=["other"], faces=4.0, keep=0.5)
    samples = [own.dataset()[index] for index in range(200)]
    assert 70 < sum(bool(sample["first"]) for sample in samples) < 130
    for sample in samples:
        face = sample["faces"][0]
        rows, columns = np.nonzero(face.numpy())
        assert float(face.sum()) == pytest.approx(autoencoder_data.WHOLE, rel=1e-4)
        assert rows.max() < 16 and columns.min() > 3 and columns.max() < 21
    assert "faces" not in recipe().dataset()[0]


def test_latents_of_known_pictures_are_kept(sampled, tmp_path):
    """Twice the same training: with `keep`, latents of the first folder's pictures stay nearer to what they were, and
    the scale is nobody's to change."""
    settings = from_values({
        "trainer": "autoencoder", "seed": 1, "steps": 40, "batch": 4, "ema": 0.9, "preview_every": 0, "log_every": 5,
        "optimizer": {"lr": 3e-3, "warmup": 5},
    }, "test")  # fmt: skip
    moved = []
    pictures = torch.stack([torch.from_numpy(Record(n).frames[0]) for n in range(6)]).float() / 255
    old = vae.encode(SampledCache.network, pictures)
    for keep in (0.01, 10.0):
        own = recipe(begin=str(sampled), more=["held-out"], faces=2.0, keep=keep)
        done = train(settings, tmp_path / str(keep), recipe=own, quiet=True)
        after, header = load_checkpoint(done.files[0], "vae", vae.build)
        moved.append(float((vae.encode(after.float(), pictures) - old).square().mean()))
    assert moved[1] < 0.3 * moved[0] and header.notes["stage"] == "faces"
    assert not [name for name in own.build().state_dict() if "before" in name], "the copy is not saved along"


@pytest.mark.parametrize(
    "options, words",
    [
        ({"keep": 1.0}, "data and begin, without sampled"),
        ({"keep": 1.0, "begin": "x", "sampled": 0.5}, "without sampled"),
        ({"faces": 1.0, "data": None}, r"recipe\.faces: expected data beside it"),
        ({"more": ["x"], "fresh": True}, r"recipe\.more: expected data beside it"),
    ],
)
def test_what_a_training_of_faces_lacks_is_named(options, words):
    with pytest.raises(EMO2Error, match=words):
        recipe(**options)


def test_a_cache_that_is_not_there(tmp_path):
    with pytest.raises(EMO2Error, match="painted puppets"):
        AutoencoderRecipe({**SMALL, "data": str(tmp_path / "none")}, 0).dataset()


def test_fresh_puppets_need_no_cache():
    sample = AutoencoderRecipe({**SMALL, "fresh": True, "size": [32, 24]}, 0).dataset()[0]
    assert sample["picture"].shape == (3, 32, 24) and sample["picture"].float().std() > 10
    assert sample["hands"].shape == (1, 32, 24)


class SampledCache(Cache):
    """Frames with their latents, and with latents that miss half of what there is."""

    network = None

    def __getitem__(self, index):
        record = super().__getitem__(index)
        latents = vae.encode(self.network, torch.from_numpy(record.frames).float() / 255)
        record.latents = latents.numpy().astype(np.float16)
        record.sampled_latents = (latents / 2).numpy().astype(np.float16)
        return record


@pytest.fixture
def sampled(monkeypatch, tmp_path):
    """The checkpoint of an autoencoder, and a cache of what it encodes."""
    from emo2.training.puppets import cache

    torch.manual_seed(3)
    config = AutoencoderOptions(**SMALL).config()
    network = vae.build(config)
    path = tmp_path / "before.safetensors"
    save_checkpoint(path, "vae", config, {n: v.half() for n, v in network.state_dict().items()}, notes={"steps": "9"})
    SampledCache.network = load_checkpoint(path, "vae", vae.build)[0].float()
    monkeypatch.setattr(cache, "PuppetCache", SampledCache)
    return path


def test_a_decoder_learns_from_sampled_latents_and_the_encoder_stays(sampled, tmp_path):
    settings = from_values({
        "trainer": "autoencoder", "seed": 1, "steps": 60, "batch": 4, "ema": 0.9, "preview_every": 0, "log_every": 5,
        "optimizer": {"lr": 3e-3, "warmup": 5},
    }, "test")  # fmt: skip
    done = train(settings, tmp_path, recipe=recipe(begin=str(sampled), sampled=0.5), quiet=True)
    after, header = load_checkpoint(done.files[0], "vae", vae.build)
    before = SampledCache.network.state_dict()
    same = {name: torch.equal(value.float(), before[name]) for name, value in after.state_dict().items()}
    fixed = ("encoder.", "quant_conv.")
    assert all(kept == name.startswith(fixed) for name, kept in same.items())
    assert (header.notes["stage"], header.notes["steps"], header.notes["steps_before"]) == ("decoder", "60", "9")
    record = SampledCache("held-out")[0]
    for latents in (record.latents, record.sampled_latents):
        lost = []
        for network in (SampledCache.network, after.float()):
            made = vae.decode(network, torch.from_numpy(latents).float())
            lost.append(float((made * 255 - torch.from_numpy(record.frames)).square().mean()))
        assert lost[1] < 0.5 * lost[0], "pictures of people it has not seen, of both kinds of latents"


def test_a_mixed_export_lies_between_what_was_known_and_what_was_learned(sampled, tmp_path):
    exports = []
    for mix in (1.0, 0.25):
        own = recipe(begin=str(sampled), sampled=0.5, mix=mix)
        lesson = own.build()
        torch.manual_seed(0)
        for weight in lesson.vae.decoder.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
        learned = {name: value.clone() for name, value in lesson.vae.state_dict().items()}
        (path,) = own.export(lesson, tmp_path, {"steps": "1"})
        exports.append(load_checkpoint(path, "vae", vae.build)[0].float().state_dict())
        assert all(torch.equal(value, learned[name]) for name, value in lesson.vae.state_dict().items())
    before = SampledCache.network.state_dict()
    for name, value in exports[1].items():
        assert torch.allclose(value, before[name] + 0.25 * (exports[0][name] - before[name]), atol=2e-3), name
    assert any(not torch.allclose(exports[1][name], before[name]) for name in before)


def test_both_kinds_of_latents_come_with_their_own_frame(sampled):
    data = recipe(begin=str(sampled), sampled=0.5).dataset()
    kinds = []
    for index in range(16):
        sample = data[index]
        picture = sample["picture"].movedim(0, -1)[None].float() / 255
        (own,) = vae.encode(SampledCache.network, picture)
        close = [torch.allclose(sample["latents"], own * factor, atol=2e-3) for factor in (1.0, 0.5)]
        assert sum(close) == 1 and sample["hands"].shape == (1, 32, 24)
        kinds.append(close[1])
    assert set(kinds) == {True, False}


@pytest.mark.parametrize(
    "options, words",
    [
        ({"sampled": 1.5}, "a share from 0 to 1"),
        ({"sampled": 0.5}, "no begin"),
        ({"mix": 0.5}, "nothing to begin with"),
        ({"mix": 0.0, "begin": "x"}, "above 0, up to 1"),
        ({"mix": float("nan"), "begin": "x"}, "above 0, up to 1"),
        ({"sampled": 0.5, "data": None, "begin": "x"}, "no data"),
    ],
)
def test_what_a_decoder_s_training_lacks_is_named(options, words):
    with pytest.raises(EMO2Error, match=words):
        recipe(**options)


def test_a_cache_without_sampled_latents_says_how_to_make_them(sampled, monkeypatch):
    monkeypatch.setattr(SampledCache, "__getitem__", lambda self, index: Cache.__getitem__(self, index))
    with pytest.raises(EMO2Error, match=r"emo2 puppets --vae"):
        recipe(begin=str(sampled), sampled=0.5).dataset()
