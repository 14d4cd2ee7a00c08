"""The workflow files: what the builder writes, valid in both forms, laid out so that an artist can read them."""

import importlib.util
import json
import sys
from collections import ChainMap
from pathlib import Path

import pytest
from emo2 import NODE_CLASS_MAPPINGS
from emo2.runner.canvas import to_api
from emo2.runner.definitions import LocalDefinitions, specs
from emo2.runner.executor import prepare
from emo2.runner.inputs import InputFolders
from emo2.runner.workflow import read_workflow

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "workflows"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.fixture(scope="module")
def built():
    """Name -> canvas form, as the builder makes it now."""
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
        sys.modules["build"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.workflows()
    finally:
        sys.path.remove(str(FOLDER))
        for path in FOLDER.glob("*.py"):
            sys.modules.pop(path.stem, None)


def canvas(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


LARGE = {name for name in NAMES if any("models" in node["properties"] for node in canvas(name)["nodes"])}
"""Those that name public weights, which are not here."""
RECORDED = json.loads((FOLDER / "core" / "comfyui.json").read_text())
"""Core nodes that only a server has."""


def test_the_main_workflows_are_there():
    assert {"talking_avatar", "hand_motion_only", "long_video"} <= set(NAMES)
    assert {"echomimic_v2", "wan_s2v", "wan_animate"} == LARGE
    assert {path.stem for path in (FOLDER / "api").glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_what_the_builder_writes(built, name):
    assert json.loads(json.dumps(built[name])) == canvas(name), "run: python workflows/build.py"


@pytest.mark.parametrize("name", sorted(set(NAMES) - LARGE))
def test_both_forms_ask_for_the_same_work(name, tmp_path):
    """They pass the validation of a real run, and mean the same nodes with the same values."""
    prompts = []
    for path in (FOLDER / f"{name}.json", FOLDER / "api" / f"{name}.json"):
        folders = InputFolders([ROOT / "assets"])
        prompt = json.loads(json.dumps(prepare(read_workflow(path), [], folders)[0]))
        for node in prompt.values():
            node.pop("_meta", None)
        prompts.append(prompt)
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize("name", sorted(LARGE))
def test_both_forms_say_the_same_where_the_weights_are_not_here(name):
    """And every wire goes from an output to an input of its own kind."""
    definitions = ChainMap(LocalDefinitions(), RECORDED)
    prompt = json.loads((FOLDER / "api" / f"{name}.json").read_text())
    assert to_api(canvas(name), definitions) == prompt
    for node_id, node in prompt.items():
        known = {spec.name: spec for spec in specs(definitions[node["class_type"]])}
        assert set(node["inputs"]) <= set(known)
        assert {spec.name for spec in known.values() if spec.required} <= set(node["inputs"]), node_id
        for input_name, value in node["inputs"].items():
            if isinstance(value, list):
                source = definitions[prompt[value[0]]["class_type"]]
                assert source["output"][value[1]] == known[input_name].kind, (node_id, input_name)


def test_the_recorded_nodes_are_those_that_are_used():
    used = {node["type"] for name in NAMES for node in canvas(name)["nodes"]}
    assert set(RECORDED) <= used and not set(RECORDED) & set(LocalDefinitions())


@pytest.mark.parametrize("name", sorted(LARGE))
def test_every_public_file_says_where_it_can_be_had(name):
    """The page's missing-model dialog: the file's own name at the end of an address, and the folder it belongs into."""
    named = set()
    for node in canvas(name)["nodes"]:
        files = [
            value for value in node.get("widgets_values") or () if str(value).endswith((".pth", ".pt", ".safetensors"))
        ]
        told = {entry["name"]: entry for entry in node["properties"].get("models", ())}
        for file in files:
            if (ROOT / "weights" / file).is_file():
                continue
            entry = told[file]
            assert set(entry) == {"name", "url", "directory"} and entry["url"].startswith("https://")
            assert entry["url"].rpartition("/")[2] == file and "/" not in entry["directory"]
            named.add(file)
        assert set(told) <= set(files)
    assert len(named) >= 5


def test_the_preview_comes_before_the_long_wait():
    """The motion that the video is made of comes through the preview of it."""
    waiting = {"echomimic_v2": "EMO2SampleVideo", "wan_s2v": "EMO2DrawOpenPose", "wan_animate": "EMO2DrawOpenPose"}
    for name, class_id in waiting.items():
        prompt = json.loads((FOLDER / "api" / f"{name}.json").read_text())
        (source,) = [node["inputs"]["motion"] for node in prompt.values() if node["class_type"] == class_id]
        assert prompt[source[0]]["class_type"] == "EMO2PreviewMotion"


@pytest.mark.parametrize("name", NAMES)
def test_every_node_stands_in_one_group_and_none_overlap(name):
    flow = canvas(name)
    boxes = {node["id"]: (*node["pos"], *node["size"]) for node in flow["nodes"]}
    for node, (x, y, w, h) in boxes.items():
        homes = [
            g for g in flow["groups"]
            if g["bounding"][0] <= x and g["bounding"][1] <= y
            and x + w <= g["bounding"][0] + g["bounding"][2] and y + h <= g["bounding"][1] + g["bounding"][3]
        ]  # fmt: skip
        assert len(homes) == 1, f"node {node} stands in {len(homes)} groups"
        for other, (a, b, c, d) in boxes.items():
            assert other == node or x + w <= a or a + c <= x or y + h <= b or b + d <= y, f"{node} covers {other}"
    notes = [node for node in flow["nodes"] if node["type"] == "MarkdownNote"]
    assert len(notes) == len(flow["groups"]), "every stage says what it is for"


def test_together_they_show_the_whole_way():
    used = {node["type"] for name in NAMES for node in canvas(name)["nodes"]}
    stages = "EncodeAudio SampleHandMotion RenderManoMaps RenderKeypointMaps DrawOpenPose SetFraming EncodeReference "
    stages += "SampleVideo DecodeVideo StreamVideo"
    stages = {f"EMO2{name}" for name in stages.split()}
    assert stages <= used
    core = {
        "LoadImage",
        "LoadAudio",
        "LoadVideo",
        "PreviewImage",
        "SaveImage",
        "CreateVideo",
        "SaveVideo",
        "MarkdownNote",
    }
    core |= {"VAELoader", "VAEDecode", "CLIPVisionLoader", "CLIPVisionEncode"} | set(RECORDED)
    assert used <= set(NODE_CLASS_MAPPINGS) | core
