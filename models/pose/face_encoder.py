"""Whose face it is: a face recognition network's embedding of the person in a picture.

Two kinds: an ONNX file of the user's (ArcFace, arXiv 1801.07698, AdaFace, arXiv 2204.00964, and what follows their
conventions), and the pack's own small network for puppets.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import EMO2Error
from ..types import Framing
from .face_crop import SIDE, aligned, head_cut
from .onnx_graph import Graph, first_operations, read_graph
from .onnx_session import Network, picture_input

if TYPE_CHECKING:
    from .detection import Detector
    from .face_network import FaceNetwork

FACE = "face"
"""What an ONNX file is for that `problem` finds nothing wrong with."""
WANTED = f"a face recognition network for pictures of {SIDE} x {SIDE} (ArcFace, AdaFace)"
WIDTHS = (128, 2048)
"""The fewest and most numbers of an embedding; nearly all have 512."""
PIXELS = ("auto", "rgb", "bgr", "rgb 0..255")
"""What a network takes: red, green, blue or blue, green, red from -1 to 1; or numbers as they are in a picture."""
KNOWN = 0.3
"""Score from which on a point of a face counts as found."""


class FaceEncoder(Protocol):
    """Knows people by their faces. `name` says to an artist which one it is, `width` how many numbers it gives."""

    name: str
    width: int

    def encode(self, picture: np.ndarray, framing: Framing | None = None) -> np.ndarray:
        """The person in a picture (H, W, 3) uint8 RGB: a direction (width,) float32 of length 1.

        framing: where the person stands in it, or in the same picture at another size. EMO2Error where no face is
        found.
        """
        ...


def problem(graph: Graph) -> str | None:
    """Why a network is none that recognises faces; None when it is one."""
    size = picture_input(graph)
    if size is None:
        source = graph.inputs[0].shape
        last = len(source) == 4 and source[-1] == 3
        return f"{graph}, whose pictures have their colours last" if last else str(graph)
    fits = all(side in (SIDE, None) for side in size)
    out = [value.shape for value in graph.outputs]
    vector = len(out[0]) == 2 and WIDTHS[0] <= (out[0][1] or 0) <= WIDTHS[1]
    return None if fits and vector and len(out) <= 2 else str(graph)


def check_file(path: Path, where: str = "face_encoder") -> Graph:
    """What `read_graph` finds in the file; EMO2Error that says what it is when it recognises no faces."""
    graph = read_graph(path, where)
    trouble = problem(graph)
    if trouble is not None:
        raise EMO2Error(where, WANTED, f"{path.name}, {trouble}", "Choose another file.")
    return graph


def pixels_of(path: Path, pixels: str = "auto") -> str:
    """How the network of a file takes its pictures, one of PIXELS without "auto".

    AdaFace's are known by their name. A network that begins with a subtraction or a multiplication brings colours into
    their range by itself, as those of the ONNX model zoo do. All others follow InsightFace.
    """
    if pixels not in PIXELS:
        raise EMO2Error("pixels", f"one of {', '.join(PIXELS)}", repr(pixels), "Choose one from the list.")
    if pixels != "auto":
        return pixels
    if "adaface" in path.name.lower():
        return "bgr"
    return "rgb 0..255" if {"Sub", "Mul"} & set(first_operations(path, 4)) else "rgb"


def prepared(faces: np.ndarray, pixels: str) -> np.ndarray:
    """Faces (B, S, S, 3) uint8 RGB as a network takes them, (B, 3, S, S) float32. pixels: of PIXELS, not "auto"."""
    x = np.ascontiguousarray(faces[..., ::-1] if pixels == "bgr" else faces).astype(np.float32)
    if pixels != "rgb 0..255":
        x = (x - 127.5) / 127.5
    return x.transpose(0, 3, 1, 2)


class OnnxFaceEncoder:
    """A `FaceEncoder` of an ONNX file; `detector` finds the face.

    device, device_id: as `Network` takes them. pixels: one of PIXELS.
    """

    def __init__(self, path: Path, detector: Detector, device: str = "auto", device_id: int = 0, pixels: str = "auto"):
        graph = check_file(path)
        self.pixels = pixels_of(path, pixels)
        self.detector = detector
        self.network = Network(path, graph, device, device_id=device_id, where="face_encoder")
        self.width = int(graph.outputs[0].shape[1] or 0)
        self.name = f"{path.name} ({self.network.device})"

    def encode(self, picture: np.ndarray, framing: Framing | None = None) -> np.ndarray:
        """The most certain person's face, aligned by its eyes, nose and mouth."""
        self.detector.reset()
        people = self.detector.detect(picture[None])[0]
        faces = [person for person in people if _found(person.face_scores)]
        if not faces:
            given = "a picture without" if people else "nobody in the picture"
            raise EMO2Error("image", "a face that can be seen", given, "Give a picture with eyes and mouth in sight, "
                            "or disconnect face_encoder.")  # fmt: skip
        points = faces[0].face * np.array([picture.shape[1], picture.shape[0]])
        return self.embed(aligned(picture, points)[None])[0]

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Aligned faces (B, 112, 112, 3) uint8 RGB to directions (B, width) float32 of length 1."""
        outputs = self.network.run(prepared(faces, self.pixels))
        return unit(outputs[self.network.names[0]].astype(np.float32), self.name)


class PuppetFaceEncoder:
    """A `FaceEncoder` of the pack's own network. It finds no faces: the framing says where the head is."""

    def __init__(self, network: FaceNetwork, name: str = "puppets"):
        self.network, self.name, self.width = network, name, network.embedding

    def encode(self, picture: np.ndarray, framing: Framing | None = None) -> np.ndarray:
        if framing is None:
            raise EMO2Error("framing", "where the person stands", "nothing", "Connect EMO2 Set Framing: the small face "
                            "encoder finds no faces by itself.")  # fmt: skip
        return self.embed(head_cut(picture, framing, self.network.side)[None])[0]

    def embed(self, heads: np.ndarray) -> np.ndarray:
        """Heads (B, side, side, 3) uint8 RGB, cut out by `head_cut`, to directions (B, width) float32 of length 1."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(heads)).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            device = next(self.network.parameters()).device
            return unit(self.network(pixels.to(device)).float().cpu().numpy(), self.name)


def unit(vectors: np.ndarray, name: str) -> np.ndarray:
    """Vectors (B, D) at length 1. EMO2Error for what has no direction."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths < 1e-12).any():
        raise EMO2Error("face_encoder", "finite numbers from the network", f"none from {name}", "Take another file.")
    return (vectors / lengths).astype(np.float32)


def _found(scores: np.ndarray) -> bool:
    """Whether eyes, nose and mouth of a face with scores (70,) are known."""
    return bool((np.asarray(scores)[[*range(36, 48), 30, 48, 54]] >= KNOWN).all())


__all__ = ["FACE", "PIXELS", "FaceEncoder", "OnnxFaceEncoder", "PuppetFaceEncoder", "check_file", "problem"]
