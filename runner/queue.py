"""Sends a workflow file to a ComfyUI server, follows it, and fetches its results."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from . import inputs
from .client import Client, ServerError
from .definitions import file_inputs, specs
from .folders import existing_folders, output_folder
from .follow import Follower, Show, outcome
from .overrides import apply_seed, apply_settings
from .problems import Problem, WorkflowError, node_name
from .validate import plan
from .workflow import Workflow, read_workflow

log = logging.getLogger("emo2")
Prompt = dict[str, dict[str, Any]]


class QueueResult(dict):
    """Output node id -> what it showed, as the server's history has it, with the files fetched."""

    def __init__(self, outputs: Mapping[str, Any], files: list[Path], prompt_id: str):
        super().__init__(outputs)
        self.files, self.prompt_id = files, prompt_id


def queue_workflow(
    workflow: str | Path | dict[str, Any],
    server: str,
    overrides: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
    out: str | Path = "output",
    input_dirs: Iterable[str | Path] = (),
    seed: int | None = None,
    timeout: float | None = None,
    quiet: bool = True,
    back_seconds: float = 20.0,
) -> QueueResult:
    """Run a workflow file on a ComfyUI server and fetch what it saved into `out`.

    overrides, seed, input_dirs: as run_workflow. timeout: seconds after which the job is cancelled. Raises EMO2Error
    and WorkflowError (ours or the server's) before anything is queued, ServerError afterwards. Ctrl-C cancels the job.
    """
    source = read_workflow(workflow)
    settings = list(overrides.items() if isinstance(overrides, Mapping) else overrides)
    folders = inputs.InputFolders.of(existing_folders(input_dirs, "--input"), source.folder)
    out = output_folder(out)

    async def work() -> QueueResult:
        async with Client(server) as client:
            definitions = await client.definitions()
            prompt = prepare(source, settings, definitions, folders, client.url, seed)
            await upload_inputs(client, prompt, definitions, folders)
            client_id, ids = uuid.uuid4().hex, [str(uuid.uuid4())]
            async with Follower(client, client_id, back_seconds) as follower:

                async def job() -> dict[str, Any]:
                    ids.append(await client.queue(prompt, client_id, ids[0], extra_data(source)))
                    return await follower.wait(ids[-1], Show(prompt, quiet), timeout)

                entry = await cancelling(client, ids, job())
            outputs = outcome(entry, prompt)
            return QueueResult(outputs, await fetch(client, outputs, out), ids[-1])

    return run_async(work)


def run_async(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine to its end; Ctrl-C cancels it cleanly and comes out as KeyboardInterrupt."""

    async def main() -> Any:
        return await work()

    return asyncio.run(main())


async def cancelling(client: Client, prompt_ids: list[str], work: Awaitable[Any]) -> Any:
    """Await `work`; when it is cancelled (Ctrl-C), cancel the prompts on the server too."""
    try:
        return await work
    except asyncio.CancelledError:
        log.info("cancelling on the server")
        try:
            await asyncio.shield(asyncio.wait_for(client.cancel(prompt_ids), 5.0))
        except (ServerError, asyncio.TimeoutError) as error:
            log.warning("the job could not be cancelled: %s", error)
        raise


def extra_data(source: Workflow, **more: Any) -> dict[str, Any]:
    """What goes along with a prompt: the canvas, which the server writes into its results."""
    return {"extra_pnginfo": {"workflow": source.canvas} if source.canvas else {}, **more}


def prepare(
    source: Workflow,
    settings: Iterable[tuple[str, Any]],
    definitions: Mapping[str, Any],
    folders: inputs.InputFolders,
    server: str,
    seed: int | None = None,
    option: str = "--set",
) -> Prompt:
    """The prompt with its settings, checked as far as can be without asking the server to run it."""
    prompt = source.prompt(definitions, server)
    if seed is not None:
        apply_seed(prompt, seed, definitions)
    order = plan(prompt, definitions, server)
    apply_settings(prompt, settings, definitions, folders, option, check=True)
    problems = []
    for node_id in order:
        node = prompt[node_id]
        for spec in specs(definitions[node["class_type"]], node["inputs"]):
            value = node["inputs"].get(spec.name)
            known = spec.choices is not None and value in spec.choices
            if spec.is_file and isinstance(value, str) and not known and folders.find(value) is None:
                details = f"{spec.name}: {value!r} is neither in {folders} nor on {server}"
                message = "The input file is not there"
                problems.append(
                    Problem("missing_file", message, details, node_id, node_name(node_id, node), "Give it with --set.")
                )
    if problems:
        raise WorkflowError(problems)
    return prompt


async def upload_inputs(
    client: Client,
    prompt: Prompt,
    definitions: Mapping[str, Any],
    folders: inputs.InputFolders,
    sent: dict[Path, str] | None = None,
) -> None:
    """Upload the files that the prompt names and put the server's names for them in, in place."""
    sent = {} if sent is None else sent
    for _, node, spec, value in file_inputs(prompt, definitions):
        path = folders.find(value)
        if path is not None:
            if path not in sent:
                sent[path] = await client.upload(path)
            node["inputs"][spec.name] = sent[path]


async def fetch(client: Client, outputs: Mapping[str, Any], out: Path) -> list[Path]:
    """Download every file that the outputs name into `out`, previews into its folder `previews`."""
    files: list[Path] = []
    for shown in outputs.values():
        for items in shown.values() if isinstance(shown, Mapping) else ():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, Mapping) and "filename" in item:
                    folder = out / "previews" if item.get("type") == "temp" else out
                    files.append(await client.download(item, folder))
    return list(dict.fromkeys(files))
