"""Validation as ComfyUI does it, before any work: the messages, the order of things, cycles, settings."""

import json

import pytest
from emo2.models.errors import EMO2Error
from emo2.runner import inputs
from emo2.runner.definitions import Spec, describe
from emo2.runner.executor import run_workflow
from emo2.runner.order import Cycle, needed_nodes
from emo2.runner.overrides import apply_seed, apply_settings, find_input, parse_value, split_setting
from emo2.runner.problems import NodeFailed, WorkflowError
from emo2.runner.validate import fits, plan, validate
from hypothesis import given
from hypothesis import strategies as st


class Draw:
    RETURN_TYPES, FUNCTION, OUTPUT_NODE = ("IMAGE", "FLOAT"), "run", False

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "steps": ("INT", {"default": 4, "min": 1, "max": 50}),
                "cfg": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 9.0}),
                "mode": (["slow", "fast"], {}),
            },
            "optional": {"image": ("IMAGE", {}), "number": ("FLOAT", {"forceInput": True})},
        }


class Picky(Draw):
    @classmethod
    def VALIDATE_INPUTS(cls, steps, image=True):
        assert image is None or image is True  # linked inputs are not known yet
        return True if steps % 2 == 0 else f"{steps} is odd"


class PickyAll(Draw):
    @classmethod
    def VALIDATE_INPUTS(cls, **everything):
        return "no" if everything["mode"] == "other" else True


class Typed(Draw):
    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True if input_types.get("image") == "FLOAT" else f"not {input_types}"


class Save:
    RETURN_TYPES, FUNCTION, OUTPUT_NODE = (), "run", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE", {})}}


class Definitions(dict):
    classes = {"Draw": Draw, "Picky": Picky, "PickyAll": PickyAll, "Typed": Typed, "Save": Save}


KNOWN = Definitions({name: describe(name, cls) for name, cls in Definitions.classes.items()})


def node(kind="Draw", title=None, **given_inputs):
    values = {"steps": 4, "cfg": 1.0, "mode": "slow"} if kind != "Save" else {}
    return {"class_type": kind, "inputs": {**values, **given_inputs}, **({"_meta": {"title": title}} if title else {})}


def problems(**nodes):
    prompt = {"s": node("Save", images=["a", 0]), **nodes}
    return [(p.kind, p.node_id, str(p)) for p in validate(prompt, plan(prompt, KNOWN), KNOWN)]


@pytest.mark.parametrize(
    "given_inputs, kind, message",
    [
        ({"steps": 0}, "value_smaller_than_min", "node a (Draw): Value 0 smaller than min of 1: steps"),
        ({"steps": 51}, "value_bigger_than_max", "node a (Draw): Value 51 bigger than max of 50: steps"),
        ({"cfg": "9.5"}, "value_bigger_than_max", "node a (Draw): Value 9.5 bigger than max of 9.0: cfg"),
        ({"steps": "many"}, "invalid_input_type", "Failed to convert an input value to a INT value: steps, many,"),
        ({"cfg": float("nan")}, "invalid_input_type", "Failed to convert an input value to a FLOAT value: cfg, nan,"),
        ({"mode": "warp"}, "value_not_in_list", "Value not in list: mode: 'warp' not in ['slow', 'fast']"),
        ({"image": ["a2", 1]}, "return_type_mismatch",
         "Return type mismatch between linked nodes: image, received_type(FLOAT) mismatch input_type(IMAGE)"),
        ({"image": ["a2", 2]}, "bad_linked_input", "has no output number 2"),
    ],
)  # fmt: skip
def test_messages(given_inputs, kind, message):
    ((got, node_id, text),) = problems(a=node(**given_inputs), a2=node())
    assert (got, node_id) == (kind, "a") and message in text and "\n" not in text


def test_a_missing_input():
    bad = node()
    del bad["inputs"]["steps"]
    ((kind, _, text),) = problems(a=bad)
    assert kind == "required_input_missing" and text.startswith("node a (Draw): Required input is missing: steps")


def test_every_problem_of_every_needed_node_is_said_and_nodes_nobody_needs_are_not_asked():
    found = problems(a=node(steps=0, mode="x", image=["b", 0]), b=node(cfg=99.0), unused=node(steps=-5))
    assert [(kind, node_id) for kind, node_id, _ in found] == [
        ("value_bigger_than_max", "b"), ("value_smaller_than_min", "a"), ("value_not_in_list", "a")]  # fmt: skip


def test_texts_become_numbers():
    prompt = {"s": node("Save", images=["a", 0]), "a": node(steps="7", cfg=2)}
    assert validate(prompt, plan(prompt, KNOWN), KNOWN) == []
    assert prompt["a"]["inputs"]["steps"] == 7 and isinstance(prompt["a"]["inputs"]["cfg"], float)


