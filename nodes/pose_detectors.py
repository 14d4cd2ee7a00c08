"""What finds people in pictures as an artist chooses it: the built-in detector, or DWPose, RTMW and ViTPose files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error
from ..models.pose.detection import Detector
from ..models.pose.onnx_session import DEVICES, INSTALL, available, runtime
from ..models.pose.wholebody import PERSON, POSE, check_file, load_whole_body
from . import host
from .registry import node

BUILT_IN = "built in (no download)"
WHOLE = "none (whole picture)"
FOLDERS = ("dwpose", "detection", "onnx", "emo2")
"""Model folders with such files, best first: DWPose's packs', WanAnimatePreprocess's and ComfyUI's own detectors'."""
SUFFIX = (".onnx",)


def built_in() -> Detector:
    """The detector that comes with the pack; its networks are opened when they are first needed."""
    from ..models.pose.offline import OfflineDetector

    return OfflineDetector()


def _files(kind: str) -> dict[str, str]:
    """Names of the ONNX networks of a kind, each with the model folder it is in."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for name in host.model_files(folder, kind=kind, suffixes=SUFFIX):
            found.setdefault(name, folder)
    return found


def _path(name: str, kind: str, where: str) -> Path:
    """The file that a name in the list stands for; an EMO2Error when it is not there."""
    folder = _files(kind).get(name)
    missing = None
    for place in (folder,) if folder else FOLDERS:
        try:
            return host.model_path(name, place, where)
        except EMO2Error as error:
            missing = missing or error
    assert missing is not None
    raise missing


def _chosen(detector: str, person_detector: str) -> tuple[Path, Path | None] | None:
    """The two files; None for the built-in detector, which needs none."""
    if detector == BUILT_IN:
        return None
    persons = None if person_detector == WHOLE else _path(person_detector, PERSON, "person_detector")
    return _path(detector, POSE, "detector"), persons


@node("EMO2LoadPoseDetector", "EMO2 Load Pose Detector", "EMO2/pose")
class LoadPoseDetector:
    DESCRIPTION = (
        "Loads what finds people in pictures and video: body, both hands and face. The built-in detector needs no "
        "download; files of DWPose, RTMW and ViTPose (.onnx), which other packs use too, can run on the graphics card."
    )
    RETURN_TYPES = ("EMO2_POSE_DETECTOR",)
    RETURN_NAMES = ("pose_detector",)
    OUTPUT_TOOLTIPS = ("The detector, for the EMO2 nodes that find poses in pictures and video.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        where = "in ComfyUI's models/dwpose, models/detection, models/onnx or models/emo2"
        return {
            "required": {
                "detector": ([BUILT_IN, *_files(POSE)], {"default": BUILT_IN,
                    "tooltip": "The built-in detector, or a whole-body pose network (DWPose's dw-ll_ucoco_384.onnx, "
                               f"RTMW, ViTPose) {where}."}),
                "person_detector": ([WHOLE, *_files(PERSON)], {"default": WHOLE,
                    "tooltip": "Tells a pose network where people are: YOLOX (DWPose's yolox_l.onnx, or RTMPose's) or "
                               f"YOLOv10, {where}. Without one, the whole picture counts as one person. The built-in "
                               "detector finds people by itself."}),
                "device": (list(DEVICES), {"default": "auto",
                    "tooltip": "Where a pose network computes. auto: on the graphics card if onnxruntime knows it, or "
                               "on the processor. The built-in detector always computes on the processor."}),
            }
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, detector: str | None = None, person_detector: str | None = None) -> bool | str:
        try:
            if detector not in (None, BUILT_IN):
                check_file(_path(detector, POSE, "detector"), POSE, "detector")
                if not available():
                    runtime("detector")
            if person_detector not in (None, WHOLE) and detector != BUILT_IN:
                check_file(_path(person_detector, PERSON, "person_detector"), PERSON, "person_detector")
        except EMO2Error as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, detector: str | None = None, person_detector: str | None = None, device: str = "") -> str:
        try:
            paths = _chosen(detector or BUILT_IN, person_detector or WHOLE) or ()
            states = [path.stat() for path in paths if path is not None]
        except (EMO2Error, OSError):
            return ""
        return ";".join(f"{state.st_mtime_ns}:{state.st_size}" for state in states)

    def load(self, detector: str, person_detector: str = WHOLE, device: str = "auto") -> tuple[Detector]:
        files = _chosen(detector, person_detector)
        if files is None:
            return (built_in(),)
        own = host.device()
        # ComfyUI told to stay on the processor means this too.
        wanted = "cpu" if device == "auto" and own.type == "cpu" else device
        loaded = load_whole_body(*files, device=wanted, device_id=own.index or 0)
        if wanted == "auto" and loaded.on_processor:
            why = "could not start the graphics card (see the log)" if loaded.fell_back else "knows no graphics card"
            host.warn(f"{loaded.name} works on the processor: onnxruntime {why}. For the card: {INSTALL}.")
        return (loaded,)
