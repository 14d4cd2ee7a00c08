"""The pack as a ComfyUI server shows it: every node with its tooltips, templates, help pages, model files."""

import json
from pathlib import Path

import pytest
from emo2 import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from emo2.runner.definitions import specs

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


RECORDED = json.loads((ROOT / "workflows" / "core" / "comfyui.json").read_text())


@pytest.mark.parametrize("class_id", sorted(RECORDED))
def test_core_nodes_are_as_they_were_recorded(info, class_id):
    """What the workflows were built from fits this server: inputs of the same kind, nothing new that is required."""
    recorded, now = RECORDED[class_id], info[class_id]
    assert recorded["output"] == now["output"]
    there = {spec.name: spec for spec in specs(now)}
    known = {spec.name: spec for spec in specs(recorded)}
    assert all(there[name].kind == spec.kind for name, spec in known.items())
    assert {spec.name for spec in there.values() if spec.required} <= set(known)


FOLDERS = {"diffusion_models", "loras", "text_encoders", "vae", "audio_encoders", "clip_vision", "echomimic_v2"}


@pytest.mark.parametrize("name", ["wan_s2v", "wan_animate"])
def test_the_wan_workflows_pass_the_servers_checks(server, api, run, name):
    """With files of the right names in the right folders a run begins, and the first loader finds that its file is
    empty. The pose video's preview is made when it is asked for alone: a server may start with the loaders."""
    workflow = json.loads((ROOT / "workflows" / f"{name}.json").read_text())
    made = []
    for node in workflow["nodes"]:
        for entry in node["properties"].get("models", ()):
            assert entry["directory"] in FOLDERS
            path = server.base / "models" / entry["directory"] / entry["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            made.append(path)
    try:
        prompt = api(name, {"EMO2SampleHandMotion.steps": 2, "EMO2SampleHandMotion.end_second": 0.6})
        preview = next(key for key, node in prompt.items() if node["class_type"] == "PreviewImage")
        wanted, todo = {}, [preview]
        while todo:
            key = todo.pop()
            wanted[key] = prompt[key]
            todo += [value[0] for value in prompt[key]["inputs"].values() if isinstance(value, list)]
        shown = run(wanted)
        assert shown.end == "execution_success" and preview in shown.outputs(), "the pose over the picture is there"
        job = run(prompt)
        assert job.end == "execution_error"
        failed = prompt[job.messages[-1][1]["node_id"]]["class_type"]
        assert not failed.startswith("EMO2") and "Loader" in failed
    finally:
        for path in made:
            path.unlink()
