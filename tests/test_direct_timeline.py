"""The timeline shows what the script says, at every width and length, in every writing."""

import numpy as np
import pytest
from emo2.models.direction.lettering import ELLIPSIS, length, shortened
from emo2.models.direction.script import parse_script
from emo2.models.direction.timeline import BARS, PER_SECOND, accents, timeline_picture
from emo2.models.direction.transcript import Transcript, Word
from emo2.models.errors import EMO2Error
from hypothesis import given, settings
from hypothesis import strategies as st


def voice(seconds=4.0):
    """Two syllables a second, their pitch moving."""
    time = np.arange(int(16000 * seconds)) / 16000
    return (
        np.sin(2 * np.pi * 150 * time + 12 * np.sin(4 * np.pi * time))
        * np.maximum(np.sin(2 * np.pi * 2 * time), 0) ** 4
        * 0.4
    ).astype(np.float32)


def columns(picture, colour, rows=slice(None)):
    """The columns in which a colour stands."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return np.flatnonzero((np.abs(picture[rows].astype(int) - wanted).max(-1) <= 3).any(0))


def test_bars_stand_at_their_times_and_are_as_high_as_they_are_strong():
    script = parse_script("2-4 wave [strength 0.5]\n6-8 nod", duration=10)
    picture = timeline_picture(script, 1000)
    left, scale = 1.2 * 12, (1000 - 2.4 * 12) / 10
    for colour, start, end in ((BARS[0], 2, 4), (BARS[1], 6, 8)):
        found = columns(picture, colour)
        assert found.min() == pytest.approx(left + start * scale, abs=4) and found.max() == pytest.approx(
            left + end * scale, abs=4
        )
    bar = lambda t, c: len(
        columns(picture[:, int(left + t * scale) - 2 : int(left + t * scale) + 3].transpose(1, 0, 2), c)
    )
    assert bar(3.2, BARS[0]) == pytest.approx(bar(7.2, BARS[1]) / 2, rel=0.35)


def test_slopes_are_the_blends():
    steep, gentle = (timeline_picture(parse_script(f"2-4 wave [blend {b}]", duration=10), 1000) for b in (0, 1))
    count = lambda p: len(columns(p, BARS[0], slice(p.shape[0] - 55, p.shape[0] - 45)))
    assert count(steep) > 1.3 * count(gentle) > 0


def test_the_voice_the_words_and_the_accents_take_rows_of_their_own():
    words = Transcript((Word("hello", 0.1, 0.4), Word("world", 1.0, 1.4)))
    bare = parse_script("0-1 wave", duration=4)
    told = parse_script("0-1 wave", duration=4, transcript=words)
    heights = [timeline_picture(*args).shape[0] for args in ((bare, 800), (told, 800), (told, 800, voice()))]
    assert heights[0] < heights[1] < heights[2]
    assert len(columns(timeline_picture(bare, 800, voice()), "#ffc65c")) > 10


def test_a_long_piece_is_laid_out_in_rows():
    short, long = (timeline_picture(parse_script("1-3 wave", duration=s), 640) for s in (8, 80))
    assert long.shape[0] > 4 * short.shape[0] and long.shape[1] == 640
    hour = timeline_picture(parse_script("1-3 wave", duration=3600), 640)
    assert hour.shape[0] <= 24 * long.shape[0] / (80 * PER_SECOND / 640)


def test_peaks_are_accents_once():
    stress = np.zeros(200)
    stress[[20, 24, 100, 150]] = [0.9, 0.8, 0.6, 0.4]
    assert accents(stress) == [(0.41, 0.9), (2.01, 0.6)] and accents(np.zeros(0)) == accents(np.zeros(1)) == []


@pytest.mark.parametrize("width", [319, 8193])
def test_impossible_widths(width):
    with pytest.raises(EMO2Error, match="320 to 8192"):
        timeline_picture(parse_script("1-3 wave"), width)


lines = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


@settings(max_examples=15)
@given(st.lists(lines, min_size=1, max_size=4), st.integers(320, 700))
def test_any_text_at_any_width_can_be_drawn(texts, width):
    try:
        script = parse_script("\n".join(f"{i}-{i + 1} {text}" for i, text in enumerate(texts)))
    except EMO2Error:
        return
    picture = timeline_picture(script, width)
    assert picture.shape[1:] == (width, 3) and picture.dtype == np.uint8


@given(st.text(max_size=60), st.floats(0, 400))
def test_a_shortened_text_fits(text, width):
    cut = shortened(text, 14, width)
    assert cut == text or (length(cut, 14) <= width + 1e-6 and (cut == "" or cut.endswith(ELLIPSIS)))
    assert text.startswith(cut.removesuffix(ELLIPSIS)) or cut == text


def test_marks_and_joined_emoji_are_not_torn():
    for text in ("ae\u0301" * 20, "👩\u200d🏫" * 20, "👋🏽" * 20):
        for width in range(10, 200, 7):
            kept = shortened(text, 14, width).removesuffix(ELLIPSIS)
            rest = text[len(kept) :]
            assert not rest or not (rest[0] in "\u0301\u200d🏽" or kept.endswith("\u200d"))