def test_validate_inputs_takes_over_for_the_inputs_it_names():
    ((kind, _, text),) = problems(a=node("Picky", steps=61, image=["b", 0]), b=node())
    assert kind == "custom_validation_failed" and text == (
        "node a (Picky): Custom validation failed for node: steps, image - 61 is odd")  # fmt: skip
    assert problems(a=node("Picky", steps=62)) == []
    assert problems(a=node("Picky", steps=62, cfg=10))[0][0] == "value_bigger_than_max"


def test_validate_inputs_with_keywords_takes_over_for_all():
    assert problems(a=node("PickyAll", steps=99, mode="any")) == []
    assert problems(a=node("PickyAll", mode="other"))[0][0] == "custom_validation_failed"


def test_validate_inputs_may_ask_for_types():
    assert problems(a=node("Typed", image=["b", 1]), b=node()) == []
    assert "not {'image': 'IMAGE'}" in problems(a=node("Typed", image=["b", 0]), b=node())[0][2]


@pytest.mark.parametrize(
    "received, wanted, good",
    [
        ("IMAGE", "IMAGE", True), ("IMAGE", "*", True), ("*", "MASK", True), ("INT", "INT,FLOAT", True),
        ("INT,STRING", "FLOAT,STRING", True), ("IMAGE", "MASK", False), ("STRING", ["a"], False),
        (["a"], "COMBO", True), ("COMBO", ["a"], True), (["a"], ["b"], True),
    ],
)  # fmt: skip
def test_types_that_fit(received, wanted, good):
    assert fits(received, wanted) is good


def test_unknown_nodes_no_outputs_and_bad_links():
    with pytest.raises(WorkflowError, match="node x does not exist"):
        plan({"1": node("x"), "s": node("Save")}, KNOWN)
    with pytest.raises(WorkflowError, match="Prompt has no outputs"):
        plan({"a": node()}, KNOWN)
    for link, message in ((["gone", 0], "is not in the workflow"), (["s"], "length-2 list"), ([1, "x"], "length-2")):
        with pytest.raises(WorkflowError, match=message):
            plan({"s": node("Save", images=link)}, KNOWN)


def test_a_cycle_names_its_nodes():
    prompt = {"s": node("Save", images=["a", 0]), "a": node(image=["b", 0]), "b": node(image=["a", 0])}
    with pytest.raises(WorkflowError, match=r"Dependency cycle detected: a \(Draw\) -> b \(Draw\) -> a \(Draw\)"):
        plan(prompt, KNOWN)


@given(
    st.integers(1, 40).flatmap(lambda n: st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=80))
)
def test_order(edges):
    """Any graph: either everything that is needed comes once and after its feeds, or there is a cycle and it is one."""
    size = 40
    prompt = {str(i): {"inputs": {}} for i in range(size)}
    for target, origin in edges:
        prompt[str(target)]["inputs"][f"i{origin}"] = [str(origin), 0]
    try:
        order = needed_nodes(prompt, ["0", "1"])
    except Cycle as cycle:
        assert cycle.path[0] == cycle.path[-1] and len(cycle.path) > 1
        assert all(f"i{b}" in prompt[a]["inputs"] for a, b in zip(cycle.path, cycle.path[1:]))
        return
    assert len(order) == len(set(order)) and {"0", "1"} <= set(order)
    place = {node_id: i for i, node_id in enumerate(order)}
    assert all(place[link[0]] < place[i] for i in order for link in prompt[i]["inputs"].values())
    wanted, frontier = set(), ["0", "1"]
    while frontier:
        wanted.add(current := frontier.pop())
        frontier += [link[0] for link in prompt[current]["inputs"].values()]
    assert set(order) == wanted


def test_a_chain_of_ten_thousand():
    prompt = {str(i): {"inputs": {"x": [str(i + 1), 0]}} for i in range(10_000)} | {"10000": {"inputs": {}}}
    assert needed_nodes(prompt, ["0"])[0] == "10000"


FOLDERS = inputs.InputFolders([])
PROMPT = {
    "1": node(title="First"), "2": node(title="Second"), "3": node("Save", "Keep.it", images=["1", 0]),
    "4": node("Picky", "First"), "5": node("Draw", image=["1", 0], number=["1", 1]),
}  # fmt: skip


@pytest.mark.parametrize(
    "place, found",
    [
        ("1.steps", ("1", "steps")), ("Second.cfg", ("2", "cfg")), ("second.cfg", ("2", "cfg")),
        ("Picky.mode", ("4", "mode")), ("Keep.it.images", ("3", "images")), ("Save.images", ("3", "images")),
    ],
)  # fmt: skip
def test_targets(place, found):
    assert find_input(PROMPT, place, KNOWN) == found


