"""The workflow files: what the builder writes, valid in both forms, laid out so that an artist can read them."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from emo2 import NODE_CLASS_MAPPINGS
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
        sys.modules.pop("build", None)
        sys.modules.pop("templates", None)


def canvas(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def test_the_main_workflows_are_there():
    assert {"talking_avatar", "hand_motion_only", "long_video"} <= set(NAMES)
    assert {path.stem for path in (FOLDER / "api").glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_what_the_builder_writes(built, name):
    assert json.loads(json.dumps(built[name])) == canvas(name), "run: python workflows/build.py"


@pytest.mark.parametrize("name", NAMES)
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
    core = {"LoadImage", "LoadAudio", "PreviewImage", "SaveImage", "CreateVideo", "SaveVideo", "MarkdownNote"}
    assert used <= set(NODE_CLASS_MAPPINGS) | core
