"""The director's script: everything that it may say, every mistake by its line, and no text that breaks the parser."""

import numpy as np
import pytest
from emo2.models.direction.directions import DEFAULT_TEXT, Directions
from emo2.models.direction.script import LONGEST_TEXT, Beat, Script, format_script, parse_script
from emo2.models.direction.times import clock, seconds_of
from emo2.models.direction.transcript import Transcript, Word
from emo2.models.errors import EMO2Error
from hypothesis import given, settings
from hypothesis import strategies as st

SAID = Transcript(
    tuple(
        Word(*word)
        for word in [
            ("Hello,", 0.4, 0.8),
            ("dear", 0.9, 1.1),
            ("world.", 1.2, 1.6),
            ("Don’t", 2.0, 2.3),
            ("say", 2.4, 2.6),
            ("hello!", 3.0, 3.4),
            ("¡Adiós!", 4.0, 4.5),
            ("你", 5.0, 5.2),
            ("好", 5.2, 5.5),
            ("שלום", 6.0, 6.5),
            ("👋", 7.0, 7.4),
        ]
    )
)


def one(text, **more):
    (beat,) = parse_script(text, **more).lines
    return beat


@pytest.mark.parametrize(
    ("line", "start", "end", "text"),
    [
        ("0:03-0:05 wave with the right hand", 3, 5, "wave with the right hand"),
        ("3.2-5 point at the camera", 3.2, 5, "point at the camera"),
        ("3,25 – 5,5: point", 3.25, 5.5, "point"),
        ("0:03 nod", 3, 5, "nod"),
        ("0:03 +1.5 clap", 3, 4.5, "clap"),
        ("0:03+1,5s clap", 3, 4.5, "clap"),
        ("1:02:03.250-1:02:04 bow", 3723.25, 3724, "bow"),
        ("0:03 to 0:05 wave to the left", 3, 5, "wave to the left"),
        ("0:03 to the left", 3, 5, "to the left"),
        ("0:03 - 0:05 - nod", 3, 5, "nod"),
        ("at 0:03 nod", 3, 5, "nod"),
        ("from 3 to 5 nod", 3, 5, "nod"),
        ("0:03—0:05\tnod   twice", 3, 5, "nod twice"),
        ("0:03−0:05 nod", 3, 5, "nod"),
        ("0:03 → 0:05 nod", 3, 5, "nod"),
        ("٠:٠٣-٠:٠٥ nod", 3, 5, "nod"),
        ("3s nod", 3, 5, "nod"),
        ("3 s", 3, 5, "s"),
        ("3 5 claps", 3, 5, "5 claps"),
        ("3 nod # not now", 3, 5, "nod"),
        ("3 nod [both hands] slowly", 3, 5, "nod [both hands] slowly"),
        ("\u202b3-5 \u200fנופף לשלום\u202c", 3, 5, "נופף לשלום"),
        ("3-5 👩‍🏫 winkt 👋🏽", 3, 5, "👩‍🏫 winkt 👋🏽"),
    ],
)
def test_a_line(line, start, end, text):
    beat = one(line)
    assert (beat.start, beat.end, beat.text) == (pytest.approx(start), pytest.approx(end), text)
    assert beat.strength == 1 and beat.line == 1


@pytest.mark.parametrize(
    ("line", "start", "end"),
    [
        ('on "hello" nod', 0.4, 2.4),
        ('on "hello" #2 nod', 3.0, 5.0),
        ('on "HELLO!"#2 nod', 3.0, 5.0),
        ("on ‘don't’ nod", 2.0, 4.0),
        ("on 'don’t' nod", 2.0, 4.0),
        ("on „adiós“ nod", 4.0, 6.0),
        ('from "hello" to "world" nod', 0.4, 1.6),
        ('from "dear world" to "hello" nod', 0.9, 3.4),
        ('on "hello" #2 +0.5 nod', 3.0, 3.5),
        ("on 「你好」 nod", 5.0, 7.0),
        ('on "שלום" nod', 6.0, 8.0),
        ("on «👋» nod", 7.0, 9.0),
        ('"hello dear world" nod', 0.4, 2.4),
        ('from 0:00.2 to "world" nod', 0.2, 1.6),
        ('on "hello dear world don\'t say hello" nod', 0.4, 3.4),
        ("on A\u030aDIOS nod", None, None),
    ],
)
def test_a_line_on_words(line, start, end):
    if start is None:
        with pytest.raises(EMO2Error, match="a time first"):
            one(line, transcript=SAID)
        return
    beat = one(line, transcript=SAID)
    assert (beat.start, beat.end, beat.text) == (pytest.approx(start), pytest.approx(end), "nod")


