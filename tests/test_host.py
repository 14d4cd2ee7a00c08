"""The seam to ComfyUI seen from outside: model files, folders, progress, warnings, plain devices."""

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from emo2.models.checkpoints.format import Header, save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.video.video_file import VideoFile
from emo2.nodes import host
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file


@pytest.fixture(autouse=True)
def outside(tmp_path, monkeypatch):
    """A model folder, an input and an output folder of the test's own."""
    own = host.Outside([tmp_path / "models"], tmp_path / "input", tmp_path / "output", quiet=True)
    monkeypatch.setattr(host, "outside", own)
    return own


def checkpoint(path: Path, kind: str = "motion") -> Path:
    return save_checkpoint(path, kind, {}, {}, untrained=1)


def names(folder="emo2", **wanted):
    """What is listed, without what the pack ships."""
    shipped = {path.name for path in host.WEIGHTS.rglob("*")}
    return [name for name in host.model_files(folder, **wanted) if Path(name).name not in shipped]


def test_files_are_listed_by_folder_and_kind(tmp_path):
    models = tmp_path / "models"
    checkpoint(models / "emo2" / "deep" / "one.safetensors")
    checkpoint(models / "two.safetensors")
    checkpoint(models / "emo2" / "film.safetensors", "video")
    checkpoint(models / "other" / "elsewhere.safetensors")
    (models / "emo2" / "notes.txt").write_text("no model")
    assert names(kind="motion") == ["deep/one.safetensors", "two.safetensors"]
    assert names(kind="video") == ["film.safetensors"]
    assert names() == ["film.safetensors", "deep/one.safetensors", "two.safetensors"]
    assert names(suffixes=(".txt",)) == ["notes.txt"]
    assert "emo2_motion_tiny.safetensors" in host.model_files("emo2", kind="motion"), "the pack's own"
    assert names("vae") == []


def test_a_new_or_changed_file_is_seen_at_once(tmp_path):
    path = tmp_path / "models" / "emo2" / "one.safetensors"
    assert names(kind="motion") == []
    checkpoint(path)
    assert names(kind="motion") == ["one.safetensors"]
    checkpoint(path, "video")
    assert (names(kind="motion"), names(kind="video")) == ([], ["one.safetensors"])
    path.unlink()
    assert names(kind="video") == []


def test_foreign_and_damaged_files_are_left_out_of_kinds(tmp_path, caplog):
    folder = tmp_path / "models" / "emo2"
    folder.mkdir(parents=True)
    save_file({"x": torch.zeros(1)}, folder / "foreign.safetensors")
    (folder / "broken.safetensors").write_bytes(b"\x07" * 40)
    (folder / "evil.safetensors").write_bytes(pickle.dumps(os.getcwd))
    (folder / "empty.safetensors").write_bytes(b"")
    assert names(kind="motion") == []
    assert len(names()) == 4
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sorted(Path(text.split()[0]).stem for text in told) == ["broken", "empty", "evil"]


def test_hugging_face_folders_are_one_model_each(tmp_path):
    folder = tmp_path / "models" / "audio_encoders" / "group" / "wav2vec2"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    (folder.parent / "single.safetensors").write_bytes(b"")
    both = ("", ".safetensors")
    assert names("audio_encoders", suffixes=both) == ["group/wav2vec2", "group/single.safetensors"]
    assert host.model_path("group/wav2vec2", "audio_encoders") == folder


def test_links_are_followed_and_loops_end(tmp_path):
    folder = tmp_path / "models" / "emo2"
    checkpoint(tmp_path / "far" / "away.safetensors")
    folder.mkdir(parents=True)
    (folder / "linked").symlink_to(tmp_path / "far")
    (folder / "loop").symlink_to(folder)
    assert names(kind="motion") == ["linked/away.safetensors"]


def test_hidden_files_are_not_listed(tmp_path):
    folder = tmp_path / "models" / "emo2"
    checkpoint(folder / ".half.safetensors")
    checkpoint(folder / ".git" / "one.safetensors")
    assert names() == []


def test_the_first_folder_wins(tmp_path, outside):
    second = tmp_path / "more"
    outside.models.append(second)
    for root in (tmp_path / "models", second):
        checkpoint(root / "emo2" / "one.safetensors")
    assert names() == ["one.safetensors"]
    assert host.model_path("one.safetensors") == tmp_path / "models" / "emo2" / "one.safetensors"


