"""From the canvas to the API form: what ComfyUI's page would send for the same file."""

import json
import time

import pytest
from emo2.runner.canvas import to_api
from emo2.runner.definitions import specs
from emo2.runner.problems import WorkflowError
from emo2.runner.replacements import format_date
from emo2.runner.widgets import widget_values
from emo2.runner.workflow import read_workflow
from hypothesis import given
from hypothesis import strategies as st
from runner_cases import Canvas

SEED = {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}
DEFINITIONS = {
    "Load": {
        "input": {"required": {"file": [["a.png", "b.png"], {"image_upload": True}]}},
        "output": ["IMAGE", "MASK"],
    },
    "Noise": {
        "input": {
            "required": {
                "seed": ["INT", SEED],
                "steps": ["INT", {"default": 20, "min": 1, "max": 100}],
                "cfg": ["FLOAT", {"default": 7.5}],
                "mode": [["slow", "fast"], {"default": "fast"}],
            },
            "optional": {
                "image": ["IMAGE", {}],
                "note": ["STRING", {"default": "none"}],
                "strength": ["FLOAT", {"forceInput": True}],
            },
        },
        "output": ["IMAGE"],
    },
    "Blend": {"input": {"required": {"a": ["IMAGE"], "b": ["IMAGE"], "mask": ["MASK"]}}, "output": ["IMAGE", "MASK"]},
    "Save": {
        "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "x"}]}},
        "output": [],
    },
    "Number": {"input": {"required": {"value": ["INT", {}]}}, "output": ["INT"]},
    "Codec": {
        "input": {"required": {
            "codec": ["COMFY_DYNAMICCOMBO_V3", {"options": [
                {"key": "auto", "inputs": {"required": {}}},
                {"key": "h264", "inputs": {"required": {"encoding": ["COMFY_DYNAMICCOMBO_V3", {"options": [
                    {"key": "auto", "inputs": {}},
                    {"key": "re-encode", "inputs": {"required": {"crf": ["FLOAT", {"default": 23.0}]}}}]}]}}},
            ]}],
            "name": ["STRING", {"default": "n"}],
        }},
        "output": [],
    },
}  # fmt: skip


def api(canvas):
    return to_api(canvas if isinstance(canvas, dict) else canvas.json(), DEFINITIONS)


def inputs(canvas):
    return {node_id: node["inputs"] for node_id, node in api(canvas).items()}


def test_widgets_links_and_titles():
    c = Canvas()
    load = c.node("Load", ["b.png", "image"], outputs=("IMAGE", "MASK"), title="Portrait")
    noise = c.node("Noise", [7, "randomize", 30, 2.5, "slow", "hello"], [("image", "IMAGE", (load, 0))], ("IMAGE",))
    c.node("Save", ["out"], [("images", "IMAGE", (noise, 0))])
    c.node("Note", ["read me"])
    c.node("MarkdownNote", ["# read me"])
    got = api(c)
    assert {i: (n["class_type"], n["inputs"]) for i, n in got.items()} == {
        "1": ("Load", {"file": "b.png"}),
        "2": ("Noise", {"seed": 7, "steps": 30, "cfg": 2.5, "mode": "slow", "note": "hello", "image": ["1", 0]}),
        "3": ("Save", {"filename_prefix": "out", "images": ["2", 0]}),
    }
    assert [n["_meta"]["title"] for n in got.values()] == ["Portrait", "Noise", "Save"]


def test_a_converted_widget_keeps_its_place_in_the_values():
    c = Canvas()
    number = c.node("Number", [5], outputs=("INT",))
    c.node("Noise", [7, "fixed", 30, 2.5, "slow", "x"], [("steps", "INT", (number, 0), True)], ("IMAGE",))
    assert inputs(c)["2"] == {"seed": 7, "steps": ["1", 0], "cfg": 2.5, "mode": "slow", "note": "x"}


def test_reroutes_and_primitives_dissolve():
    c = Canvas()
    load = c.node("Load", ["a.png", "image"], outputs=("IMAGE", "MASK"))
    one = c.node("Reroute", [], [("", "*", (load, 0))], ("IMAGE",))
    two = c.node("Reroute", [], [("", "*", (one, 0))], ("IMAGE",))
    primitive = c.node("PrimitiveNode", [12, "fixed"], outputs=("INT",))
    c.node("Noise", [7, "fixed", 30, 2.5, "slow", "x"],
           [("image", "IMAGE", (two, 0)), ("steps", "INT", (primitive, 0), True)], ("IMAGE",))  # fmt: skip
    assert inputs(c)["5"] == {"seed": 7, "steps": 12, "cfg": 2.5, "mode": "slow", "note": "x", "image": ["1", 0]}
    assert set(inputs(c)) == {"1", "5"}