@pytest.mark.parametrize(
    ("options", "strength", "into", "out"),
    [
        ("", 1, 0.3, 0.3),
        ("[strength 0.7, in 0.2, out 0.5]", 0.7, 0.2, 0.5),
        ("[Strength=0,7; blend: 0,4]", 0.7, 0.4, 0.4),
        ("[strength 70%]", 0.7, 0.3, 0.3),
        ("[blend 0.5s, in 0]", 1, 0, 0.5),
        ("[in 1.9]", 1, 1.9, 0.1),
        ("[]", 1, 0.3, 0.3),
    ],
)
def test_options(options, strength, into, out):
    beat = one(f"3-5 wave {options} # remark")
    assert beat.text == "wave"
    assert (beat.strength, beat.blend_in, beat.blend_out) == pytest.approx((strength, into, out))


def test_short_lines_blend_shortly():
    beat = one("3 +0.3 clap")
    assert beat.blend_in == beat.blend_out == pytest.approx(0.1)


def test_an_open_line_ends_where_the_next_begins_and_lines_may_stand_in_any_order():
    script = parse_script("\ufeff# the piece\r\n\r\n0:04 nod\r0:03 wave\n  # more\n0:05-0:06 clap", duration=60)
    assert [(b.start, b.end, b.text, b.line) for b in script.lines] == [
        (3, 4, "wave", 4),
        (4, 5, "nod", 3),
        (5, 6, "clap", 6),
    ]
    assert script.seconds == 60 and parse_script("0:04 nod").seconds == 6


def test_the_sound_cuts_an_open_line_and_a_little_rounding():
    assert one("9 nod", duration=10).end == 10 and one("9-10.04 nod", duration=10).end == 10


def test_two_hundred_lines():
    script = parse_script("\n".join(f"{3 * i}-{3 * i + 2} wave {i} times" for i in range(200)), duration=600)
    assert len(script.lines) == 200 and script.lines[199].text == "wave 199 times" and script.lines[199].line == 200


@pytest.mark.parametrize(
    ("text", "where", "told"),
    [
        ("", "script", "empty text"),
        (" \n\t\ufeff", "script", "empty text"),
        ("# a\n#b", "script", "nothing but remarks"),
        ("1 a\nwave", "line 2 'wave'", "a time first"),
        ("-3 nod", "line 1", "a time first"),
        ("3rd nod", "line 1", "time"),
        ("0:05-0:03 nod", "line 1 '0:05-0:03 nod'", "after the start at 0:05.*0:03"),
        ("3-3 nod", "line 1", "after the start"),
        ("0:61 nod", "line 1", "below 60.*0:61"),
        ("1:60:00 nod", "line 1", "below 60"),
        ("999999999 nod", "line 1", "24 h"),
        ("0:03-0:05", "line 1", "an action"),
        ("0:03 # nod", "line 1", "an action"),
        ("3 [in 1]", "line 1", "an action"),
        (
            "0:03-0:06 a\n0:05-0:07 b",
            "lines 1 and 2",
            "0:03-0:06 a' until 0:06 and '0:05-0:07 b' from 0:05.*End line 1",
        ),
        ("0:05-0:07 b\n\n0:03-0:06 a", "lines 1 and 3", "End line 3"),
        ("3 a\n3 b", "lines 1 and 2", "Begin line 2 later"),
        ("3-5 a\n3-5 b", "lines 1 and 2", "follow"),
        ("3 a\n3.05 b", "lines 1 and 2", "follow"),
        ("40 nod", "line 1", "before the sound's end at 0:30.*0:40"),
        ("29-31 nod", "line 1", "within the sound.*0:31"),
        ("29.95 nod", "line 1", "at least 0.1 s"),
        ("3-3.05 nod", "line 1", "at least 0.1 s"),
        ("3 nod [strong]", "line 1", "options such as.*strong"),
        ("3 nod [strength 3]", "line 1", "from 0 to 2"),
        ("3 nod [in 1.5, out 1]", "line 1", "blends that fit into the line's 2 s.*2.5 s"),
        ("3 nod [in 50%]", "line 1", "in from 0"),
        ("3 nod [strength 1s]", "line 1", "strength from 0"),
        ("3 nod [in 1", "line 1", r"closing \]"),
        ("3 " + "x" * 301, "line 1", "at most 300"),
        ("1. 0:03 nod", "line 1", "dash"),
        ("0:03 0:05 nod", "line 1", "dash"),
        ('on "goodby world" nod', "line 1", "goodby world.*Did you mean 'world'"),
        ('on "xyz" nod', "line 1", "Look the word up"),
        ('on "hello" #3 nod', "line 1", "1 to 2.*#3.*said 2 times.*0:00.4"),
        ('on "world" #0 nod', "line 1", "said once"),
        ('on "hello nod', "line 1", "closing quote"),
        ('from "world" to "hello" #1 nod', "line 1", "after the start"),
        ('on "..." nod', "line 1", "transcript has"),
    ],
)
def test_every_mistake_says_its_line(text, where, told):
    with pytest.raises(EMO2Error, match=f"(?s){told}") as error:
        parse_script(text, transcript=SAID, duration=30)
    assert where in error.value.input


