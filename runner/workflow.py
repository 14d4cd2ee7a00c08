"""Reads a workflow file in either form: the canvas as an artist saves it, or the API form ("Export (API)")."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error
from .canvas import to_api
from .definitions import Definitions
from .problems import Problem, WorkflowError, node_name

BIGGEST = 64 << 20
SAVE = "In ComfyUI: Workflow > Save, or Workflow > Export (API)."
Prompt = dict[str, dict[str, Any]]


@dataclass
class Workflow:
    """A file as it was read: `canvas` for the form with positions and links, `api` for the API form."""

    name: str
    canvas: dict[str, Any] | None = None
    api: Prompt | None = None
    folder: Path | None = None
    muted: dict[str, str] = field(default_factory=dict)

    def prompt(self, definitions: Definitions, server: str | None = None) -> Prompt:
        """The API form: node id -> {"class_type", "inputs", "_meta"}, a fresh copy each time."""
        if self.api is not None:
            return copy.deepcopy(self.api)
        assert self.canvas is not None
        return to_api(copy.deepcopy(self.canvas), definitions, server)


def read_workflow(source: str | Path | dict[str, Any]) -> Workflow:
    """Read a file (or take its parsed JSON). EMO2Error when it is missing, not JSON, or no workflow."""
    if isinstance(source, dict):
        return _recognise(source, "workflow", None)
    path = Path(source)
    if not path.is_file():
        given = "a folder" if path.is_dir() else "no such file"
        raise EMO2Error("FILE", "a workflow file (.json)", f"{given} at {path}", "Check the name.")
    if path.stat().st_size > BIGGEST:
        raise EMO2Error("FILE", "a workflow file below 64 MB", f"{path.stat().st_size >> 20} MB ({path})", SAVE)
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise EMO2Error("FILE", "a workflow file (JSON text)", f"a binary file ({path})", SAVE) from error
    except json.JSONDecodeError as error:
        given = f"text that is not JSON ({path}, line {error.lineno}, column {error.colno}: {error.msg})"
        raise EMO2Error("FILE", "a workflow file (JSON)", given, SAVE) from error
    except RecursionError as error:
        raise EMO2Error("FILE", "a workflow file (JSON)", f"JSON nested too deeply ({path})", SAVE) from error
    return _recognise(data, str(path), path.resolve().parent)


def _recognise(data: Any, name: str, folder: Path | None) -> Workflow:
    if isinstance(data, dict) and isinstance(data.get("nodes"), list):
        return Workflow(name, canvas=data, folder=folder)
    if isinstance(data, dict) and isinstance(data.get("prompt"), dict):
        data = data["prompt"]  # the body of a POST /prompt
    is_api = isinstance(data, dict) and all(isinstance(node, dict) for node in data.values())
    if is_api and any("class_type" in node for node in data.values()):
        return Workflow(name, api={str(k): v for k, v in _checked(data).items()}, folder=folder)
    given = "an empty object" if data == {} else "JSON of another kind"
    raise EMO2Error("FILE", 'a workflow with "nodes" (canvas) or "class_type"s (API form)', f"{given} ({name})", SAVE)


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """The API form with every node an object with a class type and inputs."""
    problems = []
    for node_id, node in data.items():
        if not isinstance(node.get("class_type"), str):
            message = "Cannot execute because a node is missing the class_type property."
            problems.append(Problem("invalid_prompt", message, f"Node ID '#{node_id}'"))
        elif not isinstance(node.get("inputs", {}), dict):
            message = "The node's inputs are not an object"
            problems.append(Problem("invalid_prompt", message, "", str(node_id), node_name(node_id, node), SAVE))
    if problems:
        raise WorkflowError(problems)
    for node in data.values():
        node.setdefault("inputs", {})
        if not isinstance(node.get("_meta", {}), dict):  # it only holds the title
            del node["_meta"]
    return data
