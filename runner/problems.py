"""What can be wrong with a workflow before any work starts: each problem is one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..models.errors import EMO2Error, from_disk


def one_line(text: object, limit: int = 600) -> str:
    """`text` with its line breaks and runs of spaces removed, cut at `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def node_name(node_id: str, node: dict[str, Any] | None) -> str:
    """How a node is called in messages: its id, title and class type."""
    if not isinstance(node, dict):
        return f"node {node_id}"
    kind = str(node.get("class_type") or "no type")
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return f'node {node_id} "{title}" ({kind})' if title and title != kind else f"node {node_id} ({kind})"


REMEDIES = {
    "required_input_missing": "Connect it, or give it a value.",
    "bad_linked_input": "Connect it again.",
    "return_type_mismatch": "Connect an output of the right type.",
    "invalid_input_type": "Give a value of this type.",
    "value_smaller_than_min": "Choose a bigger value.",
    "value_bigger_than_max": "Choose a smaller value.",
    "value_not_in_list": "Choose one that is.",
}
"""What to do about ComfyUI's own problems, where nothing better is known."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `kind`, `message` and `details` are ComfyUI's; `remedy` says what to do."""

    kind: str
    message: str
    details: str = ""
    node_id: str | None = None
    node: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        message = f"{self.message}: {self.details}" if self.details else self.message
        remedy = self.remedy or REMEDIES.get(self.kind, "")
        if remedy and not message.endswith((".", "!", "?")):
            message += "."
        return one_line(" ".join(part for part in (f"{self.node}:" if self.node else "", message, remedy) if part))


class WorkflowError(Exception):
    """The workflow cannot run as it is; nothing has been started. One line a problem."""

    def __init__(self, problems: Problem | Sequence[Problem] | str):
        if isinstance(problems, str):
            problems = Problem("workflow", problems)
        self.problems: list[Problem] = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__(str(self))

    def __str__(self) -> str:
        return "\n".join(unique(str(problem) for problem in self.problems))


class NodeFailed(Exception):
    """A node raised while the workflow ran; `str()` is one line that names the node."""

    def __init__(self, node_id: str, node: dict[str, Any], cause: BaseException):
        cause = (from_disk(cause) if isinstance(cause, OSError) else None) or cause
        self.node_id, self.node, self.cause = node_id, node, cause
        text = str(cause)
        kind = "" if isinstance(cause, EMO2Error) or not text else f"{type(cause).__name__}: "
        super().__init__(one_line(f"{node_name(node_id, node)}: {kind}{text or type(cause).__name__}"))


def unique(lines: Iterable[str]) -> list[str]:
    """Lines in order, each once: ComfyUI repeats a custom validation's answer for every input it concerns."""
    return list(dict.fromkeys(lines))
