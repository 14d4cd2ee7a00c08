"""Transcripts of every recogniser are read into the same words; broken ones are told by their line."""

import json

import pytest
from emo2.models.direction.transcript import Transcript, Word, key, parse_transcript, spread
from emo2.models.errors import EMO2Error
from hypothesis import given
from hypothesis import strategies as st

WORDS = [("Hello", 0.4, 0.8), ("world", 0.9, 1.4)]


def entry(**names):
    return [{names["text"]: f" {word}", names["start"]: a, names["end"]: b} for word, a, b in WORDS]


usual = entry(text="word", start="start", end="end")
JSON = {
    "whisper": {"text": " Hello world", "segments": [{"id": 0, "start": 0.4, "end": 1.4, "text": "x", "words": usual}]},
    "whisper-timestamped": {"segments": [{"start": 0.4, "end": 1.4, "text": "Hello world",
                                          "words": entry(text="text", start="start", end="end")}]},
    "WhisperX": {"segments": [{"start": 0.4, "end": 1.4, "text": "x", "words": usual}], "word_segments": usual},
    "word segments alone": {"word_segments": usual},
    "Gentle": {"transcript": "Hello world", "words": [{**word, "case": "success"} for word in usual]},
    "a list": usual,
    "a list of values": entry(text="value", start="start", end="end"),
    "Hugging Face": {"text": "x", "chunks": [{"text": w, "timestamp": [a, b]} for w, a, b in WORDS]},
    "whisper.cpp": {"transcription": [{"text": w, "offsets": {"from": a * 1000, "to": b * 1000}} for w, a, b in WORDS]},
}  # fmt: skip


@pytest.mark.parametrize("name", JSON)
def test_json_of_recognisers(name):
    words = parse_transcript("\ufeff" + json.dumps(JSON[name])).words
    assert [word.text for word in words] == ["Hello", "world"]
    assert [(word.start, word.end) for word in words] == [pytest.approx(w[1:]) for w in WORDS]


TEXTS = {
    "lines": "Hello 0.4 0.8\nworld 0,9 1,4",
    "Audacity": "0.400000\t0.800000\tHello\n0.9\t1.4\tworld\n",
    "remarks and blanks": "# said\r\n\r\nHello, 0:00.4; 0:00.8\rworld 0:00.9 0:01.4",
    "SRT": "1\r\n00:00:00,400 --> 00:00:00,800\r\n<i>Hello</i>\r\n\r\n2\r\n00:00:00,900 --> 00:00:01,400\r\nworld\r\n",
    "SRT without blanks": "1\n00:00:00,400 --> 00:00:00,800\nHello\n2\n00:00:00,900 --> 00:00:01,400\nworld",
    "VTT": "WEBVTT\n\nNOTE hi\n\n00:00.400 --> 00:00.800 align:start\nHello\n\n00:00.900 --> 00:01.400\n<b>world</b>",
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name):
    words = parse_transcript(TEXTS[name]).words
    assert [word.text.strip(",") for word in words] == ["Hello", "world"]
    assert [(word.start, word.end) for word in words] == [pytest.approx(w[1:]) for w in WORDS]


def test_words_without_times_share_what_their_neighbours_leave():
    data = {"segments": [{"start": 0, "end": 4, "words": [
        {"word": "7"}, {"word": "days", "start": 1, "end": 2}, {"word": "30"}, {"word": "40"},
    ]}]}  # fmt: skip
    words = parse_transcript(json.dumps(data)).words
    assert [(w.text, w.start, w.end) for w in words] == [("7", 0, 1), ("days", 1, 2), ("30", 2, 3), ("40", 3, 4)]
    missed = {"words": [{"word": "a", "case": "not-found-in-audio"}, {"word": "b", "start": 1, "end": 2}]}
    assert [w.text for w in parse_transcript(json.dumps(missed)).words] == ["a", "b"]


def test_a_cue_spreads_its_words_by_length_and_obeys_times_inside():
    words = parse_transcript("00:01.000 --> 00:03.000\nI\nlaugh").words
    assert [(w.text, w.start, w.end) for w in words] == [("I", 1, 1.5), ("laugh", 1.5, 3)]
    words = parse_transcript("WEBVTT\n\n00:01.000 --> 00:03.000\nI <00:02.000><c>laugh</c>").words
    assert [(w.text, w.start, w.end) for w in words] == [("I", 1, 2), ("laugh", 2, 3)]
    assert spread("", 1, 2) == []


def test_finding_forgives_case_points_and_encoding():
    said = Transcript((Word("Cafe\u0301,", 0, 1), Word("DON’T", 1, 2), Word("--", 2, 2), Word("ﬁne!", 3, 4)))
    assert said.find("café") == [(0, 1)] and said.find("don't  fine") == [(1, 4)] and said.find("...") == []
    assert said.find("on't") == [] and said.like("donn") == ["DON’T"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"), ("{}", "without any words"), ('{"segments": [', "cannot be read in line 1"), ("hello", "line 1"),
        ("a 0 1\nhello 2", "'hello 2' in line 2"), ("a 2 1", "times 2 and 1 in line 1"), ("a 0 0:61", "0:61 in line 1"),
        ("x --> y\nhello", "in line 1"),
        ("00:02.000 --> 00:01.000\nhi", "line 1"), ('[{"word": "a"}]', "without any words"),
        ('[{"word": "a", "start": -1, "end": 2}]', "-1"), ('[{"word": "a", "start": 3, "end": 2}]', "'a' from 3 to 2"),
        ('{"text": "hello"}', "without any words"), ('[{"word": "a", "start": NaN, "end": 2}]', "nan"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(text, told):
    with pytest.raises(EMO2Error, match=told) as error:
        parse_transcript(text)
    assert error.value.input == "transcript"


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
names = st.sampled_from(["segments", "words", "word", "text", "start", "end", "timestamp", "offsets", "from", "chunks"])
trees = st.recursive(leaves, lambda t: st.lists(t, max_size=4) | st.dictionaries(names, t, max_size=5), max_leaves=20)


@given(st.text() | st.text('0123456789:.,-> \nab[]{}"') | trees.map(json.dumps))
def test_any_text_is_a_transcript_or_an_error(text):
    try:
        words = parse_transcript(text).words
    except EMO2Error as error:
        assert error.input == "transcript"
        return
    assert all(0 <= word.start <= word.end and word.text for word in words)
    assert [word.start for word in words] == sorted(word.start for word in words)
    if key(words[0].text):
        assert parse_transcript(text).find(words[0].text)