def test_a_word_without_a_transcript():
    with pytest.raises(EMO2Error, match=r"line 1 .*a transcript, to know when 'hello' is said.*Connect"):
        parse_script('on "hello" nod')


def test_the_input_is_named_as_the_caller_calls_it():
    with pytest.raises(EMO2Error) as error:
        parse_script("nod", where="emotion")
    assert error.value.input.startswith("emotion, line 1")


@settings(max_examples=150)
@given(st.text() | st.text("0123456789:.,-+ \n\"'#[]onfrmtasgh“”\u200f"), st.booleans())
def test_any_text_is_a_script_or_an_error_with_a_line(text, transcript):
    try:
        script = parse_script(text, transcript=SAID if transcript else None, duration=100)
    except EMO2Error as error:
        assert "line" in str(error) or "remarks" in str(error) or "empty" in str(error)
        return
    ends = 0.0
    for beat in script.lines:
        assert ends <= beat.start + 1e-6 and beat.start < beat.end <= 100 and 0 < len(beat.text) <= LONGEST_TEXT
        assert beat.blend_in + beat.blend_out <= beat.duration + 1e-6 and beat.text == " ".join(beat.text.split())
        ends = beat.end
    again = parse_script(format_script(script))
    assert [beat.text for beat in again.lines] == [beat.text for beat in script.lines]


words = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Cf")), min_size=1, max_size=30)
milliseconds = st.integers(100, 200_000).map(lambda n: n / 1000)


@given(st.lists(st.tuples(milliseconds, milliseconds, words, st.integers(0, 200)), min_size=1, max_size=8))
def test_what_is_written_out_is_read_back(rows):
    beats, at = [], 0.0
    for gap, length, text, strength in rows:
        start = round(at + gap, 3)
        at = round(start + length, 3)
        try:  # as the parser itself leaves a text
            text = one(f"0-1 {text} [in 0]").text
        except EMO2Error:
            text = "nod"
        blend = round(length / 4, 3)
        beats.append(Beat(start, at, text, strength / 100, blend, min(blend, 0.1), len(beats) + 1))
    again = parse_script(format_script(Script(tuple(beats)))).lines
    assert [b.text for b in again] == [b.text for b in beats]
    for name in ("start", "end", "strength", "blend_in", "blend_out", "line"):
        assert np.allclose([getattr(b, name) for b in again], [getattr(b, name) for b in beats], atol=6e-4), name


@given(st.integers(0, 86_400_000))
def test_a_clock_is_read_back(milliseconds):
    assert seconds_of(clock(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


def test_presence_eases_at_both_edges_but_not_where_everything_begins_and_ends():
    beat = Beat(1, 3, "nod", 1, 0.5, 1.0)
    assert beat.presence([0.9, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0]) == pytest.approx([0, 0, 0.5, 1, 1, 0.5, 0])
    whole = Beat(0, 3, "nod", 1, 0.5, 0.5)
    assert whole.presence([0, 2.99], 3.0) == pytest.approx([1, 1])


def test_directions_at_tokens():
    script = parse_script(
        "1-2 wave [blend 0]\n2-3 nod [strength 0.5, blend 0]\n4-4.15 wave [blend 0]\n5-5.1 clap", duration=8
    )
    rate = 6.25
    told = Directions.at_tokens(script, 50, rate)
    assert told.texts == (DEFAULT_TEXT, "wave", "nod", "clap")
    middles = (np.arange(50) + 0.5) / rate
    says = np.array(told.texts)[told.rows]
    assert (says[(middles > 1) & (middles < 2)] == "wave").all() and (
        says[(middles > 2) & (middles < 3)] == "nod"
    ).all()
    assert (says[middles > 5.3] == DEFAULT_TEXT).all() and says[25] == "wave" and says[31] == "clap"
    assert (told.strength[told.rows == 2] == 0.5).all() and (told.strength[told.rows == 0] == 1).all()
    # Every beat has a token, whatever its place and the rate.
    assert set(Directions.at_tokens(script, 16, 2.0).rows) == {0, 1, 2, 3}


def test_directions_without_a_script_follow_the_default():
    told = Directions.at_tokens(None, 4)
    assert told.texts == (DEFAULT_TEXT,) and not told.rows.any() and (told.strength == 1).all()


def test_strength_eases_with_the_beat():
    told = Directions.at_tokens(parse_script("0:02-0:06 wave [blend 1]", duration=10), 63)
    inside = told.strength[told.rows == 1]
    assert inside[0] < 0.1 and inside[-1] < 0.1 and inside.max() == 1
    assert (np.diff(inside[: len(inside) // 2]) >= 0).all()
