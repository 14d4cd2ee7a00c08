"""What is said when: words with times, read from what speech recognisers and subtitle editors write.

JSON of Whisper, whisper-timestamped, WhisperX, whisper.cpp, Hugging Face and Gentle; SubRip and WebVTT; lines of a word
and its times, as plain text or Audacity's labels. Where only a stretch of words has times, they share it by length.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import EMO2Error
from .times import LONGEST_SECONDS, TIME, lines_of, seconds_of, visible_text

FORMATS = "JSON of Whisper, WhisperX or Gentle, SRT, VTT, or lines such as 'hello 0.40 0.85'"
MOST_WORDS = 200_000
_JSON = re.compile(r"[\[{]\s*[\"{\[\]}]")
_CUE = re.compile(rf"^\s*({TIME})\s*-->\s*({TIME})")
_INSIDE = re.compile(r"<(\d+:[\d:.,]+)>")
_TAG = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_AFTER = re.compile(rf"^(?P<word>.+?)[\s,;]+(?P<start>{TIME})[\s;]+(?P<end>{TIME})$")
_BEFORE = re.compile(rf"^(?P<start>{TIME})[\s;]+(?P<end>{TIME})[\s;]+(?P<word>.+)$")


@dataclass(frozen=True)
class Word:
    """A word, and when it is said, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """All words in the order of their times."""

    words: tuple[Word, ...]

    def find(self, phrase: str) -> list[tuple[float, float]]:
        """(start, end) in seconds of every place where the words of `phrase` are said one after the other.

        Case, accents' encoding, punctuation and blanks do not count, so that scripts without blanks between words work.
        """
        wanted = key(phrase)
        if not wanted:
            return []
        said, begins, ends = self._index
        found, at = [], said.find(wanted)
        while at >= 0:
            if at in begins and at + len(wanted) in ends:
                first, last = self.words[begins[at]], self.words[ends[at + len(wanted)]]
                found.append((first.start, max(last.end, first.start)))
            at = said.find(wanted, at + 1)
        return found

    @cached_property
    def _index(self) -> tuple[str, dict[int, int], dict[int, int]]:
        """All that is said without blanks; the word that begins, and the one that ends, at a place in it."""
        begins, ends, place = {}, {}, 0
        keys = [key(word.text) for word in self.words]
        for index, one in enumerate(keys):
            if one:
                begins[place], ends[place + len(one)] = index, index
                place += len(one)
        return "".join(keys), begins, ends

    def like(self, phrase: str) -> list[str]:
        """Up to three words that are said and look like the phrase's."""
        said = {key(word.text): word.text.strip('.,!?;:"“”«»…') for word in self.words}
        said.pop("", None)
        close: dict[str, None] = {}
        for part in phrase.split():
            for match in difflib.get_close_matches(key(part), list(said)[:5000], 2, 0.6):
                close[said[match]] = None
        return list(close)[:3]


def key(text: str) -> str:
    """A text as it is compared: compatibility forms, no case, only letters, marks, digits and symbols such as emoji."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in plain if unicodedata.category(c)[0] in "LMNS" and c not in "`´^\ufe0f")


def parse_transcript(text: str) -> Transcript:
    """The words of a transcript in any of the formats above; EMO2Error (input "transcript") says where one is wrong."""
    plain = text.lstrip("\ufeff").strip()
    if not plain:
        raise EMO2Error("transcript", FORMATS, "an empty text", "Paste a transcript, or leave the input alone.")
    if _JSON.match(plain):
        words = _read_json(plain)
    elif "-->" in plain:
        words = _cues(plain)
    else:
        words = _lines(plain)
    words = [word for word in words if word.text]
    if not words:
        raise _wrong("a text without any words", "Paste one that has words with their times.")
    if len(words) > MOST_WORDS:
        raise _wrong(f"{len(words)} words", f"Give at most {MOST_WORDS}.")
    return Transcript(tuple(sorted(words, key=lambda word: word.start)))


def _wrong(given: str, remedy: str) -> EMO2Error:
    return EMO2Error("transcript", f"words with times ({FORMATS})", given, remedy)


def _word(text: str, start: float, end: float) -> Word:
    return Word(visible_text(text), start, max(start, end))


def spread(text: str, start: float, end: float) -> list[Word]:
    """The words of `text` over the stretch start..end seconds, each with time in proportion to its letters and one."""
    parts = visible_text(text).split()
    shares = [len(part) + 1 for part in parts]
    total, at, words = sum(shares), start, []
    for part, share in zip(parts, shares):
        following = at + (end - start) * share / total
        words.append(Word(part, at, following))
        at = following
    return words


# Lines of words, and subtitles ---------------------------------------------------------------------------------------


def _lines(text: str) -> list[Word]:
    words: list[Word] = []
    for number, line in enumerate(lines_of(text), 1):
        line = visible_text(line)
        if not line or line.startswith("#"):
            continue
        match = _AFTER.match(line) or _BEFORE.match(line)
        if not match:
            raise _wrong(f"{line[:80]!r} in line {number}", "Write a word, its start and its end in seconds.")
        start, end = _times(match["start"], match["end"], number)
        words += spread(match["word"].strip(" \"'"), start, end)
    return words


def _times(start: str, end: str, number: int) -> tuple[float, float]:
    first, last = seconds_of(start), seconds_of(end)
    if first is None or last is None or last < first:
        raise _wrong(f"the times {start} and {end} in line {number}", "Correct them: the end comes after the start.")
    return first, last


def _cues(text: str) -> list[Word]:
    words: list[Word] = []
    lines = lines_of(text)
    number = 0
    while number < len(lines):
        match = _CUE.match(visible_text(lines[number]))
        number += 1
        if not match:
            if "-->" in lines[number - 1]:
                raise _wrong(f"{visible_text(lines[number - 1])[:80]!r} in line {number}", "Correct the cue's times.")
            continue
        start, end = _times(match[1], match[2], number)
        content = []
        while number < len(lines) and lines[number].strip() and "-->" not in lines[number]:
            content.append(lines[number])
            number += 1
        if number < len(lines) and "-->" in lines[number] and content and content[-1].strip().isdecimal():
            content.pop()  # the next cue's number, where no blank line stands between
        words += _cue_words(" ".join(content), start, end)
    return words


def _cue_words(text: str, start: float, end: float) -> list[Word]:
    """A cue's words; WebVTT may have moments between them, in angle brackets."""
    words: list[Word] = []
    at, pieces = start, _INSIDE.split(text)
    for piece, moment in zip(pieces[0::2], [*pieces[1::2], None]):
        until = end if moment is None or not re.fullmatch(TIME, moment) else seconds_of(moment)
        until = min(max(end if until is None else until, at), max(end, at))
        words += spread(_TAG.sub("", piece), at, until)
        at = until
    return words