def test_a_missing_file_names_the_folders_searched(tmp_path):
    with pytest.raises(EMO2Error) as caught:
        host.model_path("gone.safetensors", where="model_name")
    text = str(caught.value)
    assert str(tmp_path / "models" / "emo2") in text and "gone.safetensors" in text and text.startswith("model_name:")
    assert "\n" not in text


ESCAPES = ("../x", "a/../../x", "/etc/passwd", "..\\x", "C:\\x", "C:/x", "\\\\host\\x", "", "x\0y", "//x", "../")


@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    (tmp_path / "x").write_text("secret")
    with pytest.raises(EMO2Error, match="a file name within the emo2 model folder"):
        host.model_path(name)


@given(st.text(alphabet="./\\ax:~ \0", max_size=12))
def test_no_name_at_all_leads_out(name):
    roots = [Path(root).resolve() for root, _ in host._roots("emo2")]
    try:
        path = host.model_path(name)
    except EMO2Error:
        return
    assert any(path.resolve().is_relative_to(root) for root in roots)


def test_a_workflow_saved_on_windows_opens(tmp_path):
    path = checkpoint(tmp_path / "models" / "emo2" / "sub" / "one.safetensors")
    assert host.model_path("sub\\one.safetensors") == path


def test_folders(tmp_path):
    assert host.input_directory() == tmp_path / "input"
    assert host.output_directory() == tmp_path / "output"
    assert not host.output_directory().exists(), "who writes makes it"
    assert host.temp_directory().is_dir() and host.temp_directory() == host.temp_directory()
    assert not host.inside()


def test_the_temporary_folder_goes_with_the_process():
    script = "from emo2.nodes import host; p = host.temp_directory(); (p / 'big').write_text('x'); print(p)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    path = Path(done.stdout.strip())
    assert path.is_absolute() and not path.exists()


def test_progress_counts_and_makes_no_previews(outside, capsys):
    outside.quiet = False
    with host.Progress(3, "painting") as progress:
        progress.tick()
        progress.tick(2, preview=lambda: pytest.fail("nobody looks at previews here"))
        assert progress.done == 3
    assert "painting" in capsys.readouterr().err


def test_quiet_progress_says_nothing(capsys):
    with host.Progress(0) as progress:
        progress.tick()
    assert capsys.readouterr() == ("", "")


def test_progress_that_is_interrupted_leaves_no_bar(outside, capsys):
    outside.quiet = False
    with pytest.raises(KeyboardInterrupt), host.Progress(3):
        raise KeyboardInterrupt
    assert not host.tqdm._instances


def test_warnings_are_logged_and_collected(outside, caplog):
    host.warn("The picture is dark: 100 %.")
    assert outside.warnings == ["The picture is dark: 100 %."]
    assert [record.getMessage() for record in caplog.records if record.name == "emo2"] == outside.warnings


def test_a_handle_outside_is_the_plain_module(tmp_path):
    module = torch.nn.Linear(2, 2)
    handle = host.wrap(module, Header(tmp_path / "x.safetensors", "motion", {"size": 1}))
    host.load(handle, memory=1 << 40)
    host.check_cancelled()
    assert handle.module is module and handle.patcher is None and handle.config == {"size": 1}
    assert not module.training and not module.weight.requires_grad and module.weight.device.type == host.device().type
    assert host.dtype_for(module) == torch.float32


def test_a_finished_video_is_a_plain_video(tmp_path):
    assert isinstance(host.video_from_file(tmp_path / "some.mp4"), VideoFile)


def test_nothing_swallows_a_cancel():
    """ComfyUI's cancel is an Exception in some versions: whoever catches all of them must raise it again."""
    nothing_ticks_there = {
        "models/hands/pickles.py", "models/audio/loading.py", "models/checkpoints/format.py",
        "models/pose/keypoint_sets.py", "models/checkpoints/clip_text.py", "models/body/files.py",
    }  # fmt: skip
    found = []
    for path in (file for part in ("nodes", "models") for file in (host.PACK / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                names = {name.id for name in ast.walk(node.type or node) if isinstance(name, ast.Name)}
                broad = node.type is None or names & {"Exception", "BaseException"}
                if broad and not any(isinstance(line, ast.Raise) and line.exc is None for line in node.body):
                    found.append(path.relative_to(host.PACK).as_posix())
    assert set(found) <= nothing_ticks_there