@pytest.mark.parametrize(
    "place, message",
    [
        ("Draw.steps", r"one node called 'Draw', but got 3: node 1 .*; node 2 .*; node 5.* Use a node's id"),
        ("First.steps", r"one node called 'First', but got 2"),
        ("Secnd.steps", r"Did you mean 'Second'\?"),
        ("Nothing like it.steps", r'The nodes are: node 1 "First" \(Draw\); node 2'),
        ("2.step", r"Did you mean 'steps'\?"),
        ("2.zzz", r"It has steps, cfg, mode, image, number\."),
    ],
)
def test_targets_that_are_not_clear(place, message):
    with pytest.raises(EMO2Error, match=message) as error:
        find_input(PROMPT, place, KNOWN)
    assert "\n" not in str(error.value)


def test_settings_are_parsed_to_the_inputs_type():
    prompt = json.loads(json.dumps(PROMPT))
    apply_settings(prompt, [("1.steps", "9"), ("1.cfg", "2.5"), ("1.mode", "fast"), ("2.steps", 3)], KNOWN, FOLDERS)
    assert prompt["1"]["inputs"] == {"steps": 9, "cfg": 2.5, "mode": "fast"} and prompt["2"]["inputs"]["steps"] == 3
    for setting, message in (
        (("1.steps", "2.5"), "whole number"), (("1.cfg", "inf"), "a number"), (("5.image", "x"), "not a IMAGE wire"),
        (("5.number", "1"), "not a FLOAT wire"),
    ):  # fmt: skip
        with pytest.raises(EMO2Error, match=message):
            apply_settings(prompt, [setting], KNOWN, FOLDERS)
    with pytest.raises(EMO2Error, match="from 1 to 50"):
        apply_settings(prompt, [("1.steps", "99")], KNOWN, FOLDERS, check=True)


def test_values():
    assert (
        parse_value("Yes", Spec("x", "BOOLEAN"), "") is True and parse_value("off", Spec("x", "BOOLEAN"), "") is False
    )
    with pytest.raises(EMO2Error, match="true or false"):
        parse_value("maybe", Spec("x", "BOOLEAN"), "")
    assert parse_value("8", Spec("x", "COMBO", {}, (4, 8)), "") == 8
    assert parse_value(" text = ", Spec("x", "STRING"), "") == " text = "
    assert parse_value("18446744073709551615", Spec("x", "INT"), "") == 2**64 - 1
    assert split_setting("A b.c=d=e") == ("A b.c", "d=e")
    for bad in ("a.b", "a=b", ".=1", "=x"):
        with pytest.raises(EMO2Error, match=r"TARGET\.INPUT=VALUE"):
            split_setting(bad)


def test_one_seed_for_all():
    definition = {"input": {"required": {"seed": ["INT", {}], "noise_seed": ["INT", {}]}}}
    prompt = {
        "1": {"class_type": "N", "inputs": {"seed": 1, "noise_seed": ["2", 0]}},
        "2": {"class_type": "?", "inputs": {}},
    }
    assert apply_seed(prompt, 42, {"N": definition}) == 1
    assert prompt["1"]["inputs"] == {"seed": 42, "noise_seed": ["2", 0]}


def test_nothing_runs_before_everything_is_right(tmp_path):
    """The broken node is the last of the chain; the first would write a file."""
    flow = {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 3}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}},
    }
    ran = []
    with pytest.raises(WorkflowError, match=r"node 3 \(SaveImage\): Required input is missing: images"):
        run_workflow(flow, out=tmp_path / "out", on_node=lambda *a: ran.append(a))
    assert ran == [] and not (tmp_path / "out").exists()


def test_a_failing_node_is_named(tmp_path):
    flow = {
        "1": {"class_type": "PrimitiveString", "inputs": {"value": "x"}, "_meta": {"title": "Words"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    with pytest.raises(WorkflowError, match="Return type mismatch"):
        run_workflow(flow, out=tmp_path)
    flow["1"] = {"class_type": "ImageScale", "inputs": {"image": ["3", 0], "upscale_method": "area", "width": 8,
                 "height": 8, "crop": "disabled"}, "_meta": {"title": "Smaller"}}  # fmt: skip
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    flow["3"] = {"class_type": "LoadImage", "inputs": {"image": "bad.png"}}
    with pytest.raises(NodeFailed, match=r"^node 3 \(LoadImage\): image: expected a whole picture .*bad\.png") as error:
        run_workflow(flow, out=tmp_path / "out", input_dirs=[tmp_path])
    assert "\n" not in str(error.value)
