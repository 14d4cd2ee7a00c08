"""The one error that a user of the pack can cause."""

from __future__ import annotations

import errno

SPACE = "Free some space, or give another folder."
ELSEWHERE = "Give another folder."
RIGHTS = "Give another folder, or change who may use this one."
DISK = {
    errno.ENOSPC: SPACE, errno.EDQUOT: SPACE, errno.EROFS: ELSEWHERE, errno.ENOTDIR: ELSEWHERE,
    errno.EACCES: RIGHTS, errno.EPERM: RIGHTS,
    errno.ENAMETOOLONG: "Choose a shorter name.",
}  # fmt: skip
"""What to do about a file system's refusals."""


class EMO2Error(ValueError):
    """A problem with something the user gave: one line that says where, what was expected, what came, what to do.

    `input` names the node input, option or file; `node` is the node's display name and is filled in by the node layer
    when the code that noticed the problem lives below it.
    """

    def __init__(self, input: str, expected: str, given: object, remedy: str, node: str | None = None):
        self.input, self.expected, self.given, self.remedy = input, expected, given, remedy
        self.node = node
        super().__init__(input, expected, given, remedy)

    def __str__(self) -> str:
        where = f"{self.node}, {self.input}" if self.node else self.input
        given = str(self.given)
        if len(given) > 300:
            given = given[:297] + "..."
        return " ".join(f"{where}: expected {self.expected}, but got {given}. {self.remedy}".split())

    def at(self, node: str | None = None, input: str | None = None) -> EMO2Error:
        """The same error with the node (and, where it is known better up there, the input) filled in."""
        return EMO2Error(input or self.input, self.expected, self.given, self.remedy, self.node or node)


def from_disk(error: OSError) -> EMO2Error | None:
    """A full disk, a folder that nobody may write to, a name too long: the same as our own error. None for others."""
    remedy = DISK.get(error.errno or 0)
    if remedy is None:
        return None
    place = error.filename2 or error.filename
    where = f"file {place}" if isinstance(place, str) else "a file"
    return EMO2Error(where, "a place that can be written to", error.strerror or error, remedy)
