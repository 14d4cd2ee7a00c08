"""The training loop: it learns, sees the samples it should, averages, tells and stops."""

import itertools
import json

import pytest
import torch
from emo2.training import loop
from emo2.training.averaging import Average
from emo2.training.journal import read_metrics
from emo2.training.loop import train
from emo2.training.samples import MicroBatches, micro_batches
from emo2.training.state import load_state
from training_cases import LineRecipe, Points, line_settings


def go(folder, arguments=None, **settings):
    chosen = line_settings(**settings)
    recipe = LineRecipe(chosen.recipe, chosen.seed)
    return train(chosen, folder, recipe=recipe, quiet=True, **(arguments or {}))


def test_it_learns_and_tells(tmp_path):
    done = go(tmp_path, steps=300, checkpoint_every=100, optimizer={"lr": 0.05, "warmup": 3})
    lines = read_metrics(tmp_path)
    assert done.finished and done.step == 300 and not done.signal
    assert [line["step"] for line in lines] == list(range(1, 301))
    assert lines[0]["loss"] > 1 and lines[-1]["loss"] < 1e-2 * lines[0]["loss"]
    assert {"loss", "absolute", "gradient", "lr", "seconds_per_step"} <= lines[0].keys()
    made = json.loads((tmp_path / "export" / "line.json").read_text())
    assert done.files == [tmp_path / "export" / "line.json"]
    torch.testing.assert_close(torch.tensor(made["weight"]), torch.ones(1, 6), atol=0.05, rtol=0)
    notes = made["notes"]
    assert (notes["steps"], notes["samples"], notes["seed"], notes["profile"]) == ("300", "1200", "3", "test")
    assert float(notes["loss"]) > 0


def test_what_is_exported_is_averaged(tmp_path):
    go(tmp_path, steps=20)
    state = load_state(tmp_path)
    made = json.loads((tmp_path / "export" / "line.json").read_text())
    torch.testing.assert_close(torch.tensor(made["weight"]), state["average"]["lin.weight"])
    assert not torch.equal(state["average"]["lin.weight"], state["module"]["lin.weight"])
    assert not any(name.startswith("frozen") for name in [*state["module"], *state["average"]])


def test_the_average_warms_up():
    module = torch.nn.Linear(2, 1, bias=False)
    average = Average(module, 0.999)
    wanted = module.weight.detach().clone()
    for step in range(1, 40):
        with torch.no_grad():
            module.weight += 1
        average.update(step)
        decay = min(0.999, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * module.weight.detach()
    torch.testing.assert_close(average.values["weight"], wanted)
    before = module.weight.detach().clone()
    with average.inside():
        torch.testing.assert_close(module.weight.detach(), wanted)
    assert torch.equal(module.weight.detach(), before)


def test_two_processes_and_micro_steps_share_out_the_samples():
    """Step s, micro-step a, process p, row b: ((s * accumulate + a) * world + p) * batch + b."""
    accumulate, world, batch, seen = 3, 2, 4, {}
    for rank in range(world):
        items = MicroBatches(Points(0, {}), batch, rank, world)
        for k, micro in enumerate(micro_batches(items, 0, 6, workers=0)):
            for row, index in enumerate(micro.batch["index"].tolist()):
                step, part = divmod(k, accumulate)
                assert index == ((step * accumulate + part) * world + rank) * batch + row
                seen[index] = True
    assert sorted(seen) == list(range(6 * world * batch))


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_workers_change_nothing(tmp_path, precision):
    for workers in (0, 2):
        go(tmp_path / str(workers), steps=5, workers=workers, precision=precision)
    first, second = load_state(tmp_path / "0"), load_state(tmp_path / "2")
    assert torch.equal(first["module"]["lin.weight"], second["module"]["lin.weight"])


def test_micro_steps_add_up_to_the_larger_batch(tmp_path):
    go(tmp_path / "one", steps=6, batch=8)
    go(tmp_path / "many", steps=6, batch=2, accumulate=4)
    one, many = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "many")
    for a, b in zip(one, many):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-5) and a["gradient"] == pytest.approx(b["gradient"], 1e-4)


def test_bf16_is_another_training(tmp_path):
    go(tmp_path / "no", steps=4)
    go(tmp_path / "bf16", steps=4, precision="bf16")
    full, half = read_metrics(tmp_path / "no")[-1]["loss"], read_metrics(tmp_path / "bf16")[-1]["loss"]
    assert full != half and full == pytest.approx(half, rel=0.05)


