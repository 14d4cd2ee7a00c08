"""`emo2 run` and the command line: files in, files out, and one line for everything that can go wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.nodes import host
from emo2.runner import executor
from emo2.runner.cli import main
from emo2.runner.executor import run_workflow
from emo2.runner.problems import NodeFailed
from PIL import Image
from runner_cases import Canvas, picture_canvas


@pytest.fixture
def flow(tmp_path):
    Image.new("RGB", (8, 6), (200, 10, 10)).save(tmp_path / "face.png")
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(picture_canvas()))
    return path


@pytest.fixture
def nodes(monkeypatch):
    """Adds node classes for one test: `nodes(Name=cls, ...)`."""

    def add(**classes):
        everything = {**executor.LocalDefinitions().classes, **classes}
        monkeypatch.setattr("emo2.runner.definitions.local_classes", lambda: everything)

    return add


def written(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) if folder.exists() else []


def test_a_canvas_runs_and_its_results_are_listed(flow, tmp_path, capsys):
    other = tmp_path / "elsewhere" / "me.png"
    other.parent.mkdir()
    Image.new("RGB", (4, 4), (0, 255, 0)).save(other)
    out = tmp_path / "out"
    assert (
        main(
            ["run", str(flow), "--out", str(out), "--set", f"Load Image.image={other}", "--set", "2.filename_prefix=b"]
        )
        == 0
    )
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(out / "b_00001_.png")]
    assert '[1/2] node 1 "Load Image" (LoadImage)' in captured.err
    with Image.open(out / "b_00001_.png") as saved:
        assert saved.getpixel((0, 0)) == (0, 255, 0)
        assert json.loads(saved.text["workflow"])["nodes"][0]["type"] == "LoadImage"
        assert json.loads(saved.text["prompt"])["2"]["inputs"]["filename_prefix"] == "b"


def test_both_forms_give_the_same_result(flow, tmp_path):
    api = {
        "x": {"class_type": "LoadImage", "inputs": {"image": "face.png"}},
        "y": {"class_type": "SaveImage", "inputs": {"images": ["x", 0], "filename_prefix": "shot"}},
    }
    first = run_workflow(flow, out=tmp_path / "a", keep=["1"])
    second = run_workflow(api, out=tmp_path / "b", input_dirs=[tmp_path], keep=["x"])
    assert torch.equal(first.kept["1"][0], second.kept["x"][0])
    with Image.open(first.files[0]) as a, Image.open(second.files[0]) as b:
        assert a.tobytes() == b.tobytes()
    assert list(second) == ["y"] and second["y"]["images"][0]["filename"] == "shot_00001_.png"


def test_a_relative_path_is_from_here_and_names_are_found_beside_the_file(flow, tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "cwd" / "here.png")
    monkeypatch.chdir(tmp_path / "cwd")
    result = run_workflow(flow, {"1.image": "here.png"}, out=tmp_path / "out", keep=["1"])
    assert result.kept["1"][0].shape == (1, 2, 2, 3)
    assert run_workflow(flow, out=tmp_path / "out", keep=["1"]).kept["1"][0].shape == (1, 6, 8, 3)


def test_the_packs_samples_are_found_and_nothing_is_left_in_the_host(tmp_path):
    before = (host.outside.output, host.outside.input, list(host.outside.models))
    canvas = picture_canvas("portrait.png")
    assert run_workflow(canvas, out=tmp_path, keep=["1"]).kept["1"][0].shape[0] == 1
    assert (host.outside.output, host.outside.input, list(host.outside.models)) == before


def test_only_what_outputs_need_runs_once_and_results_go_when_used_up(nodes, tmp_path):
    alive, ran = [], []

    class Made:
        def __del__(self):
            alive.remove(self.name)

        def __init__(self, name):
            self.name = name
            alive.append(name)

    class Step:
        RETURN_TYPES, FUNCTION = ("THING",), "run"

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"name": ("STRING", {})}, "optional": {"thing": ("THING", {})}}

        def run(self, name, thing=None):
            ran.append((name, sorted(alive)))
            return (Made(name),)

    class End(Step):
        OUTPUT_NODE, RETURN_TYPES = True, ()

        def run(self, name, thing=None):
            ran.append((name, sorted(alive)))
            return {"ui": {"text": [name]}}

    nodes(Step=Step, End=End)
    flow = {n: {"class_type": "Step", "inputs": {"name": n}} for n in ("a", "unused")}
    flow["b"] = {"class_type": "Step", "inputs": {"name": "b", "thing": ["a", 0]}}
    flow["c"] = {"class_type": "Step", "inputs": {"name": "c", "thing": ["b", 0]}}
    flow["e1"] = {"class_type": "End", "inputs": {"name": "e1", "thing": ["c", 0]}}
    flow["e2"] = {"class_type": "End", "inputs": {"name": "e2", "thing": ["a", 0]}}
    result = run_workflow(flow, out=tmp_path)
    assert ran == [("a", []), ("b", ["a"]), ("c", ["a", "b"]), ("e1", ["a", "c"]), ("e2", ["a"])]
    assert alive == [] and result == {"e1": {"text": ["e1"]}, "e2": {"text": ["e2"]}}


def test_lists_hidden_inputs_and_inference_mode(nodes, tmp_path):
    seen = []

    class Many:
        RETURN_TYPES, FUNCTION, OUTPUT_IS_LIST = ("INT", "STRING"), "run", (True, False)

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {}, "hidden": {"me": "UNIQUE_ID", "prompt": "PROMPT", "extra": "EXTRA_PNGINFO"}}

        def run(self, me, prompt, extra):
            assert torch.is_inference_mode_enabled()
            assert prompt["m"]["class_type"] == "Many" and extra == {}
            return ([1, 2, 3], me)

    class Each:
        RETURN_TYPES, FUNCTION, OUTPUT_NODE = ("INT",), "run", False

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"n": ("INT", {}), "s": ("STRING", {"forceInput": True})}}

        async def run(self, n, s):
            seen.append((n, s))
            return (n * 10,)

    class All(Each):
        OUTPUT_NODE, INPUT_IS_LIST = True, True

        def run(self, n, s):
            return {"ui": {"numbers": n, "texts": s}}

    nodes(Many=Many, Each=Each, All=All)
    flow = {
        "m": {"class_type": "Many", "inputs": {}},
        "e": {"class_type": "Each", "inputs": {"n": ["m", 0], "s": ["m", 1]}},
        "a": {"class_type": "All", "inputs": {"n": ["e", 0], "s": ["m", 1]}},
    }
    assert run_workflow(flow, out=tmp_path)["a"] == {"numbers": [10, 20, 30], "texts": ["m"]}
    assert seen == [(1, "m"), (2, "m"), (3, "m")]


def test_warnings_reach_the_command_line(nodes, tmp_path, capsys):
    class Warns:
        RETURN_TYPES, FUNCTION, OUTPUT_NODE = (), "run", True

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {}}

        def run(self):
            host.warn("tiny.safetensors holds untrained (random) weights")
            return {"ui": {"text": ["done"]}}

    nodes(Warns=Warns)
    path = tmp_path / "flow.json"
    path.write_text(json.dumps({"1": {"class_type": "Warns", "inputs": {}}}))
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "warning: tiny.safetensors holds untrained" in captured.err and captured.out == "done\n"
    assert run_workflow(path, out=tmp_path / "out").warnings == ["tiny.safetensors holds untrained (random) weights"]


def test_a_node_that_raises_is_named_and_keeps_its_message(nodes, tmp_path, capsys):
    class Breaks:
        RETURN_TYPES, FUNCTION, OUTPUT_NODE = (), "run", True

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"how": (["ours", "theirs"], {})}}

        def run(self, how):
            if how == "ours":
                raise EMO2Error("audio", "a sound", "silence", "Connect another.", node="EMO2 Encode Audio")
            raise RuntimeError("first line\nsecond line")

    nodes(Breaks=Breaks)
    flow = {"1": {"class_type": "Breaks", "inputs": {"how": "ours"}, "_meta": {"title": "Mine"}}}
    with pytest.raises(NodeFailed) as error:
        run_workflow(flow, out=tmp_path)
    assert str(error.value) == (
        'node 1 "Mine" (Breaks): EMO2 Encode Audio, audio: expected a sound, but got silence. Connect another.'
    )
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(flow))
    assert main(["run", str(path), "--set", "1.how=theirs"]) == 1
    err = capsys.readouterr().err.splitlines()
    assert err[-1] == 'emo2: node 1 "Mine" (Breaks): RuntimeError: first line second line'
    assert main(["run", str(path), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def broken_files():
    c = Canvas()
    c.node("NoSuchNode", [], outputs=("IMAGE",))
    cycle = {
        "1": {"class_type": "ImageScale", "inputs": {"image": ["2", 0]}},
        "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    return {
        "unknown": (json.dumps(c.json()), "NoSuchNode does not exist"),
        "cycle": (json.dumps(cycle), "Dependency cycle detected"),
        "missing": (json.dumps({"1": {"class_type": "PreviewImage", "inputs": {}}}), "input is missing: images"),
        "range": (
            json.dumps({"1": {"class_type": "PrimitiveInt", "inputs": {"value": 2**70}},
                        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}),
            "bigger than max of",
        ),
        "nowhere": (json.dumps(picture_canvas("nobody.png")), "Invalid image file: nobody.png"),
        "broken": ('{"nodes": [', "not JSON"), "empty": ("", "not JSON"), "list": ("[1]", "JSON of another kind"),
        "nothing": ("{}", "an empty object"), "other": ('{"a": 1}', "JSON of another kind"),
        "deep": ("[" * 100_000, "JSON"), "binary": (b"\x89PNG\xff\xfe", "binary file"),
        "no type": (json.dumps({"1": {"class_type": "PreviewAny", "inputs": {}}, "2": {"inputs": {}}}), "class_type"),
    }  # fmt: skip


@pytest.mark.parametrize("case", broken_files())
def test_a_file_that_cannot_run_is_one_line_and_nothing_is_made(case, tmp_path, capsys):
    text, message = broken_files()[case]
    path = tmp_path / "flow.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0] and "Traceback" not in lines[0], lines
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--set", "nonsense"], "TARGET.INPUT=VALUE"), (["--set", "9.x=1"], "'9'"), (["--out", __file__], "--out"),
        (["--models", "/no/where"], "--models"), (["--input", "/no/where"], "--input"),
        (["--set", "1.image=/no.png"], "/no.png"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(flow, options, message, capsys):
    assert main(["run", str(flow), *options]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert main(["run", str(flow.parent / "none.json")]) == 2 and "no such file" in capsys.readouterr().err


def test_help_and_version_do_not_wait_for_torch():
    script = (
        "import sys; from emo2.runner import cli; cli.build_parser().format_help(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "emo2.runner", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("emo2 ")
    for command in ("run", "queue", "nodes"):
        done = subprocess.run([sys.executable, "-m", "emo2.runner", command, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and "--debug" in done.stdout


def test_nodes_are_listed(capsys):
    assert main(["nodes"]) == 0
    text = capsys.readouterr().out
    assert "EMO2SampleHandMotion" in text and "EMO2 Sample Hand Motion" in text and "LoadImage" in text
    assert main(["nodes", "--json"]) == 0
    listed = {node["name"]: node for node in json.loads(capsys.readouterr().out)}
    assert "audio" in json.dumps(listed["EMO2SampleHandMotion"]["input"])


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_in_a_node_ends_cleanly(tmp_path):
    """The node says it is running by writing a file, then waits; nothing may be left but that."""
    script = (
        "import sys, time, pathlib, emo2.runner.definitions as d\n"
        "class Wait:\n"
        "    RETURN_TYPES, FUNCTION, OUTPUT_NODE = (), 'run', True\n"
        "    @classmethod\n"
        "    def INPUT_TYPES(cls): return {'required': {}}\n"
        "    def run(self):\n"
        "        pathlib.Path(sys.argv[1], 'started').touch(); time.sleep(60)\n"
        "d.local_classes = lambda: {'Wait': Wait}\n"
        "from emo2.runner.cli import main\n"
        "sys.exit(main(['run', sys.argv[1] + '/flow.json', '--out', sys.argv[1] + '/out']))\n"
    )
    (tmp_path / "flow.json").write_text(json.dumps({"1": {"class_type": "Wait", "inputs": {}}}))
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (tmp_path / "started").exists():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err and "interrupted" in err
    assert written(tmp_path / "out") == []
