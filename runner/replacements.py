"""The texts that ComfyUI's page fills in before it queues: %date:yyyy-MM-dd% and %Node.widget% in file names."""

from __future__ import annotations

import re
import time
from typing import Any

PLACE = re.compile(r"%([^%\n]+)%")
DATE = re.compile(r"d+|M+|h+|m+|s+|y+")
SAFE = re.compile(r'[/?<>\\:*|"\x00-\x1F\x7F]')


def format_date(pattern: str, now: time.struct_time) -> str:
    """`pattern` with y, M, d, h, m, s runs replaced, each padded to the run's length (years: its last digits)."""
    parts = {"d": now.tm_mday, "M": now.tm_mon, "h": now.tm_hour, "m": now.tm_min, "s": now.tm_sec}

    def put(match: re.Match[str]) -> str:
        run = match.group()
        if run[0] == "y":
            return f"{now.tm_year:04d}" if len(run) >= 4 else f"{now.tm_year:04d}"[-len(run) :]
        return f"{parts[run[0]]:0{len(run)}d}"

    return DATE.sub(put, pattern)


def replace_text(
    prompt: dict[str, dict[str, Any]], canvas: dict[str, Any], now: time.struct_time | None = None
) -> None:
    """Fill in the file-name prefixes of a converted canvas, in place. What cannot be resolved stays as it is."""
    named: dict[str, list[dict[str, Any]]] = {}
    for node_id, node in prompt.items():
        source = next((n for n in canvas.get("nodes", []) if isinstance(n, dict) and str(n.get("id")) == node_id), {})
        properties = source.get("properties")
        alias = properties.get("Node name for S&R") if isinstance(properties, dict) else None
        for name in {alias, node["_meta"]["title"]} - {None}:
            named.setdefault(str(name), []).append(node)
    now = now or time.localtime()

    def put(match: re.Match[str]) -> str:
        text = match.group(1)
        if text.startswith("date:"):
            return format_date(text[5:], now)
        target, _, widget = text.rpartition(".")
        found = named.get(target, [])
        value = found[0]["inputs"].get(widget) if len(found) == 1 else None
        return match.group() if value is None or isinstance(value, (list, dict)) else SAFE.sub("_", str(value))

    for node in prompt.values():
        prefix = node["inputs"].get("filename_prefix")
        if isinstance(prefix, str) and "%" in prefix:
            node["inputs"]["filename_prefix"] = PLACE.sub(put, prefix)
