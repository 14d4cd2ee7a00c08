"""ComfyUI's own nodes that the pack's workflows use at their edges, for runs without ComfyUI.

Same class ids, inputs, widget order and outputs as ComfyUI's, so that one file runs in both.
"""

from __future__ import annotations

from . import audio, image, latent, primitives, video

NODE_CLASS_MAPPINGS: dict[str, type] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
for _room in (image, audio, video, latent, primitives):
    for _class_id, (_display_name, _cls) in _room.NODES.items():
        NODE_CLASS_MAPPINGS[_class_id] = _cls
        NODE_DISPLAY_NAME_MAPPINGS[_class_id] = _display_name

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
