"""In which order nodes run: only what the outputs need, each node after the nodes that feed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


class Cycle(Exception):
    """Nodes that wait for each other; `path` starts and ends with the same id."""

    def __init__(self, path: list[str]):
        super().__init__(" -> ".join(path))
        self.path = path


def is_link(value: Any) -> bool:
    """Whether an input's value is a link [node id, output number]."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], (str, int))
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def feeds(node: Mapping[str, Any]) -> list[str]:
    """Ids of the nodes that this one takes something from, in the order of its inputs."""
    return [str(value[0]) for value in node["inputs"].values() if is_link(value)]


def needed_nodes(prompt: Mapping[str, Mapping[str, Any]], outputs: Iterable[str]) -> list[str]:
    """Ids in running order, depth first from the outputs. Raises Cycle. Not recursive: chains may be long."""
    order: list[str] = []
    done: set[str] = set()
    for output in outputs:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, bool]] = [(output, False)]
        while stack:
            node_id, finished = stack.pop()
            if finished:
                path.pop()
                on_path.discard(node_id)
                done.add(node_id)
                order.append(node_id)
            elif node_id in on_path:
                raise Cycle([*path[path.index(node_id) :], node_id])
            elif node_id not in done:
                path.append(node_id)
                on_path.add(node_id)
                stack.append((node_id, True))
                stack += [(feed, False) for feed in reversed(feeds(prompt[node_id]))]
    return order


def consumers(prompt: Mapping[str, Mapping[str, Any]], order: Iterable[str]) -> Counter[str]:
    """How many inputs take something from each node; its results can go when the count is used up."""
    return Counter(feed for node_id in order for feed in feeds(prompt[node_id]))