# JSON ----------------------------------------------------------------------------------------------------------------


def _read_json(text: str) -> list[Word]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise _wrong(f"JSON that cannot be read{where} ({error})", "Paste the whole file.") from error
    words: list[Word] = []
    for segment in _segments(data):
        words += segment
    return words


def _segments(data: Any) -> Iterator[list[Word]]:
    """Stretches of words that belong together; within one, a word without times lies between its neighbours."""
    if isinstance(data, list):
        yield from _listed(data)
        return
    if not isinstance(data, Mapping):
        return
    for name in ("segments", "words", "word_segments", "chunks", "transcription"):
        entries = data.get(name)
        if isinstance(entries, list) and entries:
            yield from _listed(entries)
            return


def _listed(entries: Sequence[Any]) -> Iterator[list[Word]]:
    maps = [entry for entry in entries if isinstance(entry, Mapping)]
    plain = [entry for entry in maps if not isinstance(entry.get("words"), list)]
    if len(plain) == len(maps):
        yield _timed([(*_entry(entry),) for entry in maps])
        return
    for entry in maps:
        inner = [word for word in entry.get("words") or [] if isinstance(word, Mapping)]
        text, start, end = _entry(entry)
        if inner:
            yield _timed([(*_entry(word),) for word in inner], start, end)
        elif start is not None and end is not None:
            yield spread(text, start, end)


def _entry(entry: Mapping[str, Any]) -> tuple[str, float | None, float | None]:
    """(text, start, end) of a word or a segment, whatever the program calls them; None where it has no time."""
    text = next((entry[n] for n in ("word", "text", "value", "alignedWord") if isinstance(entry.get(n), str)), "")
    times: list[Any] = [entry.get("start"), entry.get("end")]
    if isinstance(entry.get("timestamp"), Sequence) and len(entry["timestamp"]) == 2:
        times = list(entry["timestamp"])
    if isinstance(entry.get("offsets"), Mapping):  # whisper.cpp counts milliseconds
        times = [_number(entry["offsets"].get(n)) for n in ("from", "to")]
        times = [None if value is None else value / 1000 for value in times]
    start, end = (_number(value) for value in times)
    if start is not None and end is not None and end < start:
        raise _wrong(f"{text[:40]!r} from {start:g} to {end:g} s", "Correct its times.")
    return text, start, end


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not (math.isfinite(value) and 0 <= value <= LONGEST_SECONDS):
        raise _wrong(f"the time {value}", "Give times in seconds from 0 to a day.")
    return float(value)


def _timed(
    entries: Sequence[tuple[str, float | None, float | None]], start: float | None = None, end: float | None = None
) -> list[Word]:
    """Words of entries; those without times share the gap between their neighbours (numbers in WhisperX, Gentle)."""
    words: list[Word] = []
    waiting: list[str] = []
    known = [t for _, *times in entries for t in times if t is not None]
    if not known and (start is None or end is None):
        return []
    at = start if start is not None else min(known)
    for text, first, last in entries:
        if first is None:
            waiting.append(text)
            continue
        words += spread(" ".join(waiting), at, max(first, at))
        waiting = []
        at = first if last is None else last
        words += spread(text, first, at)
    words += spread(" ".join(waiting), at, max(at, end if end is not None else at))
    return words
