"""What can go wrong in a training: one clear line, and the last good state is still there."""

import os
import resource

import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.training.loop import train
from emo2.training.state import load_state, state_files
from training_cases import LineRecipe, line_settings, no_space


def go(folder, arguments=None, **settings):
    chosen = line_settings(**settings)
    return train(chosen, folder, recipe=LineRecipe(chosen.recipe, chosen.seed), quiet=True, **(arguments or {}))


def names(folder):
    return [path.name for path in state_files(folder)]


def test_a_loss_that_is_no_number_names_step_and_samples(tmp_path):
    with pytest.raises(EMO2Error, match=r"finite loss.*step 7, samples 26\b.*state-00000004\.pt") as caught:
        go(tmp_path, recipe={"nan": 26})
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["state-00000004.pt"] and load_state(tmp_path)["step"] == 4


def test_a_gradient_that_is_no_number_too(tmp_path):
    with pytest.raises(EMO2Error, match=r"finite gradient.*step 6, samples 20 to 23.*state-00000004\.pt"):
        go(tmp_path, recipe={"rough": 23})
    assert bool(torch.isfinite(load_state(tmp_path)["module"]["lin.weight"]).all())


def test_accumulated_micro_steps_are_named_too(tmp_path):
    with pytest.raises(EMO2Error, match=r"step 6, samples 20 to 21, 22 to 23"):
        go(tmp_path, batch=2, accumulate=2, recipe={"rough": 23})


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_sample_is_named_and_the_run_can_go_on(tmp_path, workers):
    with pytest.raises(EMO2Error, match=r"sample 22: .*damaged 00007\.npz.*at step 6"):
        go(tmp_path, recipe={"wrong": 22, "pause": 0}, workers=workers)
    assert names(tmp_path) == ["state-00000005.pt", "state-00000004.pt"]
    go(tmp_path / "whole", recipe={})
    done = go(tmp_path, {"allow_changes": True}, recipe={"pause": 0})  # the sample is repaired
    assert done.finished
    whole, mended = load_state(tmp_path / "whole"), load_state(tmp_path)
    assert torch.equal(whole["module"]["lin.weight"], mended["module"]["lin.weight"])


def test_samples_that_do_not_fit_together_are_an_error(tmp_path, monkeypatch):
    from training_cases import Points

    get = Points.__getitem__
    monkeypatch.setattr(Points, "__getitem__", lambda self, i: {**get(self, i), "x": torch.zeros(6 + (i == 5))})
    with pytest.raises(EMO2Error, match="samples 4 to 7 do not fit together"):
        go(tmp_path)


def test_a_missing_file_is_found_before_any_work(tmp_path):
    with pytest.raises(EMO2Error, match=r"no file .*faces\.npz"):
        go(tmp_path / "run", recipe={"missing": str(tmp_path / "faces.npz")})
    assert not (tmp_path / "run").exists()


def test_a_full_disk_leaves_the_last_good_state(tmp_path, monkeypatch):
    go(tmp_path, {"stop_after": None}, steps=4)
    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(EMO2Error, match=r"No space left on device.*Free some space.*state-00000004\.pt"):
        go(tmp_path, steps=8)
    assert names(tmp_path) == ["state-00000004.pt"] and load_state(tmp_path)["step"] == 4
    assert not list(tmp_path.glob(".*.part")), "no half-written file stays"


def test_a_disk_that_takes_no_more_in_the_middle_of_a_file(tmp_path):
    """The operating system refuses the write itself, as it does when the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(EMO2Error, match=r"state-00000008\.pt.*last good state is state-00000004\.pt"):
            go(tmp_path, recipe={"full": 20})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == ["state-00000004.pt"] and load_state(tmp_path)["step"] == 4
    assert not list(tmp_path.glob(".*.part"))
    assert go(tmp_path, recipe={"full": 2**40}, arguments={"allow_changes": True}).finished


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(EMO2Error, match="Permission denied"):
        go(tmp_path / "closed" / "run")


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(EMO2Error):
        go(tmp_path / "run" / "deeper")


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_damaged_state_is_passed_over(tmp_path, damage, caplog):
    go(tmp_path / "whole")
    go(tmp_path, steps=8)
    newest = tmp_path / "state-00000008.pt"
    newest.write_bytes(newest.read_bytes()[:-700] if damage is None else damage)
    with caplog.at_level("WARNING", "emo2"):
        go(tmp_path, steps=12)
    assert torch.equal(
        load_state(tmp_path)["module"]["lin.weight"], load_state(tmp_path / "whole")["module"]["lin.weight"]
    )


def test_only_damaged_states_are_an_error(tmp_path):
    go(tmp_path, steps=3)
    (tmp_path / "state-00000003.pt").write_bytes(b"x")
    with pytest.raises(EMO2Error, match="whole state"):
        go(tmp_path)


def test_a_state_cannot_run_code(tmp_path):
    """Somebody else's state is data: what would run code on loading is refused."""

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "made"),))

    tmp_path.joinpath("run").mkdir()
    torch.save({"format": 1, "step": 1, "settings": Evil()}, tmp_path / "run" / "state-00000001.pt")
    with pytest.raises(EMO2Error, match="whole state"):
        go(tmp_path / "run")
    assert not (tmp_path / "made").exists()


def test_a_changed_config_is_refused_and_named(tmp_path):
    go(tmp_path, steps=4)
    with pytest.raises(EMO2Error, match=r"optimizer\.lr: 0\.01 -> 0\.02; recipe\.width: \(not set\) -> 3"):
        go(tmp_path, steps=8, optimizer={"lr": 0.02, "warmup": 3}, recipe={"width": 3})
    assert go(tmp_path, {"allow_changes": True}, steps=8, optimizer={"lr": 0.02, "warmup": 3}).finished


def test_harmless_changes_are_taken(tmp_path):
    go(tmp_path, steps=4)
    changes = {"steps": 8, "checkpoint_every": 1, "preview_every": 3, "log_every": 2, "workers": 1}
    assert go(tmp_path, **changes, recipe={"pause": 0.001}).step == 8


def test_resume_means_what_it_says(tmp_path):
    with pytest.raises(EMO2Error, match="--resume must"):
        go(tmp_path, {"resume": "must"})
    go(tmp_path, {"resume": "never"}, steps=4)
    with pytest.raises(EMO2Error, match="--resume never"):
        go(tmp_path, {"resume": "never"})
    assert go(tmp_path, {"resume": "must"}, steps=6).step == 6
    assert go(tmp_path, {"resume": "must"}, steps=6).files[0].is_file(), "a finished run writes its checkpoints again"


def test_one_training_a_folder(tmp_path):
    import fcntl

    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EMO2Error, match="no other training"):
            go(tmp_path)
    assert go(tmp_path, steps=1).finished


def test_half_precision_wants_a_gpu(tmp_path):
    with pytest.raises(EMO2Error, match="no or bf16 on a CPU"):
        go(tmp_path, {"cpu": True}, precision="fp16")


def test_nothing_to_train_is_an_error(tmp_path, monkeypatch):
    build = LineRecipe.build
    monkeypatch.setattr(LineRecipe, "build", lambda self: build(self).requires_grad_(False))
    with pytest.raises(EMO2Error, match="something to train"):
        go(tmp_path)
