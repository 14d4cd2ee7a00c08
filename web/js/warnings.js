// Shows what a node wants the artist to know (nodes/host.py, warn) on the node itself and as a toast.
import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { ComfyWidgets } from "../../../scripts/widgets.js";

const NAME = "emo2_warning";
const told = new Set();

// Nodes within subgraphs have ids such as "12:3".
function findNode(id) {
  let graph = app.rootGraph ?? app.graph;
  let node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(Number(part)) ?? null;
    graph = node?.subgraph;
  }
  return node?.comfyClass?.startsWith("EMO2") ? node : null;
}

function show(node, message) {
  let widget = node.widgets?.find((one) => one.name === NAME);
  if (!widget) {
    widget = ComfyWidgets.STRING(node, NAME, ["STRING", { multiline: true }], app).widget;
    // Neither saved with the workflow nor sent to the server.
    widget.serialize = false;
    widget.options.serialize = false;
    widget.label = "warning";
    if (widget.element) widget.element.readOnly = true;
    widget.value = "";
  }
  widget.value = widget.value ? `${widget.value}\n${message}` : `\u26A0 ${message}`;
  node.setDirtyCanvas?.(true, true);
}

function clear(node) {
  const place = node.widgets?.findIndex((one) => one.name === NAME) ?? -1;
  if (place < 0) return;
  node.widgets[place].onRemove?.();
  node.widgets.splice(place, 1);
  node.setDirtyCanvas?.(true, true);
}

app.registerExtension({
  name: "EMO2.Warnings",
  setup() {
    api.addEventListener("executing", ({ detail }) => {
      const id = detail?.node ?? detail;
      const node = id === null || id === undefined ? null : findNode(id);
      if (node) clear(node);
    });
    api.addEventListener("emo2.warning", ({ detail }) => {
      const node = detail.node ? findNode(detail.node) : null;
      if (node) show(node, detail.message);
      if (told.has(detail.message)) return;
      told.add(detail.message);
      const summary = node?.title ?? "EMO2";
      app.extensionManager?.toast?.add?.({ severity: "warn", summary, detail: detail.message, life: 12000 });
    });
  },
});
