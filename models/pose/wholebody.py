"""Body, hands and face of everyone in a picture by two ONNX files: DWPose or RTMW, and a detector of persons."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import EMO2Error
from . import face_encoder, rtmpose, yolox
from .coco_wholebody import to_openpose
from .detection import Seen
from .keypoint_motion import KNOWN
from .onnx_graph import Graph, read_graph
from .rtmpose import PoseNetwork
from .yolox import PersonDetector

POSE, PERSON = "pose", "person"
LARGE = 1.5
"""Scores above this show a network whose scores are ten times as large.

The softmax of the loss takes SimCC's scores times beta. DWPose and RTMPose learned with beta 10, and their best points
score about 1; RTMW learned with beta 1, and its points score 5 and more (mmpose's configs, and its issue 2939).
"""


def kind_of_graph(graph: Graph) -> str | None:
    """POSE for a whole-body network, PERSON for a detector of persons, FACE for one that recognises faces, None for
    another."""
    if rtmpose.problem(graph) is None:
        return POSE
    if face_encoder.problem(graph) is None:
        return face_encoder.FACE
    return PERSON if yolox.problem(graph) is None else None


def check_file(path: Path, kind: str, where: str) -> Graph:
    """What `read_graph` finds in the file; EMO2Error that says what it is when it is not of this kind.

    Nothing is built: this takes milliseconds.
    """
    graph = read_graph(path, where)
    part, other = (rtmpose, PERSON) if kind == POSE else (yolox, POSE)
    trouble = part.problem(graph)
    if trouble is None:
        return graph
    if kind_of_graph(graph) == other:
        belongs = "person_detector" if other == PERSON else "detector"
        what = yolox.WANTED if other == PERSON else rtmpose.WANTED
        raise EMO2Error(where, part.WANTED, f"{path.name}, {what}", f"It belongs to the input {belongs}.")
    raise EMO2Error(where, part.WANTED, f"{path.name}, {trouble}", "Choose another file.")


class WholeBodyDetector:
    """A `Detector` of a pose network and, where given, a person detector.

    Without one, the whole picture counts as one person: right for one person who fills it. Each frame stands alone.
    """

    def __init__(self, pose: PoseNetwork, persons: PersonDetector | None = None):
        self.pose, self.persons = pose, persons
        self._unit = 1.0
        with_persons = f" with {persons.network.path.name}" if persons else ""
        self.name = f"{pose.network.path.name}{with_persons} ({pose.network.device})"

    @property
    def on_processor(self) -> bool:
        """Whether at least one of the networks runs there."""
        return "CPU" in (self.pose.network.device, self.persons.network.device if self.persons else "")

    @property
    def fell_back(self) -> bool:
        """Whether a graphics card was there that onnxruntime could not start."""
        return self.pose.network.fell_back or (self.persons is not None and self.persons.network.fell_back)

    def reset(self) -> None:
        """There is nothing to forget: what is known of the files stays true."""

    def detect(self, frames: np.ndarray) -> list[list[Seen]]:
        """People in each of `frames` (N, H, W, 3) uint8 RGB, the surest first.

        Scores are the network's, a tenth of them where it gives LARGE ones, cut at 1. A person's is the box's times the
        mean of the known body points' (KNOWN). People without one known point of body or hands are left out.
        """
        frames = np.asarray(frames)
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not all(frames.shape[1:3]):
            given = f"{frames.dtype} {frames.shape}"
            raise EMO2Error("frames", "pictures (N, H, W, 3) uint8", given, "Give RGB pictures 0..255.")
        height, width = frames.shape[1:3]
        if self.persons is None:
            owners, sure = np.arange(len(frames)), np.ones(len(frames))
            boxes = np.tile(np.array([0.0, 0, width, height]), (len(frames), 1))
        else:
            people = self.persons.find(frames)
            owners = np.repeat(np.arange(len(frames)), [len(one.scores) for one in people])
            boxes = np.concatenate([np.zeros((0, 4)), *(one.boxes for one in people)])
            sure = np.concatenate([np.zeros(0), *(one.scores for one in people)])
        points, scores = self.pose.points(frames, owners, boxes)
        if np.nanmax(scores, initial=0) > LARGE:
            self._unit = 0.1
        found: list[list[Seen]] = [[] for _ in frames]
        size = np.array([width, height], np.float64)
        lost = ~np.isfinite(points).all(-1) | ~np.isfinite(scores) | ~(scores > 0)
        points = np.where(lost[..., None], 0.0, points) / size
        whole = to_openpose(points, np.where(lost, 0.0, np.clip(scores * self._unit, 0, 1)))
        for i, owner in enumerate(owners):
            body, body_scores, hands, hand_scores, face, face_scores = (part[i] for part in whole)
            known = body_scores >= KNOWN
            if not known.any() and not (hand_scores >= KNOWN).any():
                continue
            score = float(sure[i] * body_scores[known].mean()) if known.any() else 0.0
            box = np.clip(boxes[i] / np.tile(size, 2), 0, 1)
            if self.persons is None:
                box = _around(np.concatenate([body[known], hands[hand_scores >= KNOWN]]))
            found[owner].append(Seen(body, body_scores, hands, hand_scores, face, face_scores, box, score))
        return [sorted(people, key=lambda person: -person.score) for people in found]


def _around(points: np.ndarray) -> np.ndarray:
    """The box (4,) around points (K, 2), within the picture."""
    return np.clip(np.concatenate([points.min(0), points.max(0)]), 0, 1)


def load_whole_body(
    pose: Path, persons: Path | None = None, device: str = "auto", threads: int = 0, device_id: int = 0
) -> WholeBodyDetector:
    """The detector of a pose file and, where given, a person detector's.

    device: "auto" (a graphics card where onnxruntime has one), "cpu" or "gpu"; device_id: which card. threads: on the
    processor, 0 for all cores. Both files are looked at before either network is built.
    """
    graph = check_file(pose, POSE, "detector")
    people = check_file(persons, PERSON, "person_detector") if persons else None
    network = PoseNetwork(pose, graph, device, threads, device_id)
    if persons is None or people is None:
        return WholeBodyDetector(network)
    return WholeBodyDetector(network, PersonDetector(persons, people, device, threads, device_id))
