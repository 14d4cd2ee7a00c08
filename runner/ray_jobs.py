"""The same tables of jobs on a Ray cluster: the in-process runner in actors, one a GPU, which keep their models loaded.

Input files travel to the actor and results back through Ray's object store, so the machines share no disk; only the
model files must lie on each of them.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import platform
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error
from ..models.whole_files import temporary_file
from . import inputs
from .definitions import LocalDefinitions, file_inputs
from .farm import Asked, Farm
from .farm_table import FarmTable
from .folders import existing_folders
from .jobs import Job, JobsResult
from .manifest import InputHashes
from .problems import WorkflowError, one_line
from .queue import Prompt, run_async
from .whole_files import place_file
from .workflow import Workflow

log = logging.getLogger("emo2")
HERE = "this machine"


def run_ray_jobs(
    workflow: str | Path,
    table: str | Path,
    address: str,
    overrides: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
    out: str | Path = "output",
    input_dirs: Iterable[str | Path] = (),
    models: Iterable[str | Path] = (),
    seed: int | None = None,
    actors: int | None = None,
    quiet: bool = True,
) -> JobsResult:
    """Run every row of the CSV `table` once on a Ray cluster; other arguments and results as `farm.run_jobs`.

    address: of the cluster ("auto", "HOST:6379", "ray://HOST:10001"), or "local" for one on this machine. models:
    folders with model files, the same on every machine. actors: how many run side by side (None: one for each GPU, or
    for each machine where there is none). EMO2Error before anything starts where Ray or the cluster is missing.
    """
    asked = Asked.of(workflow, table, overrides, out, input_dirs, seed)
    model_folders = [str(Path(folder).resolve()) for folder in existing_folders(models, "--models")]
    definitions = LocalDefinitions()
    asked.check(definitions, HERE)
    check_actors(actors)
    ray = connected(address)
    count, share = actors_of(ray, actors)
    names = [f"ray-{number + 1}" for number in range(count)]
    farm = Farm(asked, names, FarmTable(names, quiet))
    hashes = InputHashes(definitions, asked.folders)

    async def work() -> JobsResult:
        try:
            return await farm.run(lambda name: _Actor(farm, name, ray, share, model_folders, definitions, hashes).run())
        finally:
            farm.write_manifest()

    try:
        return run_async(work)
    finally:
        ray.shutdown()


def connected(address: str) -> Any:
    """Ray, connected to a cluster. EMO2Error where it is not installed or nobody answers."""
    if ":" in address:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        try:  # Ray itself would ask for a minute, and then end the process
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except (OSError, ValueError, OverflowError) as error:
            raise _nobody(address, error) from error
    try:
        import ray
    except ImportError as error:
        todo = "Install it: pip install 'comfyui-emo2[ray]'."
        raise EMO2Error("--ray", "the package ray", "no such package", todo) from error
    options: dict[str, Any] = {"address": address}
    if address == "local":
        options = {"include_dashboard": False}
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # whatever Ray makes of an address
        raise _nobody(address, error) from error
    return ray


def _nobody(address: str, error: Exception) -> EMO2Error:
    given = f"{address} ({one_line(error)})"
    return EMO2Error("--ray", "a Ray cluster that answers", given, "Start it: ray start --head.")


def check_actors(wanted: int | None) -> None:
    """EMO2Error for a number of actors that there cannot be."""
    if wanted is not None and wanted < 1:
        raise EMO2Error("--actors", "at least 1", wanted, "Leave it out for one a GPU.")


def actors_of(ray: Any, wanted: int | None) -> tuple[int, dict[str, float]]:
    """How many actors there are, and what each of them asks of the cluster."""
    has = ray.cluster_resources()
    gpus = int(has.get("GPU", 0))
    machines = sum(1 for node in ray.nodes() if node.get("Alive"))
    count = wanted or gpus or machines
    if gpus:
        return count, {"num_gpus": min(1.0, gpus / count)}
    return count, {"num_cpus": min(1.0, has.get("CPU", 1.0) / count)}


class Runner:
    """What runs in an actor: workflows, one after the other, with the models of the earlier ones still loaded."""

    def __init__(self, models: list[str]):
        self.models, self.loaded = models, {}  # type: ignore[var-annotated]

    def versions(self) -> dict[str, Any]:
        """As `Client.versions`, of this process."""
        import torch

        devices = [torch.cuda.get_device_name(0)] if torch.cuda.is_available() else ["cpu"]
        return {"comfyui": None, "python": platform.python_version(), "torch": torch.__version__, "devices": devices,
                "machine": platform.node()}  # fmt: skip

    def run(self, prompt: Prompt, canvas: dict[str, Any] | None, files: dict[str, bytes]) -> dict[str, Any]:
        """{"files": {relative path: bytes}} of a prompt whose input files are `files`, or {"error": line}."""
        import tempfile

        from .executor import run_workflow
        from .problems import NodeFailed

        with tempfile.TemporaryDirectory(prefix="emo2-ray-") as folder:
            given, out = Path(folder) / "input", Path(folder) / "out"
            given.mkdir()
            for name, content in files.items():
                (given / name).write_bytes(content)
            source = Workflow("the job", canvas=canvas, api=prompt, folder=given)
            try:
                done = run_workflow(source, models=self.models, out=out, loaded=self.loaded)
            except (EMO2Error, WorkflowError, NodeFailed) as error:
                return {"error": one_line(error)}
            return {"files": {str(path.relative_to(out)): path.read_bytes() for path in done.files}}


class _Actor:
    """One actor, and the job that it is working on."""

    def __init__(
        self, farm: Farm, name: str, ray: Any, share: dict[str, float], models: list[str],
        definitions: LocalDefinitions, hashes: InputHashes,
    ):  # fmt: skip
        self.farm, self.name, self.ray, self.share, self.models = farm, name, ray, share, models
        self.definitions, self.hashes = definitions, hashes
        self.board, self.line = farm.board, farm.table.line(name)

    async def run(self) -> None:
        actor: Any = None
        while True:
            self.line.rest()
            job = await self.board.take(self.name)
            if job is None:
                return
            began = time.time()
            try:
                if actor is None:
                    actor = await self._start()
                await self._do(actor, job, began)
            except self.ray.exceptions.RayError as error:  # the actor died, or its machine
                actor = None
                await self.farm.lost(job, self.name, began, one_line(f"the actor {self.name} was lost: {error}"))
            except (EMO2Error, WorkflowError) as error:
                await self.farm.refused(job, self.name, began, one_line(error))

    async def _start(self) -> Any:
        self.line.state = "waits for its place in the cluster"
        actor = self.ray.remote(Runner).options(**self.share).remote(self.models)
        self.farm.versions[self.name] = await _result(actor.versions.remote())
        return actor

    async def _do(self, actor: Any, job: Job, began: float) -> None:
        farm = self.farm
        prompt = farm.asked.prompt(job, self.definitions, HERE)
        self.line.job(job.name, prompt)
        self.line.state = "runs"
        made_from = self.hashes.of(prompt)
        prompt, files = with_files(prompt, self.definitions, farm.asked.folders)
        farm.sent(job, self.name, began, None, made_from)
        answer = await _result(actor.run.remote(prompt, farm.asked.source.canvas, files))
        if "error" in answer:
            raise EMO2Error(self.name, "a job that runs", answer["error"], "Mend the row.")
        made = [placed(job.folder / name, content) for name, content in answer["files"].items()]
        await farm.done(job, self.name, began, made)


async def _result(reference: Any) -> Any:
    return await asyncio.wrap_future(reference.future())


def with_files(
    prompt: Prompt, definitions: Mapping[str, Any], folders: inputs.InputFolders
) -> tuple[Prompt, dict[str, bytes]]:
    """The prompt with names of its own for its input files, and their contents by these names."""
    prompt, files = copy.deepcopy(prompt), {}  # type: ignore[var-annotated]
    names: dict[Path, str] = {}
    for _, node, spec, value in file_inputs(prompt, definitions):
        path = folders.find(value)
        if path is None:
            continue
        if path not in names:
            names[path] = f"{len(names):03}_{path.name}"
            files[names[path]] = path.read_bytes()
        node["inputs"][spec.name] = names[path]
    return prompt, files


def placed(target: Path, content: bytes) -> Path:
    """Write a result, whole; a file of that name with other contents is kept."""
    with temporary_file(target) as temporary:
        temporary.write_bytes(content)
        return place_file(temporary, target)