def test_a_bypassed_node_hands_on_the_input_of_the_outputs_type():
    c = Canvas()
    first = c.node("Load", ["a.png", "image"], outputs=("IMAGE", "MASK"))
    second = c.node("Load", ["b.png", "image"], outputs=("IMAGE", "MASK"))
    slots = [("a", "IMAGE", (first, 0)), ("b", "IMAGE", (second, 0)), ("mask", "MASK", (second, 1))]
    blend = c.node("Blend", [], slots, ("IMAGE", "MASK"), mode=4)
    c.node("Blend", [], [("a", "IMAGE", (blend, 0)), ("b", "IMAGE", (blend, 0)), ("mask", "MASK", (blend, 1))], ())
    assert inputs(c)["4"] == {"a": ["1", 0], "b": ["1", 0], "mask": ["2", 1]}


def test_a_muted_node_takes_its_links_with_it():
    c = Canvas()
    load = c.node("Load", ["a.png", "image"], outputs=("IMAGE", "MASK"), mode=2)
    c.node("Noise", [7, "fixed", 30, 2.5, "slow", "x"], [("image", "IMAGE", (load, 0))], ("IMAGE",))
    assert inputs(c) == {"2": {"seed": 7, "steps": 30, "cfg": 2.5, "mode": "slow", "note": "x"}}


def test_values_of_other_lengths():
    """Older files have fewer widgets, files without the seed's extra widget exist, and new ones have more."""
    noise = DEFINITIONS["Noise"]
    full = {"seed": 1, "steps": 2, "cfg": 3.0, "mode": "slow", "note": "n"}
    assert widget_values([1, "fixed", 2, 3.0, "slow", "n"], noise) == full
    assert widget_values([1, 2, 3.0, "slow", "n"], noise) == full
    assert widget_values([1, "fixed", 2, 3.0, "slow", "n", "new", None], noise) == full
    assert widget_values([1, "fixed", 2], noise) == {**full, "cfg": 7.5, "mode": "fast", "note": "none"}
    assert widget_values({"seed": 1, "steps": 2, "note": "n", "junk": 0}, noise) == {**full, "cfg": 7.5, "mode": "fast"}
    assert widget_values(None, noise)["steps"] == 20
    upload = {"input": {"required": {"file": [["a"], {"image_upload": True}]}, "optional": {"size": ["INT", {}]}}}
    assert widget_values(["a", "image", 5], upload) == {"file": "a", "size": 5}
    assert widget_values(["a", 5], upload) == {"file": "a", "size": 5}
    assert widget_values(["a", None, None, 5], upload) == {"file": "a", "size": 5}


def test_dynamic_choices_bring_their_inputs():
    codec = DEFINITIONS["Codec"]
    assert widget_values(["auto", "n2"], codec) == {"codec": "auto", "name": "n2"}
    assert widget_values(["h264", "re-encode", 18.0, "n2"], codec) == {
        "codec": "h264", "codec.encoding": "re-encode", "codec.encoding.crf": 18.0, "name": "n2"}  # fmt: skip
    assert [s.name for s in specs(codec, {"codec": "h264"})] == ["codec", "codec.encoding", "name"]


