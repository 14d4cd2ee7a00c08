"""The director's script: plain text, one line a beat, that says what is done when.

    0:03-0:05 wave with the right hand        from a time to a time
    0:08 nod                                  until the next line, at most two seconds
    0:12 +1.5 clap [strength 0.7, in 0.2]     so many seconds; options stand in brackets at the end
    on "hello" #2 point at the camera         where the word is said (the second time), with a transcript
    from "hello" to "world" open both arms    over these words
    # a remark

Each line begins with when. Every mistake is an EMO2Error that names its line.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import numpy as np

from ..easing import ease
from ..errors import EMO2Error
from .times import DASH, LONGEST_SECONDS, TIME, clock, lines_of, seconds_of, visible_text
from .transcript import Transcript

OPEN_SECONDS = 2.0
"""How long a line without an end lasts, if the next one does not begin sooner."""
BLEND_SECONDS = 0.3
"""How long a beat takes to come in and to go out where the line does not say; at most a third of the beat each."""
SHORTEST = 0.1
"""Seconds; less is no action that could be seen."""
STRONGEST = 2.0
LONGEST_TEXT, MOST_LINES = 300, 2000
SLACK = 0.05
"""Seconds by which a line may outlast the sound: the rounding of whoever read its length off a player."""
NO_TRANSCRIPT = "a transcript"
"""Beginning of what is expected where a line stands on a word and no transcript is given."""
EXAMPLE = "such as '0:03-0:05 wave with the right hand'"

_WHEN = re.compile(r"(?:on|at|from)(?=[\s\"'“”„«»‘‚‹「『\d])", re.IGNORECASE)
_TIME = re.compile(TIME)
_PHRASE = re.compile(
    r"(?:[\"“”„«»「『](?P<a>.+?)[\"“”«»」』]|['‘‚‹](?P<b>.+?)['‘’›](?!\w))(?:\s*#\s*(?P<n>\d{1,6})(?!\w))?"
)
_TO = re.compile(rf"\s*(?:{DASH}+|\.\.+|(?<=[\s\"'”“«»」』‘’›])(?:to|until)(?=[\s\"'“”„«»‘‚‹「『]))\s*", re.IGNORECASE)
_PLUS = re.compile(rf"\s*\+\s*({TIME})")
_LEAD = re.compile(rf"(?:[\s:;,]|{DASH})*")
_OPTIONS = re.compile(r"\[([^\[\]]*)\]$")
_SPLIT = re.compile(r";|,(?!\d)|(?<!\d),")
_OPTION = re.compile(
    r"(?P<name>strength|in|out|blend)\s*[ :=]\s*(?P<value>\d+(?:[.,]\d+)?)(?P<unit>%|s)?", re.IGNORECASE
)
_SECOND_TIME = re.compile(r"[.)]?\s*\d+:\d\d")
"""What a numbered list or two times without a dash look like after the first number."""


@dataclass(frozen=True)
class Beat:
    """One line: from `start` to `end` seconds, `text` is done, as strongly as `strength` says (0..2, 1 as usual).

    It comes in over `blend_in` seconds after its start and goes out over `blend_out` before its end. line: its number.
    """

    start: float
    end: float
    text: str
    strength: float = 1.0
    blend_in: float = BLEND_SECONDS
    blend_out: float = BLEND_SECONDS
    line: int = 0

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start

    def presence(self, times: np.ndarray, whole: float | None = None) -> np.ndarray:
        """How far the beat is there at `times` (n,) seconds: 0 outside, 1 inside, eased at its edges, (n,).

        An edge at the beginning of everything, or at its end `whole` (s), needs no easing: there is nothing to come
        from.
        """
        times = np.asarray(times, np.float64)
        inside = ((times >= self.start) & (times < self.end)).astype(np.float64)
        if self.blend_in > 0 and self.start > 0:
            inside *= ease((times - self.start) / self.blend_in)
        if self.blend_out > 0 and (whole is None or self.end < whole - 1e-6):
            inside *= ease((self.end - times) / self.blend_out)
        return inside


@dataclass(frozen=True)
class Script:
    """A script whose lines follow one another in time (wire EMO2_SCRIPT). duration: the sound's, s, or None."""

    lines: tuple[Beat, ...]
    duration: float | None = None
    transcript: Transcript | None = None

    @property
    def seconds(self) -> float:
        """The sound's length, or where the last line ends."""
        return self.lines[-1].end if self.duration is None else self.duration


@dataclass(frozen=True)
class _Said:
    """A line as it was written. end: None where it is open. least: the end of the words that it stands on, or 0."""

    number: int
    source: str
    start: float
    end: float | None
    text: str
    options: dict[str, float]
    least: float = 0.0


