"""Retrieval, style and speed control, on made-up scores and on puppets whose motion is the right one."""

import numpy as np
import pytest
from emo2.evaluation import motion as metrics
from emo2.evaluation.motion.control import amplitude
from emo2.evaluation.motion.retrieve import among, motion_curves, sound_curves
from emo2.models.errors import EMO2Error
from emo2.models.motion.edit import change_speed
from emo2.models.types import Framing
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures

SECONDS, KNOWN, ASKED = 8.0, 20, 10


@pytest.fixture(scope="module")
def puppets():
    """Training and held-out performances."""
    from emo2.training.puppets.performance import perform

    styles = ["speaking", "storytelling", "dance", "instrument", "singing"]
    draw = lambda n, split: [perform(i, split, Framing(), seconds=SECONDS, style=styles[i % 5]) for i in range(n)]
    return draw(KNOWN, "train"), draw(ASKED, "held-out")


def split(performances):
    return [p.waveform for p in performances], [p.motion for p in performances]


def rolled(motion, frames):
    """The motion with its frames turned round by some."""
    order = np.roll(np.arange(len(motion)), frames)
    return motion.replace(translations=motion.translations[order], rotations=motion.rotations[order])


# retrieval


def test_ranks_and_credit():
    right = metrics.retrieval(np.eye(10))
    assert right.top1 == right.top5 == 1 and right.times_chance == 10 and (right.rank == 1).all()
    assert np.allclose(right.chance, [0.1, 0.5])
    worst = metrics.retrieval(-np.eye(10))
    assert worst.top1 == worst.top5 == 0 and (worst.rank == 10).all()
    third = np.zeros((10, 10))
    third[np.arange(10), (np.arange(10) + 1) % 10] = 3
    third[np.arange(10), (np.arange(10) + 2) % 10] = 2
    third += np.eye(10)
    assert (metrics.retrieval(third).rank == 3).all() and metrics.retrieval(third).top5 == 1


def test_motions_that_are_all_alike_get_chance_and_no_more():
    for scores in (np.zeros((8, 8)), np.full((8, 8), np.nan)):
        found = metrics.retrieval(scores)
        assert np.isclose(found.top1, 1 / 8) and np.isclose(found.top5, 5 / 8) and np.isclose(found.times_chance, 1)
        assert np.allclose(found.rank, 4.5)
    with pytest.raises(EMO2Error, match="retrieval"):
        metrics.retrieval(np.zeros((3, 4)))


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_among_few_agrees_with_the_set_it_is_drawn_from(seed):
    rng = np.random.default_rng(seed)
    chance = among(rng.random((96, 96)), 32)
    assert 10 < chance.rank.mean() < 23 and np.allclose(chance.chance, [1 / 32, 5 / 32])
    assert among(np.eye(96), 32).top1 == 1 and len(among(np.eye(96), 32).credit) == 96
    small = rng.random((20, 20))
    assert np.array_equal(among(small, 32).credit, metrics.retrieval(small).credit)
    assert np.array_equal(among(small, 7, seed=seed).credit, among(small, 7, seed=seed).credit)


def test_true_puppet_motion_is_found_and_what_is_out_of_time_is_not(puppets):
    known, asked = puppets
    judge = metrics.AccentFilter.fit(*split(known))
    sounds, motions = split(asked)
    found = metrics.retrieval(judge.scores(sounds, motions))
    # With 256 training clips it is 96 % among 32; here are 20.
    assert found.top1 >= 0.6 and found.rank.mean() < 2.5
    assert metrics.retrieval(metrics.accent_scores(sounds, motions)).top5 > 0.6, "even without training"
    late = [rolled(m, 40) for m in motions]
    assert metrics.retrieval(judge.scores(sounds, late)).times_chance < 4, "it listens to when, not to how much"
    still = [m.replace(translations=np.tile(m.translations[:1], (len(m), 1, 1))) for m in motions]
    assert np.isclose(metrics.retrieval(judge.scores(sounds, still)).times_chance, 1)


def test_true_puppet_motion_is_on_the_beat(puppets):
    _, asked = puppets
    sounds, motions = split(asked)
    seconds = [SECONDS] * len(asked)
    beats = [metrics.motion_beats(metrics.wrist_points(m), 25) for m in motions]
    for kind, least in (("onsets", 2), ("accents", 5)):
        heard = [metrics.audio_beats(s, kind) for s in sounds]
        assert metrics.beat_alignment(heard, beats, seconds).z > least, kind
    late = [metrics.motion_beats(metrics.wrist_points(rolled(m, 40)), 25) for m in motions]
    heard = [metrics.audio_beats(s, "accents") for s in sounds]
    assert metrics.beat_alignment(heard, late, seconds).z < 4


def test_lengths_give_nothing_away(puppets):
    """Clips of different lengths are compared over the shortest one's."""
    _, asked = puppets
    sounds, motions = split(asked[:4])
    cut = [m.frames(0, 60 + 20 * i) for i, m in enumerate(motions)]
    same = [m.frames(0, 60) for m in motions]
    assert np.allclose(metrics.accent_scores(sounds, cut), metrics.accent_scores(sounds, same))
    judge = metrics.AccentFilter.fit(sounds, motions)
    assert np.allclose(judge.scores(sounds, cut), judge.scores(sounds, same))
    with pytest.raises(EMO2Error, match="one frame rate"):
        metrics.accent_scores(sounds[:2], [motions[0], motions[1].replace(fps=30)])
    with pytest.raises(EMO2Error, match="25 fps"):
        judge.scores(sounds[:2], [m.replace(fps=30) for m in motions[:2]])
    with pytest.raises(EMO2Error, match="as many sounds as motions"):
        judge.scores(sounds, motions[:2])


