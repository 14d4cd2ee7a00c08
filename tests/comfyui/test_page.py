"""The page in a real browser: both workflows open whole, and warnings stand on the node without being saved."""

import json
import shutil
from pathlib import Path

import pytest
from emo2 import NODE_CLASS_MAPPINGS
from seed_only_cases import seed_only

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "tests" / "artifacts"
WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
NAMING = {
    name: {str(node["id"]) for node in json.loads((ROOT / "workflows" / f"{name}.json").read_text())["nodes"]
           if node["properties"].get("models")}
    for name in WORKFLOWS
}  # fmt: skip
"""Nodes that name public weights, which are not here: new pages paint them red until the files are there."""
LARGE = {name for name, nodes in NAMING.items() if nodes}
READY = """() => window.app?.graph && window.app.extensionManager && window.LiteGraph
    && LiteGraph.registered_node_types['EMO2SampleVideo'] !== undefined
    && LiteGraph.registered_node_types['SaveVideo'] !== undefined"""
NODES = """() => app.graph._nodes.map((n) => ({
    id: n.id, type: n.type, broken: !!n.has_errors || LiteGraph.registered_node_types[n.type] === undefined,
    values: n.serialize().widgets_values ?? null, widgets: (n.widgets ?? []).map((w) => w.name)}))"""
START = """() => { window.emo2Over = new Promise((done) => {
    for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
        app.api.addEventListener(kind, ({ detail }) => done([kind, JSON.stringify(detail).slice(0, 2000)]));
    app.queuePrompt(0, 1); }); }"""
LEGIBLE = """async () => { for (const [name, value] of [
    ['LiteGraph.Canvas.MinFontSizeForLOD', 0], ['LiteGraph.Canvas.LowQualityRenderingZoomThreshold', 0.1]])
    await app.extensionManager.setting.set(name, value); }"""
FIT = """() => { const boxes = app.graph._nodes.map((n) => n.getBounding());
    const [x, y] = [0, 1].map((i) => Math.min(...boxes.map((b) => b[i])));
    const [right, bottom] = [0, 1].map((i) => Math.max(...boxes.map((b) => b[i] + b[i + 2])));
    const ds = app.canvas.ds, view = app.canvas.canvas.getBoundingClientRect();
    ds.scale = 0.92 * Math.min(view.width / (right - x), view.height / (bottom - y));
    ds.offset[0] = -x + (view.width / ds.scale - (right - x)) / 2;
    ds.offset[1] = -y + (view.height / ds.scale - (bottom - y)) / 2;
    app.canvas.setDirty(true, true); }"""
SHORTEN = """(values) => { for (const node of app.graph._nodes) for (const widget of node.widgets ?? []) {
    const value = values[`${node.type}.${widget.name}`];
    if (value !== undefined) { widget.value = value; widget.callback?.(value); } } }"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def untrained(server):
    """Models without weights in the server's folder, there before the page asks for the lists: kind -> name."""
    return {kind: f"page/{name}" for kind, name in seed_only(server.base / "models" / "emo2" / "page").items()}


@pytest.fixture(scope="module")
def page(browser, server, untrained):
    """ComfyUI's page, loaded once; `page.complaints` holds every error that the console showed."""
    page = browser.new_page(viewport={"width": 2400, "height": 1200})
    page.complaints = []
    page.on(
        "console",
        lambda m: page.complaints.append(f"{m.text} {m.location.get('url', '')}") if m.type == "error" else None,
    )
    page.on("pageerror", lambda error: page.complaints.append(f"uncaught: {error.message} {error.stack}"))
    page.goto(server.url)
    page.wait_for_function(READY, timeout=120_000)
    page.wait_for_function("() => document.querySelector('[data-testid=queue-button]') !== null", timeout=60_000)
    page.evaluate(LEGIBLE)
    # Some versions of the page stumble over themselves while they start.
    page.complaints[:] = [line for line in page.complaints if "emo2" in line.lower()]
    return page


def from_the_pack(complaints):
    """Without what the page itself looks up elsewhere, a registry's entry or a file's size: there is no network."""
    here = [line for line in complaints if "ERR_NAME_NOT_RESOLVED https://" not in line]
    return [line for line in here if "emo2" in line.lower() or line.startswith("uncaught")]


def without_dialogs(page):
    """Older pages open a dialog for missing models, a moment after the workflow."""
    dialogs = page.locator("[role=dialog]")
    for _ in range(20):
        if not dialogs.count():
            return
        page.keyboard.press("Escape")
        page.wait_for_timeout(250)
    raise AssertionError("a dialog that does not close")


def opened(page, name):
    """Open a template as the page does; the nodes on the canvas."""
    without_dialogs(page)
    workflow = json.loads((ROOT / "workflows" / f"{name}.json").read_text())
    page.evaluate("async (w) => { await app.loadGraphData(w); }", workflow)
    page.evaluate(FIT)
    page.wait_for_function("(n) => app.graph._nodes.length === n", arg=len(workflow["nodes"]), timeout=30_000)
    return workflow, page.evaluate(NODES)