def subgraph(instance_values=(), mode=0, inner_mode=0):
    """Load -> [subgraph: Noise(image, steps from outside) -> Noise] -> Save."""
    inner = {
        "id": "uuid", "name": "Two", "inputs": [{"name": "image", "type": "IMAGE"}, {"name": "steps", "type": "INT"}],
        "outputs": [{"name": "IMAGE", "type": "IMAGE"}], "inputNode": {"id": -10}, "outputNode": {"id": -20},
        "nodes": [
            {"id": 1, "type": "Noise", "mode": 0, "widgets_values": [1, "fixed", 11, 1.0, "slow", "x"], "inputs": [
                {"name": "image", "type": "IMAGE", "link": 1},
                {"name": "steps", "type": "INT", "link": 2, "widget": {"name": "steps"}}],
             "outputs": [{"type": "IMAGE"}]},
            {"id": 2, "type": "Noise", "mode": inner_mode, "widgets_values": [2, "fixed", 22, 1.0, "slow", "y"],
             "inputs": [{"name": "image", "type": "IMAGE", "link": 3}], "outputs": [{"type": "IMAGE"}]},
        ],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0, "type": "IMAGE"},
            {"id": 2, "origin_id": -10, "origin_slot": 1, "target_id": 1, "target_slot": 1, "type": "INT"},
            {"id": 3, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0, "type": "IMAGE"},
            {"id": 4, "origin_id": 2, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"},
        ],
    }  # fmt: skip
    c = Canvas()
    load = c.node("Load", ["a.png", "image"], outputs=("IMAGE", "MASK"))
    shown = c.node("uuid", list(instance_values), [("image", "IMAGE", (load, 0)), ("steps", "INT", None, True)],
                   ("IMAGE",), mode=mode)  # fmt: skip
    c.node("Save", ["out"], [("images", "IMAGE", (shown, 0))])
    return {**c.json(), "definitions": {"subgraphs": [inner]}}


def test_subgraphs_are_unfolded():
    got = inputs(subgraph())
    assert set(got) == {"1", "2:1", "2:2", "3"}
    assert got["2:1"]["image"] == ["1", 0] and got["2:1"]["steps"] == 11
    assert got["2:2"]["image"] == ["2:1", 0] and got["3"]["images"] == ["2:2", 0]


def test_a_value_on_the_subgraphs_node_reaches_the_inside():
    assert inputs(subgraph([33]))["2:1"]["steps"] == 33


@pytest.mark.parametrize(
    "proxies, saved, steps",
    [
        (None, [33], 33),
        ([["-1", "steps"]], [33], 33),
        ([["1", "cfg"], ["-1", "steps"]], [9.0, 33], 33),  # in the order of the proxies; others live in their node
        ([["1", "steps"]], [], 11),
        (None, [1, 2, 3], 11),  # of another version: the value inside is what is known
        (None, {"steps": 33}, 33),
    ],
)
def test_values_on_a_subgraphs_node_in_every_version(proxies, saved, steps):
    canvas = subgraph()
    canvas["nodes"][1].update(widgets_values=saved, properties={"proxyWidgets": proxies} if proxies else {})
    assert inputs(canvas)["2:1"]["steps"] == steps


def test_a_wire_beside_a_widget_gets_what_the_subgraphs_node_shows():
    """One input of the subgraph feeds a widget (steps) and a plain input; nothing is connected outside."""
    canvas = subgraph()
    inner = canvas["definitions"]["subgraphs"][0]
    inner["nodes"].append({"id": 3, "type": "Number", "mode": 0, "widgets_values": [], "outputs": [],
                           "inputs": [{"name": "extra", "type": "*", "link": 5}]})  # fmt: skip
    inner["links"].append({"id": 5, "origin_id": -10, "origin_slot": 1, "target_id": 3, "target_slot": 0, "type": "*"})
    assert inputs(canvas)["2:3"]["extra"] == 11


def test_bypassing_and_muting_around_subgraphs():
    assert inputs(subgraph(mode=4))["3"]["images"] == ["1", 0]
    assert "images" not in inputs(subgraph(mode=2))["3"]
    assert inputs(subgraph(inner_mode=4))["3"]["images"] == ["2:1", 0]


def test_a_subgraph_in_itself_is_an_error():
    canvas = subgraph()
    canvas["definitions"]["subgraphs"][0]["nodes"].append({"id": 9, "type": "uuid", "inputs": [], "outputs": []})
    with pytest.raises(WorkflowError, match="nested in themselves"):
        api(canvas)


def test_unknown_nodes_are_all_named_and_decorations_ignored():
    c = Canvas()
    c.node("Fast Groups Muter", [])
    c.node("Mystery", [], outputs=("IMAGE",), title="My node")
    c.node("AudioEncoderLoader", [], outputs=("AUDIO_ENCODER",))
    with pytest.raises(WorkflowError) as error:
        api(c)
    first, second = str(error.value).splitlines()
    assert 'node 2 "My node" (Mystery)' in first and "emo2 queue" in first
    assert "EMO2 Load Audio Encoder" in second


