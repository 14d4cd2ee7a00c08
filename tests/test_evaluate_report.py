"""Rows are judged by their goals, tables say it all, and a report comes back from its file as it went."""

import json

import pytest
from emo2.evaluation.report import Goal, Report, Row, markdown, missing, number, table, with_note
from emo2.evaluation.tiny import PARTS
from emo2.evaluation.tiny.goals import FIGURES, figure, in_order, not_measured, noted
from emo2.models.errors import EMO2Error


@pytest.mark.parametrize(
    "goal, value, status",
    [
        (Goal(low=28, target_low=32), 27.99, "short"),
        (Goal(low=28, target_low=32), 28.0, "floor"),
        (Goal(low=28, target_low=32), 32.5, "target"),
        (Goal(high=6, target_high=4), 6.5, "short"),
        (Goal(high=6, target_high=4), 5, "floor"),
        (Goal(high=6, target_high=4), 3, "target"),
        (Goal(low=0.7, high=1.5), 1.6, "short"),
        (Goal(low=0.7, high=1.5), 1.0, "target"),
        (Goal(low=0, strict=True), 0.0, "short"),
        (Goal(low=0, strict=True), 1e-6, "target"),
    ],
)
def test_a_figure_is_held_against_floor_and_target(goal, value, status):
    assert Row("a.b", "b", value, goal=goal).status == status


def test_figures_without_a_number_or_a_goal():
    assert Row("a.b", "b", None).status == "missing"
    assert Row("a.b", "b", 1.0).status == "reported"
    odd = Row("a.b", "b", float("nan"), (0.0, float("inf")), Goal(low=0), "why")
    assert odd.status == "missing" and odd.note == "came out as nan; why" and odd.interval is None


def test_one_clip_has_no_interval():
    assert Row("a.b", "b", 1.0, (0.9, 1.1), count=1).interval is None
    assert Row("a.b", "b", 1.0, (0.9, 1.1), count=2).interval == (0.9, 1.1)


def rows():
    return (
        Row("vae.psnr", "PSNR dB", 29.123456, (28.0, 30.5), Goal(low=28, target_low=32), "a | b", 50),
        missing("video.psnr", "video", "missing\nfile.safetensors", Goal(low=4)),
        Row("video.ssim", "SSIM", 0.5),
    )


def test_the_table_has_every_cell_and_a_line_between_parts():
    lines = table(rows()).splitlines()
    assert lines[0].split()[:2] == ["figure", "value"]
    assert "29.12" in lines[2] and "28 .. 30.5" in lines[2] and ">= 28" in lines[2] and ">= 32" in lines[2]
    assert "floor" in lines[2] and "n = 50; a | b" in lines[2]
    assert lines[3] == ""
    assert "missing file.safetensors" in lines[4] and " - " in lines[4]
    assert markdown(rows()).splitlines()[2].count("|") == 8


def test_a_report_comes_back_from_its_file(tmp_path):
    report = Report(rows(), {"seed": 3})
    path = report.save(tmp_path / "r.json")
    assert Report.load(path) == report
    stored = json.loads(path.read_text())
    assert [row["status"] for row in stored["rows"]] == ["floor", "missing", "reported"]
    assert stored["rows"][1]["value"] is None


@pytest.mark.parametrize("text", ["", "{}", '{"format": 9}', '{"format": 1, "about": {}, "rows": [{"key": "x"}]}'])
def test_another_file_is_no_report(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(EMO2Error, match="emo2 evaluate"):
        Report.load(tmp_path / "r.json")


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    path = Report(rows()).save(tmp_path / "r.json")
    before = path.read_text()
    with pytest.raises(TypeError):
        Report(rows(), {"what": object()}).save(path)
    assert path.read_text() == before and [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_parts_that_are_measured_again_take_their_places():
    old = Report(rows(), {"seed": 3, "date": "old"})
    new = Report((Row("video.psnr", "video", 22.0, goal=Goal(low=4)), Row("x.y", "y", 1.0)), {"date": "new"})
    both = old.merged(new)
    assert [row.key for row in both.rows] == ["vae.psnr", "video.psnr", "video.ssim", "x.y"]
    assert both["video.psnr"].value == 22 and both.about == {"seed": 3, "date": "new"}


def test_a_key_stands_for_one_figure():
    with pytest.raises(ValueError, match="same key"):
        Report((Row("a.b", "b", 1.0), Row("a.b", "c", 2.0)))


@pytest.mark.parametrize("value, text", [(0.5, "0.5"), (29.1234, "29.12"), (-0.00004, "0"), (12345.6, "1.235e+04")])
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_every_figure_belongs_to_a_part_and_has_words():
    assert {key.split(".")[0] for key in FIGURES} == set(PARTS)
    assert len({label for label, _ in FIGURES.values()}) == len(FIGURES)


def test_what_is_not_measured_is_said_for_every_figure_of_the_part():
    done = [figure("vae.psnr", 30.0)]
    found = not_measured("vae", "no file", done)
    assert [row.key for row in found] == ["vae.ssim"] and found[0].note == "no file"
    assert [row.key for row in in_order([*found, *done])] == ["vae.psnr", "vae.ssim"]


def test_a_remark_goes_to_figures_that_have_a_value():
    some = noted([figure("vae.psnr", 30.0, note="a"), figure("vae.ssim", None, note="b")], "untrained")
    assert [row.note for row in some] == ["a; untrained", "b"]
    assert with_note(Row("a.b", "b", 1.0), "x").note == "x"
