"""`--set TARGET.INPUT=VALUE`: which node is meant, and the value in the input's own type."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from ..models.errors import EMO2Error
from .definitions import Definitions, Spec, specs
from .inputs import InputFolders
from .problems import node_name

HIGHEST_SEED = 2**64 - 1
YES, NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
Prompt = dict[str, dict[str, Any]]


def split_setting(text: str, option: str = "--set") -> tuple[str, str]:
    """ "TARGET.INPUT=VALUE" -> ("TARGET.INPUT", "VALUE")."""
    place, sign, value = text.partition("=")
    if not sign or "." not in place.strip(". "):
        raise EMO2Error(option, "TARGET.INPUT=VALUE", repr(text), "For example: --set 'Load Image.image=me.png'.")
    return place.strip(), value


def apply_settings(
    prompt: Prompt,
    settings: Iterable[tuple[str, Any]],
    definitions: Definitions,
    folders: InputFolders,
    option: str = "--set",
    check: bool = False,
) -> None:
    """Put values into `prompt`, in place. Texts are parsed to the input's type, other values are taken as they are.

    option: what the errors call the setting. check: also hold the value against the input's range and choices (when
    the validation that follows happens on a server). EMO2Error for an unknown or ambiguous target, an unknown input,
    a wire where a value is given, a value of another type, a file that is not there.
    """
    for place, value in settings:
        node_id, name = find_input(prompt, place, definitions, option)
        node = prompt[node_id]
        label = f"{option} {place}"
        spec = next((s for s in specs(_definition(node, definitions), node["inputs"]) if s.name == name), None)
        if spec is None:
            spec = Spec(name, "STRING")  # only in the file: a definition that knows more than /object_info says
        value = parse_value(value, spec, label, node_name(node_id, node))
        if spec.is_file and isinstance(value, str):
            value = folders.from_command_line(value, label)
        if check:
            check_value(value, spec, label)
        node["inputs"][name] = value


def apply_seed(prompt: Prompt, seed: int, definitions: Definitions) -> int:
    """Give `seed` to every seed widget that no wire feeds; returns how many there are."""
    if not 0 <= seed <= HIGHEST_SEED:
        raise EMO2Error("--seed", f"a whole number from 0 to {HIGHEST_SEED}", seed, "Choose one in this range.")
    count = 0
    for node in prompt.values():
        for spec in specs(_definition(node, definitions), node["inputs"]):
            free = not isinstance(node["inputs"].get(spec.name), list)
            if spec.kind == "INT" and spec.name in ("seed", "noise_seed") and free:
                node["inputs"][spec.name] = seed
                count += 1
    return count


def _definition(node: dict[str, Any], definitions: Definitions) -> Any:
    return definitions.get(node["class_type"], {})


def find_input(prompt: Prompt, place: str, definitions: Definitions, option: str = "--set") -> tuple[str, str]:
    """(node id, input name) for "TARGET.INPUT". Ids come before titles, titles before types; both may hold dots."""
    cuts = [(place[:i].strip(), place[i + 1 :].strip()) for i, letter in enumerate(place) if letter == "."]
    meant: list[tuple[str, str]] = []
    for target, name in cuts:
        found = find_targets(prompt, target, definitions)
        if len(found) > 1 and any(name in input_names(prompt[node_id], definitions) for node_id in found):
            listed = "; ".join(node_name(node_id, prompt[node_id]) for node_id in found[:8])
            raise EMO2Error(
                f"{option} {place}", f"one node called {target!r}", f"{len(found)}: {listed}", "Use a node's id."
            )
        meant += [(node_id, name) for node_id in found]
    for node_id, name in meant:
        if name in input_names(prompt[node_id], definitions):
            return node_id, name
    if meant:
        node_id, name = meant[-1]
        known = input_names(prompt[node_id], definitions)
        raise EMO2Error(
            f"{option} {place}", f"an input of {node_name(node_id, prompt[node_id])}", repr(name),
            _guess(name, known, "It has " + ", ".join(known) + "."),
        )  # fmt: skip
    target = cuts[-1][0] if cuts else place
    names = [name for node_id, node in prompt.items() for name in _names(node_id, node, definitions)]
    listing = "The nodes are: " + "; ".join(node_name(node_id, node) for node_id, node in prompt.items()) + "."
    raise EMO2Error(
        f"{option} {place}", "the id, title or type of a node that runs", repr(target), _guess(target, names, listing)
    )


def _guess(given: str, known: Sequence[str], otherwise: str) -> str:
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.7)
    return f"Did you mean {close[0]!r}?" if close else otherwise


def _names(node_id: str, node: dict[str, Any], definitions: Definitions) -> list[str]:
    title = (node.get("_meta") or {}).get("title")
    shown = _definition(node, definitions).get("display_name")
    return [str(name) for name in (node_id, title, node["class_type"], shown) if name]


def find_targets(prompt: Prompt, target: str, definitions: Definitions) -> list[str]:
    """Ids of the nodes that `target` may mean: by id, else by title, else by type or the type's display name."""
    if target in prompt:
        return [target]
    for fold in (str, str.casefold):
        for key in (
            lambda node: [(node.get("_meta") or {}).get("title")],
            lambda node: [node["class_type"], _definition(node, definitions).get("display_name")],
        ):
            found = [i for i, node in prompt.items() if fold(target) in [fold(str(name)) for name in key(node) if name]]
            if found:
                return found
    return []


def input_names(node: dict[str, Any], definitions: Definitions) -> list[str]:
    """Inputs of a node: those of its definition, and those that the file gives it."""
    known = [spec.name for spec in specs(_definition(node, definitions), node["inputs"])]
    return known + [name for name in node["inputs"] if name not in known]


def parse_value(value: Any, spec: Spec, label: str, node: str = "the node") -> Any:
    """`value` in the type of the input; only texts are parsed."""
    if not spec.is_widget and spec.kind not in ("*",):
        remedy = f"Connect {spec.name} in ComfyUI and save the workflow again."
        raise EMO2Error(label, f"an input with a value, not a {spec.kind} wire", repr(value), remedy)
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        if spec.kind == "INT":
            return int(text, 0) if text.lower().lstrip("+-")[:2] in ("0x", "0b", "0o") else int(text)
        if spec.kind == "FLOAT":
            number = float(text)
            if number != number or number in (float("inf"), float("-inf")):
                raise ValueError("not finite")
            return number
    except ValueError as error:
        wanted = "a whole number" if spec.kind == "INT" else "a number"
        raise EMO2Error(label, wanted, repr(value), f"Give {spec.name} of {node} {wanted}.") from error
    if spec.kind == "BOOLEAN":
        if text.casefold() not in YES | NO:
            raise EMO2Error(label, "true or false", repr(value), "Write true or false.")
        return text.casefold() in YES
    if spec.kind == "COMBO" and not spec.is_file:
        return next((choice for choice in spec.choices or () if str(choice) == value or str(choice) == text), value)
    if spec.kind == "*":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def check_value(value: Any, spec: Spec, label: str) -> None:
    """Hold a value against the input's smallest and biggest value and its choices."""
    if spec.kind in ("INT", "FLOAT"):
        low, high = spec.options.get("min"), spec.options.get("max")
        if (low is not None and value < low) or (high is not None and value > high):
            raise EMO2Error(label, f"a value from {low} to {high}", value, "Choose one in this range.")
    if spec.kind == "COMBO" and not spec.is_file and spec.choices is not None and value not in spec.choices:
        names = ", ".join(repr(choice) for choice in spec.choices[:20]) or "nothing: the list is empty"
        raise EMO2Error(label, f"one of {names}", repr(value), "Choose one of these.")