def parse_script(
    text: str, *, transcript: Transcript | None = None, duration: float | None = None, where: str = "script"
) -> Script:
    """The script that `text` says, its beats in the order of time.

    transcript: the words of the voice, for lines that begin with on "..." and from "...". duration: seconds of the
    sound, which no line may outlast. where: the input's name in errors.
    """
    said = []
    for number, raw in enumerate(lines_of(text), 1):
        line = visible_text(raw)
        if line and not line.startswith("#"):
            said.append(_Line(line, number, where, transcript).read())
            if len(said) > MOST_LINES:
                raise EMO2Error(where, f"at most {MOST_LINES} lines", f"more, from line {number} on", "Split it.")
    if not said:
        given = "an empty text" if not visible_text(text) else "nothing but remarks"
        raise EMO2Error(where, f"a line for each action, {EXAMPLE}", given, "Write at least one line.")
    said.sort(key=lambda one: (one.start, one.number))
    beats = []
    for one, after in itertools.zip_longest(said, said[1:]):
        beat = _beat(one, float("inf") if after is None else after.start, duration, where)
        least = beat.end if one.end is not None else one.start + SHORTEST
        if after is not None and after.start < least - 1e-9:
            raise _overlapping(one, after, max(beat.end, one.start), where)
        beats.append(beat)
    return Script(tuple(beats), duration, transcript)


def format_script(script: Script) -> str:
    """The script as text, one line a beat with all that it says; `parse_script` reads it back."""
    return "\n".join(
        f"{clock(beat.start)}-{clock(beat.end)} {beat.text} "
        f"[strength {_short(beat.strength)}, in {_short(beat.blend_in)}, out {_short(beat.blend_out)}]"
        for beat in script.lines
    )


def _overlapping(first: _Said, second: _Said, end: float, where: str) -> EMO2Error:
    low, high = sorted((first.number, second.number))
    given = f"{_quoted(first.source)} until {clock(end)} and {_quoted(second.source)} from {clock(second.start)}"
    remedy = f"Begin line {second.number} later."
    if second.start > first.start:
        remedy = f"End line {first.number} at {clock(second.start)} or earlier, or begin line {second.number} later."
    return EMO2Error(f"{where}, lines {low} and {high}", "lines that follow one another", given, remedy)


