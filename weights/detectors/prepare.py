"""Makes the files of this folder again: `python prepare.py mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl`.

Takes the networks out of the wheel, leaves away of the body's what nobody reads here, and packs each with gzip. Needs
ai-edge-litert, for the description of the format. The same wheel gives the same bytes.
"""

from __future__ import annotations

import gzip
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NETWORKS = (
    "pose_detection/pose_detection", "pose_landmark/pose_landmark_full", "holistic_landmark/hand_recrop",
    "palm_detection/palm_detection_full", "hand_landmark/hand_landmark_full", "face_landmark/face_landmark",
)  # fmt: skip
READ = {"pose_landmark_full": {"Identity", "Identity_1", "Identity_3"}}
"""Outputs that are kept where not all are: points, presence and heat; not the mask and the points in metres."""


def prepare(wheel: Path, folder: Path = HERE) -> None:
    """Writes every network of `wheel` into `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        for path in NETWORKS:
            name = path.split("/")[-1]
            data = archive.read(f"mediapipe/modules/{path}.tflite")
            if name in READ:
                data = without_other_outputs(data, READ[name])
            (folder / f"{name}.tflite.gz").write_bytes(gzip.compress(data, 9, mtime=0))


def without_other_outputs(data: bytes, kept: set[str]) -> bytes:
    """A TensorFlow Lite file with these outputs only, and without the layers and weights that led to the others."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))
    graph = model.subgraphs[0]
    outputs = [tensor for tensor in graph.outputs if graph.tensors[tensor].name.decode() in kept]
    needed = {int(tensor) for tensor in [*graph.inputs, *outputs]}
    layers = []
    for layer in reversed(graph.operators):
        if needed & {int(tensor) for tensor in layer.outputs}:
            layers.append(layer)
            needed |= {int(tensor) for tensor in [*layer.inputs, *layer.outputs] if tensor >= 0}
    place = {tensor: i for i, tensor in enumerate(sorted(needed))} | {-1: -1}
    moved = lambda tensors: [place[int(tensor)] for tensor in tensors]
    for layer in layers:
        layer.inputs, layer.outputs = moved(layer.inputs), moved(layer.outputs)
    graph.operators = layers[::-1]
    graph.tensors = [graph.tensors[tensor] for tensor in sorted(needed)]
    graph.inputs, graph.outputs = moved(graph.inputs), moved(outputs)
    holders = [*graph.tensors, *(model.metadata or [])]
    buffers = sorted({0} | {holder.buffer for holder in holders})  # buffer 0 is the format's empty one
    for holder in holders:
        holder.buffer = buffers.index(holder.buffer)
    model.buffers = [model.buffers[i] for i in buffers]
    model.signatureDefs = None
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
