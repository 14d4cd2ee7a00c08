"""What an ONNX file takes and gives, read from the file without building the network.

An ONNX file is a protocol buffer. Its weights are skipped, so a file of hundreds of megabytes is read in milliseconds,
and neither `onnx` nor `onnxruntime` is needed to tell one network from another.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import EMO2Error

FLOAT, FLOAT16 = 1, 10
"""Element types of ONNX's TensorProto that networks on pictures use."""


class Value(NamedTuple):
    """An input or output. shape: None for a size that is free; () where the file says nothing. element: its type."""

    name: str
    shape: tuple[int | None, ...]
    element: int


class Graph(NamedTuple):
    """Inputs (without the weights, which old files list among them) and outputs of a network, in order."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def __str__(self) -> str:
        def told(values: tuple[Value, ...]) -> str:
            sizes = (" x ".join("any" if side is None else str(side) for side in value.shape) for value in values)
            names = [f"{value.name} ({size})" for value, size in zip(values, sizes)]
            return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")

        return f"a network from {told(self.inputs)} to {told(self.outputs)}"


def read_graph(path: Path, where: str = "model") -> Graph:
    """Inputs and outputs of the ONNX file at `path`. EMO2Error when it is none, or is cut off."""
    remedy = "Choose another file, or download it again."
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise ValueError("empty")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _model(data)
    except FileNotFoundError as error:
        raise EMO2Error(where, "an ONNX file", f"no file at {path}", "Check the name and the folder.") from error
    except IsADirectoryError as error:
        raise EMO2Error(where, "an ONNX file", f"a folder, {path.name}", "Choose a file in it.") from error
    except ValueError as error:
        raise EMO2Error(where, "an ONNX network", f"{path.name}, which is {error}", remedy) from error


def first_operations(path: Path, count: int) -> tuple[str, ...]:
    """What the first `count` nodes of an ONNX file's graph do, such as "Conv"; fewer where there are fewer."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        graph = next((value for field, value in _fields(data, (0, len(data))) if field == 7), 0)
        found: list[str] = []
        for field, node in _inside(data, graph):
            if field == 1 and len(found) < count:
                found.append(next((_text(data, value) for part, value in _inside(data, node) if part == 4), ""))
    return tuple(found)


Span = tuple[int, int]


def _model(data: mmap.mmap) -> Graph:
    version, graph = 0, None
    try:
        for field, value in _fields(data, (0, len(data))):
            if field == 1 and isinstance(value, int):
                version = value
            elif field == 7 and isinstance(value, tuple):
                graph = value
    except _Broken as error:
        raise ValueError("cut off" if version and graph else "none") from error
    if not version or graph is None:
        raise ValueError("none")
    try:
        found = _graph(data, graph)
    except _Broken as error:
        raise ValueError("damaged") from error
    if not found.inputs or not found.outputs:
        raise ValueError("a network without inputs or outputs")
    return found


def _graph(data: mmap.mmap, span: Span) -> Graph:
    inputs, outputs, weights = [], [], set()
    for field, value in _fields(data, span):
        if not isinstance(value, tuple):
            continue
        if field == 5:
            weights |= {_text(data, name) for number, name in _fields(data, value) if number == 8}
        elif field == 11:
            inputs.append(_value(data, value))
        elif field == 12:
            outputs.append(_value(data, value))
    return Graph(tuple(value for value in inputs if value.name not in weights), tuple(outputs))


def _value(data: mmap.mmap, span: Span) -> Value:
    """A ValueInfoProto: name (1), and in its type (2) the tensor's (1) element type (1) and shape (2)."""
    name, shape, element = "", [], 0
    for field, value in _fields(data, span):
        if field == 1:
            name = _text(data, value)
        elif field == 2:
            for kind, tensor in _inside(data, value):
                for part, content in _inside(data, tensor) if kind == 1 else ():
                    if part == 1 and isinstance(content, int):
                        element = content
                    elif part == 2:
                        shape = [_side(data, side) for number, side in _inside(data, content) if number == 1]
    return Value(name, tuple(shape), element)


def _side(data: mmap.mmap, value: int | Span) -> int | None:
    """A dimension: its size, or None when it has only a name, or is 0 or -1 as some exporters write."""
    size = next((size for field, size in _inside(data, value) if field == 1 and isinstance(size, int)), 0)
    return size if 0 < size < 1 << 31 else None


def _text(data: mmap.mmap, value: int | Span) -> str:
    return bytes(data[value[0] : value[1]]).decode("utf-8", "replace") if isinstance(value, tuple) else ""


def _inside(data: mmap.mmap, value: int | Span) -> Iterator[tuple[int, int | Span]]:
    return _fields(data, value if isinstance(value, tuple) else (0, 0))


class _Broken(Exception):
    """Bytes that are no protocol buffer."""


def _fields(data: mmap.mmap, span: Span) -> Iterator[tuple[int, int | Span]]:
    """(number, value) of each field of a message: whole numbers as they are, texts and messages as where they lie."""
    at, end = span
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at, end)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at, end)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise _Broken
        if number == 0 or at + length > end:
            raise _Broken
        yield number, (at, at + length)
        at += length


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise _Broken
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise _Broken
