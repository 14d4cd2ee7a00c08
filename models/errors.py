"""The one error that a user of the pack can cause."""

from __future__ import annotations


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
