// A colour for each of the pack's wires, so that motion, voice and video can be told apart on a full canvas.
import { app } from "../../../scripts/app.js";

const COLOURS = {
  EMO2_AUDIO: "#7ccf8a",
  EMO2_AUDIO_ENCODER: "#3f8f5a",
  EMO2_MOTION: "#e0ad3b",
  EMO2_MOTION_MODEL: "#a9792a",
  EMO2_HANDS: "#d98a5b",
  EMO2_FRAMING: "#6fb7d6",
  EMO2_VIDEO_MODEL: "#a85fb0",
  EMO2_REFERENCE: "#d486d8",
  EMO2_WINDOWS: "#9c93d8",
  EMO2_POSE_DETECTOR: "#5fa8a0",
  EMO2_FACE_ENCODER: "#c9798f",
  EMO2_SCRIPT: "#d6d06a",
  EMO2_FACE: "#e58aa0",
  EMO2_DIRECTED_MODEL: "#8f8a2f",
};

function paint() {
  // Slots and links keep their colours in two tables; a version without one keeps its own colour there.
  for (const table of [app.canvas?.default_connection_color_byType, window.LGraphCanvas?.link_type_colors])
    if (table) Object.assign(table, COLOURS);
}

app.registerExtension({
  name: "EMO2.WireColours",
  setup: paint,
  // The page clears the colours of types it does not know when it reads its theme, which may be after the set-up.
  beforeConfigureGraph: paint,
});
