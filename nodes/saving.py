"""Where a node that writes files puts them: ComfyUI's rules for `filename_prefix`, with or without ComfyUI."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ..models.errors import EMO2Error
from . import host

LONGEST = 200
"""Bytes of a name; file systems take 255, and a number and temporary marks are added."""


def check_prefix(filename_prefix: str | None) -> bool | str:
    """VALIDATE_INPUTS of nodes that save: True, or why nothing can be saved there. None comes over a wire, later."""
    try:
        if filename_prefix is not None:
            place(str(filename_prefix), 0, 0)
    except EMO2Error as error:
        return str(error)
    return True


def place(filename_prefix: str, height: int, width: int) -> tuple[Path, str, str]:
    """(folder, file name without number, subfolder of the output folder) for a prefix such as "video/EMO2".

    %width%, %height%, %year%, %month%, %day%, %hour%, %minute% and %second% are filled in. A prefix that leads out of
    the output folder is refused.
    """
    now = time.localtime()
    parts = {"width": width, "height": height, "year": now.tm_year, "month": f"{now.tm_mon:02}"}
    parts |= {"day": f"{now.tm_mday:02}", "hour": f"{now.tm_hour:02}"}
    parts |= {"minute": f"{now.tm_min:02}", "second": f"{now.tm_sec:02}"}
    prefix = filename_prefix.replace("\\", "/")
    for name, value in parts.items():
        prefix = prefix.replace(f"%{name}%", str(value))
    output = host.output_directory().resolve()
    path = Path(os.path.normpath(output / prefix))
    longest = max(len(os.fsencode(part)) for part in prefix.split("/"))
    if longest > LONGEST:
        given = f"{longest} bytes ({prefix[:40]!r} ...)"
        raise EMO2Error("filename_prefix", f"a name of at most {LONGEST} bytes", given, "Choose a shorter name.")
    inside = path != output and output in path.parents and not prefix.startswith("/") and "\0" not in prefix
    if not inside or prefix.endswith("/"):
        raise EMO2Error(
            "filename_prefix",
            "a name within the output folder",
            repr(filename_prefix),
            'Use something like "video/EMO2".',
        )
    return path.parent, path.name, path.parent.relative_to(output).as_posix().removeprefix(".")