@pytest.mark.parametrize("native, same_as", [(True, "bf16"), (False, "no")])
def test_auto_is_bf16_only_where_the_device_computes_in_it(tmp_path, monkeypatch, native, same_as):
    monkeypatch.setattr("emo2.training.machine.computes_in_bf16", lambda device: native)
    for precision in ("auto", same_as):
        go(tmp_path / precision, steps=3, precision=precision)
    auto, plain = (read_metrics(tmp_path / name)[-1]["loss"] for name in ("auto", same_as))
    assert auto == plain


def test_the_learning_rate_rises_and_falls(tmp_path):
    go(tmp_path, steps=20, optimizer={"lr": 1e-2, "warmup": 4, "schedule": "cosine"})
    rates = [line["lr"] for line in read_metrics(tmp_path)]
    assert rates[:4] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert all(a > b for a, b in itertools.pairwise(rates[4:])) and rates[-1] < 3e-4


def test_groups_learn_at_their_own_rate(tmp_path, monkeypatch):
    def groups(self, module):
        return [{"params": [module.lin.weight], "scale": 1.0}, {"params": [module.lin.bias], "scale": 0.0}]

    monkeypatch.setattr(LineRecipe, "parameter_groups", groups)
    torch.manual_seed(3)
    bias = LineRecipe({}, 3).build().lin.bias.detach()
    go(tmp_path, steps=3)
    state = load_state(tmp_path)
    assert torch.equal(state["module"]["lin.bias"], bias)


def test_sample_pictures_and_measures_leave_no_trace(tmp_path):
    go(tmp_path / "plain", steps=8)
    go(tmp_path / "seen", steps=8, preview_every=3)
    assert sorted(p.parent.name for p in (tmp_path / "seen" / "samples").rglob("*.png")) == ["00000003", "00000006"]
    told = [line for line in read_metrics(tmp_path / "seen") if "held_out/weight" in line]
    assert [line["step"] for line in told] == [3, 6]
    plain, seen = load_state(tmp_path / "plain"), load_state(tmp_path / "seen")
    assert torch.equal(plain["module"]["lin.weight"], seen["module"]["lin.weight"])


def test_tensorboard_has_scalars_and_pictures(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    go(tmp_path, steps=4, preview_every=2)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"loss", "absolute", "lr", "held_out/weight"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert len(events.Tags()["images"]) == 2


def test_without_tensorboard_the_journal_is_there(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    go(tmp_path, steps=2)
    assert len(read_metrics(tmp_path)) == 2 and not (tmp_path / "tensorboard").exists()


def test_it_stops_on_time_with_a_state_and_a_checkpoint(tmp_path):
    done = go(tmp_path, {"stop_after": 0.2}, steps=10_000, batch=1, recipe={"pause": 0.02}, checkpoint_every=0)
    assert 1 <= done.step < 60 and not done.finished and done.files[0].is_file()
    assert load_state(tmp_path)["step"] == done.step


def test_states_come_by_the_clock_too(tmp_path):
    go(tmp_path, steps=30, recipe={"pause": 0.01}, checkpoint_every=0, checkpoint_minutes=0.002)
    assert sorted(p.name for p in tmp_path.glob("state-*.pt"))[-1] == "state-00000030.pt"
    assert len(list(tmp_path.glob("state-*.pt"))) == 2, "the newest two are kept"


def test_gradient_checkpointing_reaches_the_network(tmp_path, monkeypatch):
    built = []
    build = LineRecipe.build
    monkeypatch.setattr(LineRecipe, "build", lambda self: built.append(build(self)) or built[-1])
    go(tmp_path / "a", steps=1)
    go(tmp_path / "b", steps=1, gradient_checkpointing=True)
    assert [module.checkpoint_gradients for module in built] == [False, True]


def test_threads_are_never_more_than_cores(monkeypatch):
    import os

    cores, before = len(os.sched_getaffinity(0)), torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    try:
        assert loop.machines.use_cores(1) == 1
        assert loop.machines.use_cores(1000) == cores == torch.get_num_threads()
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
        assert loop.machines.use_cores() == 1
    finally:
        torch.set_num_threads(before)
