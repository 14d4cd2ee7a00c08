"""Every stage-2 metric: which way is better, which file it needs, where that file goes and what it is.

The files are licensed by others and never shipped or downloaded. They go into a folder `evaluation` inside any model
folder (`weights/evaluation`, or DIR/evaluation for `--models DIR`). Without its file a metric says what is missing and
gives no number.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .measured import Measured, absent

FOLDER = "evaluation"
"""The folder inside a model folder where the files of the metrics are looked for."""


@dataclass(frozen=True)
class Metric:
    """What is known of a metric before anything is measured.

    file: the name of the file it needs ("" none), what: what that file is, package: an optional Python package it needs
    (import name), better: "higher", "lower" or "" (neither is better), truth: needs the true video beside the made one.
    """

    name: str
    better: str
    meaning: str
    file: str = ""
    what: str = ""
    package: str = ""
    truth: bool = False
    network: str = ""


METRICS: dict[str, Metric] = {metric.name: metric for metric in (
    Metric("SSIM", "higher", "structural similarity to the true video (Wang 2004)", package="skimage", truth=True),
    Metric("PSNR", "higher", "peak signal to noise against the true video, dB", package="skimage", truth=True),
    Metric("FID", "lower", "Frechet distance of frames in Inception-V3 pool features (Heusel 2017)",
           "inception-2015-12-05.pt", "TorchScript of the FID Inception-V3, as StyleGAN2-ADA's metrics use it",
           truth=True, network="Inception-V3 (2015-12-05)"),
    Metric("FVD", "lower", "Frechet distance of clips in I3D-400 logits (Unterthiner 2018)",
           "i3d_torchscript.pt", "TorchScript of the I3D of Kinetics-400, as StyleGAN-V's metrics use it",
           truth=True, network="I3D (Kinetics-400)"),
    Metric("FID-tinyCLIP", "lower", "a stand-in for FID on puppets: Frechet distance in the pack's own tiny CLIP image "
           "encoder; not comparable with any published FID", truth=True, network="tiny CLIP image encoder"),
    Metric("HKC", "higher", "hand keypoint confidence: mean confidence of the detected hand points (EMO2 4.2)"),
    Metric("HKV", "", "hand keypoint variance over time (EMO2 4.2): liveliness, but it rewards jitter: read the jerk"),
    Metric("hand jerk", "lower", "mean third difference of the hand keypoints, widths per s^3; read beside HKV"),
    Metric("CSIM", "higher", "cosine of face identities, reference against made frames",
           "arcface.onnx", "an ArcFace network as ONNX, 112x112 RGB in, embedding out (insightface w600k_r50.onnx)",
           "onnxruntime"),
    Metric("Sync-C", "higher", "SyncNet confidence: median minus smallest audio-lip distance (Chung 2016)",
           "syncnet_v2.model", "SyncNet's public weights"),
    Metric("Sync-D", "lower", "SyncNet distance: smallest mean audio-lip distance (Chung 2016)",
           "syncnet_v2.model", "SyncNet's public weights"),
    Metric("EFID", "lower", "Frechet distance of facial expressions",
           "expression.onnx", "a face expression network as ONNX, 224x224 RGB 0..1 face crop in, coefficients out "
           "(the papers: the 64 expression coefficients of Deep3DFaceRecon)", "onnxruntime", True),
)}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """The file a metric needs, or the sentence that says what is missing."""

    path: Path | None
    missing: str = ""


def locate(name: str, folders: Sequence[Path | str]) -> Found:
    """The file of metric `name` in FOLDER of the first of the model `folders` that has it.

    `path` is None for a metric without a file; `missing` says which package or file is not at hand and where to put it.
    """
    metric = METRICS[name]
    if metric.package and importlib.util.find_spec(metric.package) is None:
        wheel = {"skimage": "scikit-image"}.get(metric.package, metric.package)
        return Found(None, f"the package {wheel} (pip install {wheel})")
    if not metric.file:
        return Found(None)
    places = [Path(folder) / FOLDER for folder in folders]
    for place in places:
        if (place / metric.file).is_file():
            return Found(place / metric.file)
    where = " or ".join(str(place) for place in places) or f"a folder {FOLDER} in a model folder (--models)"
    return Found(None, f"{metric.file} in {where} ({metric.what})")


def missing(name: str, reason: str) -> Measured:
    """`name` as not to be had."""
    metric = METRICS[name]
    return absent(name, metric.better, reason, metric.network)


def named(name: str, **result: object) -> Measured:
    """A result with the metric's name, direction and network filled in."""
    metric = METRICS[name]
    return Measured(name, metric.better, **{"network": metric.network, **result})  # type: ignore[arg-type]
