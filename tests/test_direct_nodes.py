"""The director's nodes: what they give, what they refuse before anything runs, and how they fit together."""

import json

import numpy as np
import pytest
import torch
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.errors import EMO2Error
from emo2.models.video.face_track import EMOTIONS
from emo2.nodes import host
from emo2.training.puppets.world import Puppet
from motion_cases import gestures

NODES = {
    name: NODE_CLASS_MAPPINGS[f"EMO2{name}"]
    for name in (
        "DirectScript",
        "LoadTranscript",
        "InsertMotion",
        "BlinkTrack",
        "EmotionTrack",
    )
}
SAID = "hello 0.4 0.8\nworld 0.9 1.4"


def run(name, **given):
    cls = NODES[name]
    values = {}
    for entries in cls.INPUT_TYPES().values():
        for key, spec in entries.items():
            if "default" in (options := spec[1] if len(spec) > 1 else {}):
                values[key] = options["default"]
    return getattr(cls(), cls.FUNCTION)(**{**values, **given})


def sound(seconds=4.0, rate=16000):
    time = torch.arange(int(rate * seconds)) / rate
    return {"waveform": (0.3 * torch.sin(900 * time))[None, None], "sample_rate": rate}


def test_a_script_becomes_a_wire_a_picture_and_a_text():
    script, timeline, beats = run(
        "DirectScript", text='on "world" wave\n3 nod', audio=sound(), transcript=SAID, width=640
    )
    assert [beat.text for beat in script.lines] == ["wave", "nod"] and script.duration == 4.0
    assert timeline.shape[0] == 1 and timeline.shape[2:] == (640, 3) and 0 <= timeline.min() < timeline.max() <= 1
    again, _, same = run("DirectScript", text=beats, seconds=4.0)
    assert same == beats and [b.start for b in again.lines] == [0.9, 3.0]
    assert run("DirectScript", text="3 nod")[0].duration is None


def test_the_default_script_is_one():
    script, _, _ = run("DirectScript")
    assert (
        len(script.lines) == 2
        and NODES["DirectScript"].VALIDATE_INPUTS(NODES["DirectScript"].INPUT_TYPES()["required"]["text"][1]["default"])
        is True
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"text": "0:03 wave"}, None),
        ({"text": "wave"}, "line 1 'wave'"),
        ({"text": ""}, "empty"),
        ({"text": 'on "hello" nod', "transcript": None}, None),
        ({"text": 'on "hello" nod', "transcript": ""}, "a transcript"),
        ({"text": 'on "bye" nod', "transcript": SAID}, "'bye'"),
        ({"text": "3 nod", "transcript": "hello"}, "transcript.*line 1"),
        ({"text": None, "transcript": SAID}, None),
        ({"text": "0:03 don't move"}, None),
    ],
)
def test_a_script_is_checked_before_anything_runs(given, told):
    import re

    answer = NODES["DirectScript"].VALIDATE_INPUTS(**given)
    assert answer is True if told is None else re.search(told, answer)


def test_a_line_past_the_sound_names_node_and_line():
    with pytest.raises(EMO2Error, match=r"EMO2 Direct Script, text, line 1 '9 nod': .*0:04"):
        run("DirectScript", text="9 nod", audio=sound())


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(host.outside, "input", tmp_path / "input")
    monkeypatch.setattr(host.outside, "output", tmp_path / "output")
    (tmp_path / "input" / "takes").mkdir(parents=True)
    return tmp_path / "input"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_transcript_is_listed_and_loaded(folders, encoding):
    words = [{"word": "grüß", "start": 0.5, "end": 1}, {"word": "Gott", "start": 1, "end": 1.5}]
    (folders / "takes" / "a.json").write_text(json.dumps({"words": words}, ensure_ascii=False), encoding=encoding)
    (folders / "b.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhi there\n")
    (folders / "notes.md").write_text("no")
    assert NODES["LoadTranscript"].INPUT_TYPES()["required"]["transcript_file"][0] == ["b.srt", "takes/a.json"]
    text, shown = run("LoadTranscript", transcript_file="takes/a.json")
    assert shown == "grüß 0.500 1.000\nGott 1.000 1.500"
    assert run("DirectScript", text="on 'Grüß Gott' wave", transcript=text)[0].lines[0].start == 0.5
    before = NODES["LoadTranscript"].IS_CHANGED("b.srt")
    (folders / "b.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhi you all\n")
    assert NODES["LoadTranscript"].IS_CHANGED("b.srt") != before


@pytest.mark.parametrize("name", ["../secret.json", "missing.srt", "notes.md"])
def test_no_other_file_is_loaded(folders, name):
    (folders / "notes.md").write_text("hello 0 1")
    (folders.parent / "secret.json").write_text("{}")
    assert "transcript_file" in NODES["LoadTranscript"].VALIDATE_INPUTS(name)
    with pytest.raises(EMO2Error, match="transcript_file"):
        run("LoadTranscript", transcript_file=name)