@pytest.mark.parametrize(
    "damage",
    [
        {"nodes": [{"id": 1}]}, {"nodes": [1]}, {"nodes": [], "links": [[1, 2]]}, {"nodes": [], "links": ["x"]},
        {"nodes": [{"id": 1, "type": "Load", "inputs": "x", "outputs": []}]},
        {"nodes": [], "definitions": {"subgraphs": "x"}},
    ],
)  # fmt: skip
def test_damaged_canvases_are_one_line(damage):
    with pytest.raises(WorkflowError, match="damaged") as error:
        api({"links": [], **damage})
    assert "\n" not in str(error.value)


def test_a_ring_of_reroutes_is_an_error():
    c = Canvas()
    one = c.node("Reroute", [], [("", "*", None)], ("*",))
    two = c.node("Reroute", [], [("", "*", (one, 0))], ("*",))
    c.links.append([99, two["id"], 0, one["id"], 0, "*"])
    one["inputs"][0]["link"] = 99
    c.node("Save", ["x"], [("images", "IMAGE", (two, 0))])
    with pytest.raises(WorkflowError, match="leads back to itself"):
        api(c)


def test_file_names_with_places():
    c = Canvas()
    c.node("Noise", [7, "fixed", 30, 2.5, "slow", "a/b"], outputs=("IMAGE",), title="My noise")
    c.node("Save", ["v/%My noise.steps%-%My noise.note%-%width%-%Other.x%"])
    assert inputs(c)["2"]["filename_prefix"] == "v/30-a_b-%width%-%Other.x%"
    now = time.strptime("2026-03-04 05:06:07", "%Y-%m-%d %H:%M:%S")
    assert format_date("yyyy-MM-dd_hh.mm.ss yy M", now) == "2026-03-04_05.06.07 26 3"


KINDS = {"INT": st.integers(), "FLOAT": st.floats(allow_nan=False), "STRING": st.text(), "BOOLEAN": st.booleans()}


@given(st.data())
def test_values_come_back_whatever_the_node_looks_like(data):
    """Random nodes: any order of widgets, wires between them, seeds with their extra widget, an upload button."""
    required: dict = {}
    optional: dict = {}
    saved, expected = [], {}
    count = data.draw(st.integers(1, 8))
    first_optional = data.draw(st.integers(0, count))
    upload = data.draw(st.booleans())
    if upload:
        required["file"] = [["a", "b"], {"image_upload": True}]
        saved.append("b")
        expected["file"] = "b"
    for i in range(count):
        kind = data.draw(st.sampled_from([*KINDS, "IMAGE", "COMBO"]))
        section = required if i < first_optional else optional
        name = f"i{i}"
        if i == first_optional and upload:
            saved.append("image")
        if kind == "IMAGE":
            section[name] = ["IMAGE", {}]
            continue
        control = kind == "INT" and data.draw(st.booleans())
        value = data.draw(st.sampled_from(["fixed", "b"]) if kind == "COMBO" else KINDS[kind])
        section[name] = [["fixed", "b"], {}] if kind == "COMBO" else [kind, {"control_after_generate": control}]
        saved += [value] + ([data.draw(st.sampled_from(["fixed", "randomize"]))] if control else [])
        expected[name] = value
    if upload and first_optional == count:
        saved.append("image")
    assert widget_values(saved, {"input": {"required": required, "optional": optional}}) == expected


def test_an_empty_text_behind_an_upload_button_is_a_value():
    optional = {"text": ["STRING", {}], "cfg": ["FLOAT", {}], "seed": ["INT", {"control_after_generate": True}]}
    node = {"input": {"required": {"file": [["a", "b"], {"image_upload": True}]}, "optional": optional}}
    found = widget_values(["b", "image", "", 0.5, 7, "fixed"], node)
    assert found == {"file": "b", "text": "", "cfg": 0.5, "seed": 7}
    assert widget_values(["b", "", "", 0.5, 7, "fixed"], node) == found


def test_reading_either_form(tmp_path):
    path = tmp_path / "flow.json"
    path.write_text(json.dumps({"prompt": {"1": {"class_type": "Save"}}, "client_id": "x"}))
    assert read_workflow(path).api == {"1": {"class_type": "Save", "inputs": {}}}
    assert read_workflow({"nodes": []}).canvas == {"nodes": []}
