"""Checks a prompt before any work, with the rules and messages of ComfyUI's own validation.

One difference: where ComfyUI drops an output that is not valid and runs the others, here nothing runs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from .definitions import LocalDefinitions, Spec, specs, unknown_node
from .order import Cycle, is_link, needed_nodes
from .problems import Problem, WorkflowError, node_name

Prompt = dict[str, dict[str, Any]]


def check_nodes(prompt: Prompt, definitions: Mapping[str, Any], server: str | None = None) -> None:
    """Every node must exist; WorkflowError names all that do not. (ComfyUI asks this of unused nodes too.)"""
    unknown = {node_id: node for node_id, node in prompt.items() if node["class_type"] not in definitions}
    if unknown:
        raise unknown_nodes(unknown, server)


def unknown_nodes(nodes: Prompt, server: str | None = None) -> WorkflowError:
    """The error for nodes that do not exist; those with the same remedy share a line."""
    lines: dict[str, list[str]] = {}
    for node_id, node in nodes.items():
        lines.setdefault(unknown_node(node["class_type"], server), []).append(node_id)
    problems = []
    for remedy, ids in lines.items():
        kinds = list(dict.fromkeys(nodes[node_id]["class_type"] for node_id in ids))
        verb = f"node {kinds[0]} does" if len(kinds) == 1 else f"nodes {', '.join(kinds)} do"
        message = f"Cannot execute because {verb} not exist."
        names = [node_name(node_id, nodes[node_id]) for node_id in ids]
        label = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        problems.append(Problem("missing_node_type", message, "", ids[0], label, remedy))
    return WorkflowError(problems)


def output_nodes(prompt: Prompt, definitions: Mapping[str, Any]) -> list[str]:
    """Ids of the nodes that show or save something; a workflow without any does nothing."""
    found = [i for i, node in prompt.items() if definitions[node["class_type"]].get("output_node")]
    if not found:
        remedy = "Add a node that saves or shows something, for example Save Video."
        raise WorkflowError(Problem("prompt_no_outputs", "Prompt has no outputs", remedy=remedy))
    return found


def plan(prompt: Prompt, definitions: Mapping[str, Any], server: str | None = None) -> list[str]:
    """The nodes that the outputs need, in running order. WorkflowError for unknown nodes, cycles, bad links."""
    check_nodes(prompt, definitions, server)
    outputs = output_nodes(prompt, definitions)
    problems = [p for node_id in prompt for p in _bad_links(prompt, node_id)]
    if problems:
        raise WorkflowError(problems)
    try:
        return needed_nodes(prompt, outputs)
    except Cycle as cycle:
        path = " -> ".join(f"{i} ({prompt[i]['class_type']})" for i in cycle.path)
        node = node_name(cycle.path[0], prompt[cycle.path[0]])
        remedy = "Remove one of these links."
        raise WorkflowError(
            Problem("dependency_cycle", "Dependency cycle detected", path, cycle.path[0], node, remedy)
        ) from cycle


def _bad_links(prompt: Prompt, node_id: str) -> list[Problem]:
    found = []
    for name, value in prompt[node_id]["inputs"].items():
        if not isinstance(value, list):
            continue
        label = node_name(node_id, prompt[node_id])
        if not is_link(value):
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            found.append(Problem("bad_linked_input", message, name, node_id, label))
        elif str(value[0]) not in prompt:
            message = "Bad linked input, the node it comes from is not in the workflow"
            found.append(Problem("bad_linked_input", message, f"{name} from node {value[0]}", node_id, label))
    return found


def validate(prompt: Prompt, order: list[str], definitions: LocalDefinitions) -> list[Problem]:
    """Every problem of the nodes in `order`. Converts texts to numbers where the type says so, in place."""
    problems: list[Problem] = []
    for node_id in order:
        problems += _Node(prompt, node_id, definitions).problems()
    return problems


class _Node:
    def __init__(self, prompt: Prompt, node_id: str, definitions: LocalDefinitions):
        self.prompt, self.node_id, self.definitions = prompt, node_id, definitions
        self.node = prompt[node_id]
        self.inputs = self.node["inputs"]
        self.cls = definitions.classes[self.node["class_type"]]
        custom = getattr(self.cls, "VALIDATE_INPUTS", None)
        arguments = inspect.getfullargspec(custom) if custom else None
        self.custom = custom
        self.named = set(arguments.args[1:]) if arguments else set()
        self.takes_all = bool(arguments and arguments.varkw)

    def problem(self, kind: str, message: str, details: str = "", remedy: str = "") -> Problem:
        return Problem(kind, message, details, self.node_id, node_name(self.node_id, self.node), remedy)

    def problems(self) -> list[Problem]:
        found: list[Problem] = []
        received: dict[str, Any] = {}
        for spec in specs(self.definitions[self.node["class_type"]], self.inputs):
            if spec.name not in self.inputs:
                if spec.required:
                    remedy = (
                        f"Connect {spec.name}."
                        if not spec.is_widget
                        else f"Give it with --set {self.node_id}.{spec.name}=VALUE."
                    )
                    found.append(self.problem("required_input_missing", "Required input is missing", spec.name, remedy))
                continue
            check = self._link if isinstance(self.inputs[spec.name], list) else self._constant
            trouble = check(spec, received)
            found += [trouble] if trouble else []
        return found or self._custom(received)

    def _link(self, spec: Spec, received: dict[str, Any]) -> Problem | None:
        origin, slot = str(self.inputs[spec.name][0]), self.inputs[spec.name][1]
        types = self.definitions[self.prompt[origin]["class_type"]]["output"]
        if not 0 <= slot < len(types):
            details = f"{spec.name}: {node_name(origin, self.prompt[origin])} has no output number {slot}"
            return self.problem("bad_linked_input", "Bad linked input", details, "Connect it again.")
        received[spec.name] = types[slot]
        wanted = list(spec.choices) if spec.kind == "COMBO" and spec.choices is not None else spec.kind
        if "input_types" not in self.named and not fits(types[slot], wanted):
            details = f"{spec.name}, received_type({types[slot]}) mismatch input_type({wanted})"
            return self.problem("return_type_mismatch", "Return type mismatch between linked nodes", details)
        return None

    def _constant(self, spec: Spec, received: dict[str, Any]) -> Problem | None:
        value = self.inputs[spec.name]
        if not spec.is_widget and spec.kind != "*" and not spec.options.get("forceInput"):
            details = f"{spec.name}, {value!r} where a {spec.kind} should come over a wire"
            return self.problem("invalid_input_type", "An input has a value but no wire", details, "Connect it.")
        if isinstance(value, dict) and "__value__" in value:
            value = value["__value__"]
        try:
            converted = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}.get(spec.kind, lambda v: v)(value)
            if isinstance(converted, float) and not math.isfinite(converted):
                raise ValueError("not a finite number")
        except (TypeError, ValueError, OverflowError) as error:
            message = f"Failed to convert an input value to a {spec.kind} value"
            return self.problem("invalid_input_type", message, f"{spec.name}, {value}, {error}")
        value = self.inputs[spec.name] = converted
        if spec.name in self.named or self.takes_all:
            return None
        if spec.kind in ("INT", "FLOAT"):
            low, high = spec.options.get("min"), spec.options.get("max")
            if low is not None and value < low:
                return self.problem("value_smaller_than_min", f"Value {value} smaller than min of {low}", spec.name)
            if high is not None and value > high:
                return self.problem("value_bigger_than_max", f"Value {value} bigger than max of {high}", spec.name)
        if spec.kind == "COMBO" and spec.choices is not None and value not in spec.choices:
            choices = list(spec.choices) if len(spec.choices) <= 20 else f"(list of length {len(spec.choices)})"
            remedy = (
                "" if spec.choices else "No file was found for this list: put one into a folder given with --models."
            )
            return self.problem(
                "value_not_in_list", "Value not in list", f"{spec.name}: '{value}' not in {choices}", remedy
            )
        return None

    def _custom(self, received: dict[str, Any]) -> list[Problem]:
        """The node's own VALIDATE_INPUTS; linked inputs reach it as None."""
        if self.custom is None or not (self.named or self.takes_all):
            return []
        known = {spec.name for spec in specs(self.definitions[self.node["class_type"]], self.inputs)}
        given = {k: None if isinstance(v, list) else v for k, v in self.inputs.items() if k in known}
        if not self.takes_all:
            given = {k: v for k, v in given.items() if k in self.named}
        arguments = {**given, "input_types": received} if "input_types" in self.named else given
        missing = self.named - arguments.keys() - _with_defaults(self.custom)
        try:
            answer = self.custom(**arguments, **dict.fromkeys(missing))
        except Exception as error:
            return [self.problem("exception_during_validation", "Exception when validating node", str(error))]
        if answer is True:
            return []
        details = ", ".join(given) + (f" - {answer}" if answer is not False else "")
        return [self.problem("custom_validation_failed", "Custom validation failed for node", details)]


def _with_defaults(function: Any) -> set[str]:
    empty = inspect.Parameter.empty
    return {name for name, p in inspect.signature(function).parameters.items() if p.default is not empty}


def fits(received: Any, wanted: Any) -> bool:
    """Whether an output of type `received` may go into an input of type `wanted`; "A,B" are unions, "*" is anything."""
    if received == wanted or "*" in (received, wanted):
        return True
    if isinstance(wanted, list):
        return isinstance(received, list) or received == "COMBO"
    if isinstance(received, list):
        return wanted == "COMBO"
    parts = [{part.strip() for part in str(text).split(",")} for text in (received, wanted)]
    return bool(parts[0] & parts[1]) or any("*" in part for part in parts)
