"""Records how a ComfyUI server describes the core nodes that the workflows use, for `build.py`.

    python workflows/core/record.py http://127.0.0.1:8188

Take the oldest version that the pack works with: what it knows, newer ones know too. Lists of files are left out.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NODES = (
    "AudioEncoderEncode", "AudioEncoderLoader", "CLIPLoader", "CLIPTextEncode", "ImageFromBatch", "KSampler",
    "LatentConcat", "LatentCut", "LoraLoaderModelOnly", "ModelSamplingSD3", "TrimVideoLatent", "UNETLoader",
    "WanAnimateToVideo", "WanSoundImageToVideo", "WanSoundImageToVideoExtend",
)  # fmt: skip
KEPT = ("name", "display_name", "category", "input", "output", "output_name", "output_node")
FILE_INPUTS = ("unet_name", "lora_name", "clip_name", "audio_encoder_name")


def plain(definition: dict[str, Any]) -> dict[str, Any]:
    """A node's description without what differs from one machine to the next."""
    kept = {key: definition[key] for key in KEPT}
    for section in kept["input"].values():
        for name in FILE_INPUTS:
            if name in section:
                section[name] = [[], {}]
    return kept


if __name__ == "__main__":
    with urllib.request.urlopen(f"{sys.argv[1].rstrip('/')}/object_info") as answer:
        found = json.load(answer)
    part = HERE / "comfyui.part"
    part.write_text(json.dumps({name: plain(found[name]) for name in NODES}, indent=1) + "\n")
    os.replace(part, HERE / "comfyui.json")