def test_silence_hidden_hands_and_single_frames_are_no_trouble():
    motion = gestures(0, count=50)
    hidden = motion.replace(visible=np.zeros((50, 2), bool))
    assert np.isfinite(motion_curves(hidden)).all() and np.isfinite(motion_curves(motion.frames(0, 1))).all()
    assert (sound_curves(np.zeros(32000, np.float32), 25, 50) == 0).all()
    assert np.isfinite(sound_curves(np.zeros(0, np.float32), 25, 1)).all()
    silence = [np.zeros(32000, np.float32)] * 2
    assert np.isfinite(metrics.accent_scores(silence, [motion, hidden])).all()
    judge = metrics.AccentFilter.fit(silence, [motion, hidden])
    assert np.isfinite(judge.scores(silence, [motion, hidden])).all()


# style


def test_styles_of_puppets_are_told_apart(puppets):
    known, asked = puppets
    features = np.stack([metrics.motion_statistics(p.motion) for p in known])
    judge = metrics.StyleClassifier.fit(features, [p.style for p in known])
    right = judge.right(np.stack([metrics.motion_statistics(p.motion) for p in asked]), [p.style for p in asked])
    assert right.mean() > 0.8
    shuffled = np.random.default_rng(0).permutation([p.style for p in known])
    blind = metrics.StyleClassifier.fit(features, list(shuffled))
    assert blind.right(features[:0], []).size == 0
    guess = blind.right(np.stack([metrics.motion_statistics(p.motion) for p in asked]), [p.style for p in asked])
    assert guess.mean() < 0.7, "what was learned from wrong names must not be right"


def test_the_classifier_s_loss_is_the_logistic_one():
    """Two well separated clouds: all right; without features, the more frequent name."""
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(-2, 1, (30, 3)), rng.normal(2, 1, (50, 3))])
    names = ["calm"] * 30 + ["lively"] * 50
    judge = metrics.StyleClassifier.fit(features, names)
    assert judge.right(features, names).mean() > 0.98 and judge.styles == ("calm", "lively")
    empty = metrics.StyleClassifier.fit(np.zeros((80, 1)), names)
    assert set(empty.classify(np.zeros((5, 1)))) == {"lively"}
    logits = np.array([0.0, 1.0]) @ empty.weights
    assert np.isclose(np.exp(logits[1] - logits[0]), 50 / 30, rtol=1e-3), "the bias gives the shares of the names"
    for wrong in ((features, names[:-1]), (features, ["calm"] * 80), (features * np.nan, names)):
        with pytest.raises(EMO2Error, match="style classifier"):
            metrics.StyleClassifier.fit(*wrong)


def test_statistics_are_finite_for_anything():
    size = metrics.motion_statistics(gestures(0, count=200)).shape
    motion = gestures(1, count=50)
    first = motion.frames(0, 1)
    still = motion.replace(**{n: np.repeat(getattr(first, n), 50, 0) for n in ("translations", "rotations")})
    hidden = motion.replace(visible=np.zeros((50, 2), bool))
    for odd in (motion, still, hidden, first, motion.frames(0, 2)):
        features = metrics.motion_statistics(odd)
        assert features.shape == size and np.isfinite(features).all()


# speed


@settings(max_examples=20)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=20, unique=True))
def test_rank_correlation(values):
    values = np.round(values, 6)
    if len(set(values)) < 3:
        return
    assert np.isclose(metrics.spearman(values, np.exp(values)), 1)
    assert np.isclose(metrics.spearman(values, -(values**3)), -1)
    assert metrics.spearman(values, np.ones(len(values))) == 0
    stats = pytest.importorskip("scipy.stats")
    other = np.random.default_rng(0).integers(0, 3, len(values))
    if len(set(other)) > 1:
        assert np.isclose(metrics.spearman(values, other), stats.spearmanr(values, other).statistic)


def test_each_hand_obeys_its_own_wish():
    rng = np.random.default_rng(0)
    asked = np.stack([rng.permutation(20), rng.permutation(20)], axis=1) / 1000
    base = gestures(0, count=100)
    home = base.translations.mean(axis=0)
    move = lambda wish: base.replace(translations=home + (base.translations - home) * np.sqrt(wish)[None, :, None])
    measured = np.stack([amplitude(move(wish)) for wish in asked])
    result = metrics.speed_control(asked, measured)
    assert np.allclose(result.own, 1) and np.abs(result.crossed).max() < 0.6
    swapped = metrics.speed_control(asked, measured[:, ::-1])
    assert np.allclose(swapped.crossed, 1) and np.allclose(swapped.own, result.crossed)
    assert np.allclose(amplitude(change_speed(base, 1.0, 0.0))[1], 0, atol=1e-6)
    with pytest.raises(EMO2Error, match="speed control"):
        metrics.speed_control(asked[:2], measured[:2])
