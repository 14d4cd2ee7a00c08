"""What tells a video model whose face it paints, as an artist chooses it: an ONNX file, or the one for puppets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error
from ..models.pose.detection import Detector
from ..models.pose.face_encoder import FACE, PIXELS, FaceEncoder, OnnxFaceEncoder, PuppetFaceEncoder, check_file
from ..models.pose.face_network import KIND, build
from ..models.pose.onnx_session import DEVICES, available, runtime
from . import host
from .loading import check_model, load_model
from .pose_detectors import built_in
from .registry import node

FOLDERS = ("insightface", "onnx", "emo2")
"""Model folders with ONNX files of face recognition, best first; other packs keep theirs in insightface."""
NONE = "none found"


def _files() -> dict[str, str]:
    """Names of the face encoders, each with the model folder it is in: the pack's kind first."""
    found = dict.fromkeys(host.model_files("emo2", kind=KIND), "emo2")
    for folder in FOLDERS:
        for name in host.model_files(folder, kind=FACE, suffixes=(".onnx",)):
            found.setdefault(name, folder)
    return found


def _path(name: str) -> Path:
    return host.model_path(name, _files().get(name, "emo2"), "face_encoder")


def _is_onnx(name: str) -> bool:
    return name.lower().endswith(".onnx")


@node("EMO2LoadFaceEncoder", "EMO2 Load Face Encoder", "EMO2/video")
class LoadFaceEncoder:
    DESCRIPTION = (
        "Loads what knows people by their faces: an ArcFace or AdaFace network (.onnx), or the pack's small one for "
        "puppets. EMO2 Encode Reference then tells a model with facial controls whose face it paints."
    )
    RETURN_TYPES = ("EMO2_FACE_ENCODER",)
    RETURN_NAMES = ("face_encoder",)
    OUTPUT_TOOLTIPS = ("The face encoder, for EMO2 Encode Reference.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "face_encoder": (list(_files()) or [NONE], {
                    "tooltip": "A face recognition network for pictures of 112 x 112 (w600k_r50.onnx, glintr100.onnx, "
                               "AdaFace) in ComfyUI's models/insightface, models/onnx or models/emo2, or the pack's. "
                               "Take the one that the video model was trained with."}),
                "pixels": (list(PIXELS), {"default": "auto",
                    "tooltip": "How an ONNX network takes colours. auto: bgr for files called AdaFace, 0..255 for "
                               "those that bring colours into range themselves, rgb for all others."}),
                "device": (list(DEVICES), {"default": "auto",
                    "tooltip": "Where an ONNX network computes. auto: on the graphics card if onnxruntime knows it, or "
                               "on the processor."}),
            },
            "optional": {
                "pose_detector": ("EMO2_POSE_DETECTOR", {
                    "tooltip": "Finds the face for an ONNX network; without it the pack's own detector."}),
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, face_encoder: str | None = None) -> bool | str:
        if face_encoder is None:
            return True
        if not _is_onnx(face_encoder):
            return check_model(face_encoder, KIND, "face_encoder")
        try:
            check_file(_path(face_encoder))
            if not available():
                runtime("face_encoder")
        except EMO2Error as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, face_encoder: str | None = None, **_: Any) -> str:
        try:
            state = _path(face_encoder or "").stat()
        except (EMO2Error, OSError):
            return ""
        return f"{state.st_mtime_ns}:{state.st_size}"

    def load(
        self, face_encoder: str, pixels: str = "auto", device: str = "auto", pose_detector: Detector | None = None
    ) -> tuple[FaceEncoder]:
        if not _is_onnx(face_encoder):
            handle = load_model(face_encoder, KIND, build, "face_encoder")
            return (PuppetFaceEncoder(handle.module.float().eval(), face_encoder),)  # type: ignore[arg-type]
        own = host.device()
        wanted = "cpu" if device == "auto" and own.type == "cpu" else device
        found = pose_detector if pose_detector is not None else built_in()
        return (OnnxFaceEncoder(_path(face_encoder), found, wanted, own.index or 0, pixels),)
