"""Prompts for a real server."""

from emo2 import NODE_CLASS_MAPPINGS


class Graph(dict):
    """A prompt under construction: `add` fills widgets with their defaults and returns the node's id."""

    def add(self, class_id, **inputs):
        if class_id in NODE_CLASS_MAPPINGS:
            for name, spec in NODE_CLASS_MAPPINGS[class_id].INPUT_TYPES().get("required", {}).items():
                first = spec[0][0] if isinstance(spec[0], (list, tuple)) and spec[0] else None
                inputs.setdefault(name, spec[1].get("default", first))
        node_id = str(len(self) + 1)
        self[node_id] = {"class_type": class_id, "inputs": inputs}
        return node_id

    def show(self, node_id, slot=0):
        return self.add("PreviewImage", images=[node_id, slot])
