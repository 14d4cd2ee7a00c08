"""The pack as a ComfyUI server shows it: every node with its tooltips, templates, help pages, model files."""

import json
from pathlib import Path

import pytest
from emo2 import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

ROOT = Path(__file__).resolve().parents[2]
PACK = "ComfyUI-EMO2"
TEMPLATES = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))


@pytest.fixture(scope="module")
def info(server):
    return server.get("/object_info")


def test_the_pack_loads_without_a_word(server):
    log = server.log()
    assert "IMPORT FAILED" not in log
    assert "Traceback" not in log.partition("Starting server")[0]


def test_object_info_shows_every_node_with_its_tooltips(info):
    assert {name for name, node in info.items() if node["python_module"] == f"custom_nodes.{PACK}"} == set(
        NODE_CLASS_MAPPINGS
    )
    for class_id, cls in NODE_CLASS_MAPPINGS.items():
        node = info[class_id]
        assert node["display_name"] == NODE_DISPLAY_NAME_MAPPINGS[class_id]
        assert node["description"] == cls.DESCRIPTION
        assert node["category"].startswith("EMO2/")
        assert tuple(node["output"]) == cls.RETURN_TYPES and len(node["output_tooltips"]) == len(node["output"])
        inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        own = cls.INPUT_TYPES()
        assert set(inputs) == {*own.get("required", {}), *own.get("optional", {})}
        for name, spec in inputs.items():
            assert len(spec[1]["tooltip"]) > 10, f"{class_id}.{name}"


def test_the_combos_of_models_hold_the_packs_own_files(info):
    shown = json.dumps(info["EMO2LoadVideoModel"]["input"]) + json.dumps(info["EMO2LoadMotionModel"]["input"])
    assert "emo2_video_tiny.safetensors" in shown and "emo2_motion_tiny.safetensors" in shown
    assert "emo2_vae_tiny.safetensors" not in shown, "a file of another kind is no choice"


def test_files_in_the_servers_model_folder_appear_without_a_restart(server):
    folder = server.base / "models" / "emo2" / "mine"
    folder.mkdir(parents=True)
    copy = folder / "copy.safetensors"
    copy.write_bytes((ROOT / "weights" / "emo2_motion_tiny.safetensors").read_bytes())
    (folder / "broken.safetensors").write_bytes(b"\x00")
    try:
        node = server.get("/object_info/EMO2LoadMotionModel")["EMO2LoadMotionModel"]
        names = node["input"]["required"]["model_name"][0]
        assert "mine/copy.safetensors" in names and names[-1] == "emo2_motion_tiny.safetensors", "the pack comes last"
        assert not any("broken" in name for name in names)
    finally:
        copy.unlink()
        (folder / "broken.safetensors").unlink()


def test_templates_are_listed_and_served(server):
    assert sorted(server.get("/api/workflow_templates")[PACK]) == TEMPLATES
    assert {"talking_avatar", "hand_motion_only"} <= set(TEMPLATES)
    for name in TEMPLATES:
        served = server.get(f"/api/workflow_templates/{PACK}/{name}.json")
        assert served == json.loads((ROOT / "workflows" / f"{name}.json").read_text())


@pytest.mark.parametrize("class_id", sorted(NODE_CLASS_MAPPINGS))
def test_help_pages_are_served(server, class_id):
    status, page = server.request(f"/extensions/{PACK}/docs/{class_id}.md")
    assert status == 200 and page == (ROOT / "web" / "docs" / f"{class_id}.md").read_bytes()


def test_scripts_are_served_and_listed(server):
    listed = server.get("/extensions")
    for script in (ROOT / "web" / "js").glob("*.js"):
        path = f"/extensions/{PACK}/js/{script.name}"
        assert path in listed and server.request(path)[0] == 200