def test_a_motion_is_set_in_by_script_and_by_numbers():
    base, other = gestures(1, 100), gestures(2, 100)
    script = run("DirectScript", text="1-2 wave", seconds=4.0)[0]
    made, fps, count = run("InsertMotion", motion=base, inserted=other, script=script)
    assert (fps, count) == (25.0, 100) and np.array_equal(made.rotations[37], other.rotations[37])
    numbers = run("InsertMotion", motion=base, inserted=other, start_second=1.0, end_second=2.0)[0]
    assert np.array_equal(made.rotations, numbers.rotations) and np.array_equal(
        made.rotations[60:], base.rotations[60:]
    )
    with pytest.raises(EMO2Error, match="EMO2 Insert Motion, start_second"):
        run("InsertMotion", motion=base, inserted=other, start_second=7.0)


def test_a_face_track_goes_through_both_nodes():
    blinking, image, fps, count = run("BlinkTrack", seconds=4.0, blinks="written", written="1")
    assert (fps, count) == (25.0, 100) and image.ndim == 4 and blinking.blink_known and not blinking.emotion_known
    both, _, _, _ = run("EmotionTrack", emotion="happy", text="1-2 sad", face=blinking, audio=sound(6.0))
    assert len(both) == 150 and both.emotion_known and np.array_equal(both.blink[:100], blinking.blink)
    assert both.emotion[0, 1] == 1 and both.emotion[37, 2] == 1
    back = run("BlinkTrack", blinks="none", face=both)[0]
    assert not back.blink.any() and np.array_equal(back.emotion, both.emotion)


def test_the_emotion_of_a_video_is_weakened_and_written_over():
    puppets = [Puppet.draw(4, "held-out", seconds=2.0, emotion=emotion) for emotion in ("sad", None)]
    motion, calm = (puppet.with_face(puppet.motion) for puppet in puppets)
    given = {"emotion": "as in the video", "motion": motion, "calm": calm, "text": "1-1.5 happy [in 0, out 0]"}
    whole, half = (run("EmotionTrack", **given, strength=strength)[0] for strength in (1.0, 0.5))
    sad, happy = EMOTIONS.index("sad"), EMOTIONS.index("happy")
    assert len(whole) == len(motion) and whole.emotion[10].argmax() == sad and whole.emotion[31, happy] == 1
    assert half.emotion[10, sad] == pytest.approx(whole.emotion[10, sad] / 2, abs=1e-5)


def test_blinks_take_their_length_from_what_is_connected():
    motion = gestures(1, 60, fps=30.0)
    assert run("BlinkTrack", motion=motion, audio=sound())[2:] == (30.0, 60)
    assert run("BlinkTrack", audio=sound(), fps=24.0)[2:] == (24.0, 96)
    assert run("BlinkTrack", seconds=2.0)[2:] == (25.0, 50)
    one, other = (run("BlinkTrack", seconds=60.0, seed=seed)[0].blink for seed in (1, 2))
    assert one.max() == 1 and not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("BlinkTrack", {"blinks": "video"}, "EMO2 Blink Track, motion"),
        ("BlinkTrack", {"blinks": "often"}, "blinks"),
        ("BlinkTrack", {"blinks": "written", "written": "now"}, "written"),
        ("BlinkTrack", {"per_minute": 500.0}, "per_minute"),
        ("EmotionTrack", {"text": "1 bored"}, "text, line 1"),
        ("EmotionTrack", {"emotion": "bored"}, "emotion"),
        ("EmotionTrack", {"emotion": "as in the video"}, "motion: .*face of a video"),
        ("EmotionTrack", {"text": "1-3 sad", "seconds": 2.0}, "0:02"),
    ],
)
def test_errors_name_the_node_and_the_input(name, given, told):
    with pytest.raises(EMO2Error, match=told):
        run(name, **given)


@pytest.mark.parametrize(
    ("name", "given", "good"),
    [
        ("BlinkTrack", {"blinks": "written", "written": "now"}, False),
        ("BlinkTrack", {"blinks": "natural", "written": "now"}, True),
        ("EmotionTrack", {"text": "1 bored"}, False),
        ("EmotionTrack", {"emotion": "sad", "text": "1 happy"}, True),
        ("EmotionTrack", {}, True),
        ("EmotionTrack", {"emotion": "as in the video"}, True),
        ("BlinkTrack", {}, True),
    ],
)
def test_tracks_are_checked_before_anything_runs(name, given, good):
    assert (NODES[name].VALIDATE_INPUTS(**given) is True) == good