def _short(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _quoted(line: str) -> str:
    return f"'{line[:80]}{'...' if len(line) > 80 else ''}'"


def _beat(said: _Said, following: float, duration: float | None, where: str) -> Beat:
    """The line with an end and blends, held against the sound's length."""
    fail = lambda expected, given, remedy: _wrong(where, said.number, said.source, expected, given, remedy)
    end = said.end
    if duration is not None:
        if said.start >= duration - 1e-9:
            raise fail(f"a time before the sound's end at {clock(duration)}", clock(said.start), "Begin it earlier.")
        if end is not None and end > duration + SLACK:
            raise fail(f"an end within the sound, which lasts {clock(duration)}", clock(end), "End it earlier.")
    if end is None:
        end = min(max(said.start + OPEN_SECONDS, said.least), following)
    if duration is not None:
        end = min(end, duration)
    length = end - said.start
    if said.end is not None and said.end <= said.start:
        raise fail(f"an end after the start at {clock(said.start)}", clock(said.end), "Swap them, or correct one.")
    if length < SHORTEST - 1e-9 and (said.end is not None or end == duration):
        raise fail(f"at least {SHORTEST:g} s for an action", f"{length:.3g} s", "Give it more time.")
    given = {name: said.options.get(name, said.options.get("blend")) for name in ("in", "out")}
    asked = sum(value or 0 for value in given.values())
    if asked > max(length, SHORTEST) + 1e-9:
        raise fail(f"blends that fit into the line's {length:.3g} s", f"{asked:g} s in all", "Shorten them.")
    usual = min(BLEND_SECONDS, length / 3, max(length - asked, 0))
    blends = {name: usual if value is None else value for name, value in given.items()}
    return Beat(said.start, end, said.text, said.options.get("strength", 1.0), blends["in"], blends["out"], said.number)


def _wrong(where: str, number: int, source: str, expected: str, given: str, remedy: str) -> EMO2Error:
    return EMO2Error(f"{where}, line {number} {_quoted(source)}", expected, given, remedy)


class _Line:
    """Reads one line from left to right."""

    def __init__(self, line: str, number: int, where: str, transcript: Transcript | None):
        self.line, self.number, self.where, self.transcript = line, number, where, transcript
        self.at = 0

    def fail(self, expected: str, given: str, remedy: str) -> EMO2Error:
        return _wrong(self.where, self.number, self.line, expected, given, remedy)

    def read(self) -> _Said:
        start, end, least = self._when()
        self.at = self._match(_LEAD).end()
        rest = re.sub(r"(?:^|\s)#.*$", "", self.line[self.at :]).strip()
        options: dict[str, float] = {}
        found = _OPTIONS.search(rest)
        if found:
            options, rest = self._options(found[1]), rest[: found.start()].strip()
        elif "[" in rest and "]" not in rest[rest.rindex("[") :]:
            raise self.fail("a closing ] after the options", "none", "Close the bracket.")
        if _SECOND_TIME.match(rest):
            given = _quoted(self.line[:40])
            raise self.fail("one time, or two with a dash between them", given, f"Write it like {EXAMPLE[8:]}.")
        if not rest:
            raise self.fail("an action after the time", "none", "Say what is done, such as 'wave'.")
        if len(rest) > LONGEST_TEXT:
            raise self.fail(f"an action of at most {LONGEST_TEXT} characters", f"{len(rest)}", "Say it shorter.")
        return _Said(self.number, self.line, start, end, rest, options, least)

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """A match of a pattern that also matches nothing."""
        match = pattern.match(self.line, self.at)
        assert match is not None
        return match

    def _when(self) -> tuple[float, float | None, float]:
        """(start, end or None, end of the words stood on); leaves `at` behind it."""
        word = _WHEN.match(self.line)
        if word:
            self.at = word.end() + self.line[word.end() :].startswith(" ")
        first = self._anchor(None)
        if first is None:
            raise self.fail(
                f"a time first, {EXAMPLE}, or a word that is said, such as 'on \"hello\" nod'",
                _quoted(self.line[:20]), "Begin the line with when it happens.",
            )  # fmt: skip
        start, least = first
        plus = _PLUS.match(self.line, self.at)
        if plus:
            self.at = plus.end()
            return start, start + self._seconds(plus[1]), least
        to = _TO.match(self.line, self.at)
        if to:
            here, self.at = self.at, to.end()
            last = self._anchor(start)
            if last is not None:
                return start, last[1], least
            self.at = here
        return start, None, least

    def _anchor(self, after: float | None) -> tuple[float, float] | None:
        """(start, end) of the moment or the words at `at`, which is moved behind them; None where there are none.

        after: the words are looked for from here on where no #n says which.
        """
        time = _TIME.match(self.line, self.at)
        if time:
            self.at = time.end()
            moment = self._seconds(time[0])
            return moment, moment
        phrase = _PHRASE.match(self.line, self.at)
        if not phrase:
            if self.at < len(self.line) and self.line[self.at] in "\"“„«「『‘‚‹'":
                raise self.fail("a closing quote after the word", "none", 'Write it like this: on "hello" nod.')
            return None
        self.at = phrase.end()
        return self._spoken(phrase["a"] or phrase["b"], None if phrase["n"] is None else int(phrase["n"]), after)

    def _spoken(self, phrase: str, which: int | None, after: float | None) -> tuple[float, float]:
        if self.transcript is None:
            raise self.fail(
                f"{NO_TRANSCRIPT}, to know when {phrase!r} is said", "none",
                "Connect one with the times of its words, or write a time instead.",
            )  # fmt: skip
        places = self.transcript.find(phrase)
        if not places:
            like = self.transcript.like(phrase)
            near = f"Did you mean {' or '.join(map(repr, like))}?" if like else "Look the word up in the transcript."
            raise self.fail("words that the transcript has", repr(phrase), near)
        if which is None:
            later = [place for place in places if after is None or place[1] > after]
            return (later or places)[0]
        if not 1 <= which <= len(places):
            times = "once" if len(places) == 1 else f"{len(places)} times"
            heard = ", ".join(clock(start) for start, _ in places[:5])
            raise self.fail(
                f"a number from 1 to {len(places)}", f"#{which}", f"{phrase!r} is said {times} (at {heard})."
            )
        return places[which - 1]

    def _seconds(self, text: str) -> float:
        seconds = seconds_of(text)
        if seconds is None:
            wanted = f"a time such as 1:02:03.5, minutes and seconds below 60, up to {LONGEST_SECONDS / 3600:g} hours"
            raise self.fail(wanted, text[:40], "Correct the time.")
        return seconds

    def _options(self, text: str) -> dict[str, float]:
        options: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in _SPLIT.split(text))):
            match = _OPTION.fullmatch(part)
            if not match:
                raise self.fail(
                    "options such as [strength 0.7, in 0.3, out 0.5] (or blend for both)", repr(part[:40]),
                    "Correct it, or write it outside the brackets.",
                )  # fmt: skip
            name, value = match["name"].lower(), float(match["value"].replace(",", "."))
            value = value / 100 if match["unit"] == "%" else value
            highest = STRONGEST if name == "strength" else 60.0
            if not value <= highest or (match["unit"] and (match["unit"] == "%") != (name == "strength")):
                raise self.fail(f"{name} from 0 to {highest:g}", part[:40], "Choose another value.")
            options[name] = value
        return options
