"""The one training loop: any recipe, on whatever `accelerate` finds, resumable to the bit.

`train` carries a run from where its newest state left it to its last step, or to where it is stopped.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..models.errors import EMO2Error, from_disk
from . import machine as machines
from .averaging import Average
from .journal import Journal
from .recipe import Recipe
from .registry import recipe_class
from .samples import Micro, MicroBatches, micro_batches, to_device
from .settings import Settings
from .state import changed, fingerprint, learned, load_state, put_learned, save_state, state_files
from .stopping import Stop

log = logging.getLogger("emo2")

RESUME = ("auto", "never", "must")
SKIPS = 50
"""fp16 steps in a row that may overflow before that is an error: the scaler halves its factor at each."""


@dataclass(frozen=True)
class Outcome:
    """How a call of `train` ended: after `step` of `steps`, with `files` written; `signal` is what stopped it, or 0."""

    step: int
    steps: int
    folder: Path
    files: list[Path] = field(default_factory=list)
    signal: int = 0

    @property
    def finished(self) -> bool:
        return self.step >= self.steps


def train(
    settings: Settings,
    folder: Path | str,
    *,
    resume: str = "auto",
    stop_after: float | None = None,
    threads: int | None = None,
    cpu: bool = False,
    quiet: bool = False,
    allow_changes: bool = False,
    recipe: Recipe | None = None,
) -> Outcome:
    """Train `settings.trainer` in `folder` until `settings.steps`, a signal, or `stop_after` seconds.

    resume: "auto" goes on where there is a state, "must" wants one, "never" wants none. threads: at most so many.
    cpu: leave a GPU alone. allow_changes: go on although the config is not the state's. recipe: instead of the
    registered one. Sample pictures go to folder/samples, checkpoints of the averaged weights to folder/export.
    EMO2Error for whatever is wrong with config, files, data or disk, and for losses that are no numbers; the last
    state is then still there.
    """
    folder = Path(folder)
    if resume not in RESUME:
        raise EMO2Error("--resume", f"one of {', '.join(RESUME)}", repr(resume), "Choose one.")
    with Stop(stop_after) as stop, _files_named(settings.trainer):
        recipe = recipe or recipe_class(settings.trainer)(settings.recipe, settings.seed)
        machines.use_cores(threads)
        machine = machines.accelerator(settings.precision, cpu)
        try:
            run = _Run(settings, folder, recipe, machine, stop)
            with _owned(folder, machine.is_main_process):
                run.begin(resume, allow_changes)
                return run.carry_on(quiet)
        finally:
            machine.end_training()


class _Run:
    """The moving parts of one run."""

    def __init__(self, settings: Settings, folder: Path, recipe: Recipe, machine: Any, stop: Stop):
        self.settings, self.folder, self.recipe, self.machine, self.stop = settings, folder, recipe, machine, stop
        samples = MicroBatches(recipe.dataset(), settings.batch, machine.process_index, machine.num_processes)
        self.samples = samples
        torch.manual_seed(settings.seed)
        self.module = recipe.build()
        self._checkpoint_gradients()
        self.module.to(machine.device).train()
        self.average = Average(self.module, settings.ema)
        if not self.average.parameters:
            raise EMO2Error("recipe", "something to train", "a network whose parameters are all frozen", "Free some.")
        groups = recipe.parameter_groups(self.module)
        self.scales = [group.pop("scale", 1.0) for group in groups]
        options = settings.optimizer
        self.optimizer: Any = torch.optim.AdamW(
            groups, lr=options.lr, betas=options.betas, weight_decay=options.weight_decay,
            fused=machine.device.type in ("cpu", "cuda"),
        )  # fmt: skip
        # The module itself is kept: its state has plain names, and sample pictures need no process group.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
            self.wrapped, self.optimizer = machine.prepare(self.module, self.optimizer)
        self.step, self.loss, self.skips = 0, math.nan, 0

    def _checkpoint_gradients(self) -> None:
        if not self.settings.gradient_checkpointing:
            return
        switch = getattr(self.module, "checkpoint_gradients", None)
        if switch is None:
            log.warning("gradient_checkpointing: this network has no switch for it, it trains without")
        elif callable(switch):
            switch()
        else:
            self.module.checkpoint_gradients = True  # type: ignore[assignment]

    def begin(self, resume: str, allow_changes: bool) -> None:
        """Take up the newest state, as `resume` wants it."""
        found = state_files(self.folder)
        if resume == "never" and found:
            raise EMO2Error("--resume never", "a folder without states", found[0], "Give another --out, or delete it.")
        contents = load_state(self.folder)
        step, count = contents["step"] if contents else 0, self.machine.num_processes
        if machines.total([step], self.machine)[0] != step * count:
            given = f"{self.folder}, which holds other states for some of the {count}"
            raise EMO2Error("--out", "one folder that all processes share", given, "Give one on a shared disk.")
        if contents is None:
            if resume == "must":
                raise EMO2Error("--resume must", "a state to go on from", f"none in {self.folder}", "Check --out.")
            return
        now = fingerprint(self.settings, self.machine.num_processes)
        differences = changed(contents["settings"], now, frozenset(getattr(self.recipe, "harmless", ())))
        if differences and not allow_changes:
            raise EMO2Error(
                "config", f"what the state of step {contents['step']} in {self.folder} was trained with",
                "; ".join(differences), "Set it back, give another --out, or say --allow-changes.",
            )  # fmt: skip
        for difference in differences:
            log.warning("going on with a change: %s", difference)
        put_learned(self.module, contents["module"])
        self.average.load(contents["average"])
        self.optimizer.load_state_dict(contents["optimizer"])
        if self.machine.scaler is not None and contents.get("scaler"):
            self.machine.scaler.load_state_dict(contents["scaler"])
        self.step, self.loss = contents["step"], contents["loss"]
        log.info("going on after step %d of %d (%s)", self.step, self.settings.steps, self.folder)

    def carry_on(self, quiet: bool) -> Outcome:
        """Steps until the end or a stop; then a state, and checkpoints of the averaged weights."""
        settings, main = self.settings, self.machine.is_main_process
        if main:
            self._write_config()
        journal = Journal(self.folder, self.step, settings.steps, main, quiet)
        saved, saved_at = self.step if self.step else -1, time.monotonic()
        batches: Iterator[Micro] = iter(())
        try:
            if self.step < settings.steps:
                first, last = self.step * settings.accumulate, settings.steps * settings.accumulate
                batches = micro_batches(self.samples, first, last, settings.workers)
            stopping = False
            while self.step < settings.steps and not stopping:
                try:
                    values = self._one_step(batches)
                except _BadSample:
                    if saved != self.step:  # the weights are as good as before
                        self._save(journal)
                    raise
                self.step += 1
                due, stopping = self._agree(saved_at)
                every = settings.log_every
                tell = self.step % every == 0 or self.step == settings.steps or stopping
                journal.step(self.step, values, self._rate(self.step - 1), tell)
                if settings.preview_every and self.step % settings.preview_every == 0:
                    self._preview(journal)
                if due and not stopping and self.step < settings.steps:
                    self._save(journal)
                    saved, saved_at = self.step, time.monotonic()
            if saved != self.step:
                self._save(journal)
        finally:
            journal.close()
            del batches
        files = self._export() if main else []
        self.machine.wait_for_everyone()
        return Outcome(self.step, settings.steps, self.folder, files, self.stop.signal)

    def _one_step(self, batches: Iterator[Micro]) -> dict[str, float]:
        """One step of the optimiser; the mean losses of all processes."""
        settings, machine = self.settings, self.machine
        told: dict[str, list[torch.Tensor]] = {}
        seen: list[range] = []
        for part in range(settings.accumulate):
            micro = next(batches)
            seen.append(micro.indices)
            if micro.trouble:
                self._check(micro)
            # No recipe should use torch's own generator. One that does is at least the same after a resume.
            torch.manual_seed((settings.seed * 1_000_003 + self.step * settings.accumulate + part) % 2**63)
            with torch.enable_grad(), _sync(machine, self.wrapped, part == settings.accumulate - 1):
                losses, parts = self.wrapped(to_device(micro.batch, machine.device))
                self._check(micro, losses)
                machine.backward(losses.mean() / settings.accumulate)
            for name, values in {"loss": losses, **parts}.items():
                told.setdefault(name, []).append(values.detach().float().mean())
        norm = machine.clip_grad_norm_(self.module.parameters(), settings.optimizer.clip or math.inf)
        norm = float(norm) if norm is not None else 0.0
        self._set_rate()
        if machine.scaler is None and not math.isfinite(norm):
            raise self._no_number("gradient", norm, seen)
        self.optimizer.step()
        if self.optimizer.step_was_skipped:
            self.skips += 1
            if self.skips > SKIPS:
                raise self._no_number("gradient", norm, seen)
        else:
            self.skips = 0
            self.average.update(self.step + 1)
        self.optimizer.zero_grad(set_to_none=True)
        values = self._means(told)
        weight = max(0.01, 1 / (self.step + 1)) if math.isfinite(self.loss) else 1.0
        self.loss = values["loss"] if weight == 1.0 else self.loss + weight * (values["loss"] - self.loss)
        return {**values, "gradient": norm if math.isfinite(norm) else 0.0}

    def _means(self, told: dict[str, list[torch.Tensor]]) -> dict[str, float]:
        """What the micro-steps of all processes said, on average; one trip from the device for all of it."""
        names = sorted(told)
        means = torch.stack([torch.stack(told[name]).mean() for name in names]).tolist()
        count = self.machine.num_processes
        return {name: mean / count for name, mean in zip(names, machines.total(means, self.machine))}

    def _check(self, micro: Micro, losses: torch.Tensor | None = None) -> None:
        """Stop all processes when one has a bad sample or loss; the weights are as they were before the step."""
        finite = None if losses is None else torch.isfinite(losses.detach()).flatten().tolist()
        wrong = [i for i, fine in zip(micro.indices, finite or ()) if not fine]
        unread, unfinite = machines.total([float(bool(micro.trouble)), float(bool(wrong))], self.machine)
        if not unread and not unfinite:
            return
        self.optimizer.zero_grad(set_to_none=True)
        if unread:
            what = micro.trouble or "trouble in another process (see its error)"
            raise _BadSample(
                "training data", "samples that can be read", f"{what}, at step {self.step + 1}",
                "Repair or replace it; the run goes on from its last state.",
            )  # fmt: skip
        if not wrong:
            raise self._no_number("loss", "NaN or infinity in another process", [micro.indices])
        raise self._no_number("loss", "NaN or infinity", [range(i, i + 1) for i in wrong])

    def _no_number(self, what: str, value: Any, seen: list[range]) -> EMO2Error:
        self.optimizer.zero_grad(set_to_none=True)
        samples = ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 1 else str(r[0]) for r in seen)
        return EMO2Error(
            f"training {self.settings.trainer}", f"a finite {what}",
            f"{value} at step {self.step + 1}, samples {samples}",
            f"Try a smaller optimizer.lr or precision=no. {self._last_state()}",
        )  # fmt: skip

    def _last_state(self) -> str:
        found = state_files(self.folder)
        return f"The last good state is {found[0].name}." if found else "There is no state yet."

    def _agree(self, saved_at: float) -> tuple[bool, bool]:
        """(whether a state is due, whether to stop), the same in every process."""
        every, minutes = self.settings.checkpoint_every, self.settings.checkpoint_minutes
        late = bool(minutes) and time.monotonic() - saved_at >= 60 * minutes
        late = late and self.machine.is_main_process
        flags = machines.total([float(late), float(self.stop.asked)], self.machine)
        return bool(flags[0]) or bool(every and self.step % every == 0), bool(flags[1])

    def _rate(self, step: int) -> float:
        """Learning rate of the step after `step` others."""
        options = self.settings.optimizer
        rate = options.lr * min(1.0, (step + 1) / max(1, options.warmup))
        if options.schedule == "cosine" and step >= options.warmup:
            done = (step - options.warmup) / max(1, self.settings.steps - options.warmup)
            rate *= 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2
        return rate

    def _set_rate(self) -> None:
        for group, scale in zip(self.optimizer.param_groups, self.scales):
            group["lr"] = self._rate(self.step) * scale

    def _save(self, journal: Journal) -> None:
        if self.machine.is_main_process:
            scaler = self.machine.scaler
            contents = {
                "settings": fingerprint(self.settings, self.machine.num_processes),
                "module": learned(self.module),
                "average": self.average.values,
                "optimizer": self.optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else None,
                "loss": self.loss,
            }
            save_state(self.folder, self.step, contents)
            journal.flush()
        self.machine.wait_for_everyone()

    @contextmanager
    def _averaged(self) -> Iterator[nn.Module]:
        """The module as users get it, without a trace of the visit left behind."""
        devices = [self.machine.device] if self.machine.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), self.average.inside(), torch.no_grad():
            self.module.eval()
            try:
                yield self.module
            finally:
                self.module.train()

    def _preview(self, journal: Journal) -> None:
        if self.machine.is_main_process:
            folder = self.folder / "samples" / f"{self.step:08d}"
            with self._averaged() as module:
                folder.mkdir(parents=True, exist_ok=True)
                journal.pictures(self.step, self.recipe.preview(module, folder, self.step))
                measure = getattr(self.recipe, "measure", None)
                if measure is not None:
                    journal.write(self.step, measure(module), prefix="held_out/")
        self.machine.wait_for_everyone()

    def _export(self) -> list[Path]:
        settings = self.settings
        rows = settings.batch * self.machine.num_processes * settings.accumulate
        notes = {
            "trainer": settings.trainer, "profile": settings.profile, "seed": str(settings.seed),
            "steps": str(self.step), "samples": str(self.step * rows), "loss": f"{self.loss:.5g}",
            "data": Path(str(settings.recipe.get("data", ""))).name,
        }  # fmt: skip
        with self._averaged() as module:
            return self.recipe.export(module, self.folder / "export", notes)

    def _write_config(self) -> None:
        """The settings, beside what they made; also finds out early whether the folder can be written to."""
        import yaml

        from ..models.whole_files import whole_file

        with whole_file(self.folder / "config.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(self.settings.to_dict(), sort_keys=False), encoding="utf-8")


class _BadSample(EMO2Error):
    """A sample that could not be made."""


def _sync(machine: Any, module: nn.Module, last: bool) -> Any:
    """Processes exchange gradients in the last micro-step of a step only."""
    from contextlib import nullcontext

    return nullcontext() if last or machine.num_processes == 1 else machine.no_sync(module)


@contextmanager
def _files_named(trainer: str) -> Iterator[None]:
    """A missing file is the user's matter, whoever opened it."""
    try:
        yield
    except FileNotFoundError as error:
        given = f"no file {error.filename}"
        raise EMO2Error(f"training {trainer}", "all its files", given, "Check the config's recipe section.") from error
    except OSError as error:
        raise from_disk(error) or error from error


@contextmanager
def _owned(folder: Path, main: bool) -> Iterator[None]:
    """Two runs in one folder would overwrite each other's states. The lock goes with the process, however it ends."""
    if not main:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # not on Windows
            pass
        except BlockingIOError:
            given = f"{folder}, where one is running"
            raise EMO2Error("--out", "a folder in which no other training runs", given, "Wait for it.") from None
        yield
