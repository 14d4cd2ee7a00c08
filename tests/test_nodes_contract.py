"""Every node keeps ComfyUI's classic contract and tells an artist what each input and output is."""

import inspect
import re
from pathlib import Path

import pytest
from emo2 import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

ROOT = Path(__file__).resolve().parents[1]
NODES = sorted(NODE_CLASS_MAPPINGS.items())
WIRES = {"EMO2_AUDIO", "EMO2_AUDIO_ENCODER", "EMO2_MOTION", "EMO2_MOTION_MODEL", "EMO2_FRAMING", "EMO2_HANDS",
         "EMO2_VIDEO_MODEL", "EMO2_REFERENCE", "EMO2_WINDOWS", "EMO2_POSE_DETECTOR", "EMO2_FACE_ENCODER", "EMO2_SCRIPT",
         "EMO2_FACE", "EMO2_DIRECTED_MODEL", "AUDIO", "IMAGE", "LATENT", "VAE",
         "CLIP_VISION", "CLIP_VISION_OUTPUT", "POSE_KEYPOINT", "AUDIO_ENCODER_OUTPUT", "VIDEO", "MASK",
         "FLOAT", "INT", "STRING", "BOOLEAN"}  # fmt: skip


def inputs(cls):
    for section, entries in cls.INPUT_TYPES().items():
        if section != "hidden":
            yield from ((section, name, *(spec if len(spec) > 1 else (spec[0], {}))) for name, spec in entries.items())


@pytest.mark.parametrize("class_id, cls", NODES)
def test_every_node_explains_itself(class_id, cls):
    assert re.fullmatch(r"EMO2[A-Z]\w+", class_id)
    assert NODE_DISPLAY_NAME_MAPPINGS[class_id].startswith("EMO2 ")
    assert cls.CATEGORY in {"EMO2/audio", "EMO2/motion", "EMO2/pose", "EMO2/video"}
    assert len(cls.DESCRIPTION) > 30
    for _, name, kind, options in inputs(cls):
        assert len(options.get("tooltip", "")) > 10, f"{name} has no tooltip"
        assert isinstance(kind, (list, tuple)) or kind in WIRES, kind
    names = getattr(cls, "RETURN_NAMES", cls.RETURN_TYPES)
    assert len(names) == len(cls.RETURN_TYPES) == len(cls.OUTPUT_TOOLTIPS)
    assert all(len(tip) > 10 for tip in cls.OUTPUT_TOOLTIPS) and set(cls.RETURN_TYPES) <= WIRES


@pytest.mark.parametrize("class_id, cls", NODES)
def test_the_function_takes_what_the_node_declares(class_id, cls):
    signature = inspect.signature(getattr(cls, cls.FUNCTION))
    hidden = set(cls.INPUT_TYPES().get("hidden", {}))
    declared = {name for _, name, _, _ in inputs(cls)}
    assert set(signature.parameters) - {"self"} == declared | hidden
    for section, name, _, _ in inputs(cls):
        if section == "optional":
            assert signature.parameters[name].default is not inspect.Parameter.empty, f"{name} needs a default"


@pytest.mark.parametrize("class_id, cls", NODES)
def test_defaults_lie_inside_their_range(class_id, cls):
    for _, name, kind, options in inputs(cls):
        if kind in ("INT", "FLOAT"):
            assert options["min"] <= options["default"] <= options["max"], name
        if isinstance(kind, (list, tuple)) and "default" in options:
            assert options["default"] in kind, name


@pytest.mark.parametrize("class_id, cls", NODES)
def test_every_node_has_a_help_page_that_names_its_inputs(class_id, cls):
    page = (ROOT / "web" / "docs" / f"{class_id}.md").read_text()
    assert page.startswith("# ") and len(page) > 400
    for _, name, _, _ in inputs(cls):
        assert name in page, f"the help page does not mention {name}"


def test_no_help_page_without_a_node():
    assert {page.stem for page in (ROOT / "web" / "docs").glob("*.md")} == set(NODE_CLASS_MAPPINGS)


def test_generating_nodes_tell_rate_and_length():
    for class_id in ("EMO2SampleHandMotion", "EMO2SampleVideo", "EMO2StreamVideo"):
        assert {"fps", "frame_count"} <= set(NODE_CLASS_MAPPINGS[class_id].RETURN_NAMES)