def shot(page, name):
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.screenshot(path=ARTIFACTS / f"page_{name}.png")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_opens_whole(page, name):
    workflow, nodes = opened(page, name)
    shot(page, name)
    assert not [node["type"] for node in nodes if node["broken"] and str(node["id"]) not in NAMING[name]], "red nodes"
    assert {node["type"] for node in nodes} == {node["type"] for node in workflow["nodes"]}
    if name in LARGE:
        page.wait_for_timeout(2000)  # for a late dialog
    else:
        assert page.get_by_text("missing", exact=False).and_(page.locator("[role=dialog] *")).count() == 0
    assert not from_the_pack(page.complaints)


@pytest.mark.parametrize("name", sorted(LARGE))
def test_the_page_tells_which_public_files_are_missing(page, name):
    """Every file that the workflow names, with where it belongs: what ComfyUI offers to download."""
    workflow, _ = opened(page, name)
    wanted = {entry["name"] for node in workflow["nodes"] for entry in node["properties"].get("models", ())}
    kept = page.evaluate("() => app.graph._nodes.flatMap((n) => n.properties?.models ?? []).map((m) => m.name)")
    assert set(kept) == wanted
    details = page.get_by_role("button", name="View details")  # newer pages say first that there is something
    for _ in range(60):
        if details.count() or page.locator("[role=dialog]").count():
            break
        page.wait_for_timeout(250)
    if details.count():
        details.first.click()
    named = "(names) => names.every((name) => document.body.innerText.includes(name))"
    try:
        page.wait_for_function(named, arg=sorted(wanted), timeout=10_000)
    finally:
        shot(page, f"{name}_missing")
        without_dialogs(page)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_page_sends_what_the_api_form_says(page, server, name):
    opened(page, name)
    sent = page.evaluate("async () => (await app.graphToPrompt()).output")
    saved = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text())
    assert set(sent) == set(saved)
    for node_id, node in saved.items():
        assert sent[node_id]["class_type"] == node["class_type"]
        theirs, own = sent[node_id]["inputs"], node["inputs"]
        known = server.get(f"/object_info/{node['class_type']}")[node["class_type"]]["input"]
        names = {*known.get("required", {}), *known.get("optional", {})} & set(own)  # versions differ in core nodes
        assert {name: theirs.get(name) for name in names} == {name: own[name] for name in names}, node
        if node["class_type"].startswith("EMO2"):
            assert set(theirs) == set(own), node


def test_every_wire_of_the_pack_has_its_own_colour(page):
    opened(page, "talking_avatar")
    kinds = {kind for cls in NODE_CLASS_MAPPINGS.values() for kind in cls.RETURN_TYPES if kind.startswith("EMO2_")}
    colours = page.evaluate("(kinds) => kinds.map((kind) => window.LGraphCanvas.link_type_colors[kind])", sorted(kinds))
    assert all(colours) and len(set(colours)) == len(kinds), dict(zip(sorted(kinds), colours))


def test_warnings_stand_on_the_node_and_are_not_saved(page, server, untrained):
    server.request("/free", {"unload_models": True, "free_memory": True})  # or the loaders are cached and say nothing
    opened(page, "hand_motion_only")
    files = {"EMO2LoadMotionModel.model_name": untrained["motion"], "EMO2LoadAudioEncoder.encoder": untrained["audio"]}
    page.evaluate(SHORTEN, {"EMO2SampleHandMotion.steps": 2, "EMO2SampleHandMotion.end_second": 0.4, **files})
    before = {node["id"]: node["values"] for node in page.evaluate(NODES)}
    page.evaluate(START)
    toast = page.locator(".p-toast-message, .p-toast-detail").filter(has_text="untrained")
    toast.first.wait_for(timeout=120_000)
    kind, detail = page.evaluate("() => window.emo2Over")
    assert kind == "execution_success", detail
    page.wait_for_function(
        "() => app.graph._nodes.some((n) => n.widgets?.some((w) => w.name === 'emo2_warning'))", timeout=10_000
    )
    page.evaluate(
        """() => { const node = app.graph._nodes.find((n) => n.type === 'EMO2LoadMotionModel');
            app.canvas.ds.scale = 1; app.canvas.centerOnNode(node); app.canvas.setDirty(true, true); }"""
    )
    shot(page, "warning")
    nodes = page.evaluate(NODES)
    warned = {node["type"] for node in nodes if "emo2_warning" in node["widgets"]}
    assert {"EMO2LoadMotionModel", "EMO2LoadAudioEncoder"} <= warned
    text = page.evaluate(
        """() => app.graph._nodes.find((n) => n.type === 'EMO2LoadMotionModel')
            .widgets.find((w) => w.name === 'emo2_warning').value"""
    )
    assert "untrained" in text
    assert {node["id"]: node["values"] for node in nodes} == before, "the warning went into the saved workflow"
    sent = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert not any("emo2_warning" in node["inputs"] for node in sent.values())
    assert not from_the_pack(page.complaints)
