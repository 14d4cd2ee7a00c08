"""Tables of jobs on a Ray cluster: what an actor does, what travels, and a real cluster of two on this machine."""

import json
import sys

import numpy as np
import pytest
from emo2.runner import executor
from emo2.runner.cli import main
from emo2.runner.definitions import LocalDefinitions
from emo2.runner.executor import run_workflow
from emo2.runner.inputs import InputFolders
from emo2.runner.ray_jobs import Runner, actors_of, placed, run_ray_jobs, with_files
from PIL import Image
from runner_cases import picture_flow


@pytest.fixture
def flow(tmp_path):
    return picture_flow(tmp_path, face=20, anna=90, ben=200)


def prompt_of(flow):
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "face.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "shot"}},
    }


def test_input_files_travel_under_names_of_their_own(flow, tmp_path):
    prompt, files = with_files(prompt_of(flow), LocalDefinitions(), InputFolders([tmp_path]))
    (name,) = files
    assert prompt["1"]["inputs"]["image"] == name != "face.png" and files[name] == (tmp_path / "face.png").read_bytes()


def test_an_actor_runs_a_prompt_with_files_that_it_was_sent(flow, tmp_path):
    prompt, files = with_files(prompt_of(flow), LocalDefinitions(), InputFolders([tmp_path]))
    for path in tmp_path.glob("*.png"):
        path.unlink()
    answer = Runner([]).run(prompt, None, files)
    ((name, content),) = answer["files"].items()
    assert name == "shot_00001_.png"
    (tmp_path / "back.png").write_bytes(content)
    assert np.asarray(Image.open(tmp_path / "back.png"))[0, 0].tolist() == [20, 10, 10]


def test_an_actor_s_error_is_a_line(flow):
    answer = Runner([]).run(prompt_of(flow), None, {"face.png": b"no picture"})
    assert "Traceback" not in answer["error"] and "\n" not in answer["error"]
    assert "LoadImage" in answer["error"] and "face.png" in answer["error"]


def test_models_stay_loaded_from_one_job_to_the_next(monkeypatch, tmp_path):
    """A loader runs once for the same file and again for another; what is no model is made anew each time."""
    ran = []
    once = executor._Run.run_node

    def counted(self, node_id, node):
        ran.append(node["class_type"])
        return once(self, node_id, node)

    monkeypatch.setattr(executor._Run, "run_node", counted)
    Image.new("RGB", (32, 32)).save(tmp_path / "face.png")
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "face.png"}},
        "2": {"class_type": "EMO2LoadVAE", "inputs": {"vae_name": "emo2_vae_tiny.safetensors"}},
        "3": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 0], "vae": ["2", 0]}},
        "4": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["2", 0]}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "shot"}},
    }
    actor = Runner([])
    for _ in range(2):
        run_workflow(prompt, out=tmp_path, input_dirs=[tmp_path], loaded=actor.loaded)
    run_workflow(prompt, out=tmp_path, input_dirs=[tmp_path])
    assert ran.count("EMO2LoadVAE") == 2, "once with, once without"
    assert ran.count("LoadImage") == 3 and len(actor.loaded) == 1


def test_a_result_never_replaces_another(tmp_path):
    assert placed(tmp_path / "a.bin", b"one") == placed(tmp_path / "a.bin", b"one") == tmp_path / "a.bin"
    other = placed(tmp_path / "a.bin", b"two")
    assert other != tmp_path / "a.bin" and other.read_bytes() == b"two" and (tmp_path / "a.bin").read_bytes() == b"one"


class Cluster:
    def __init__(self, gpus, machines=2, cpus=8):
        self.gpus, self.machines, self.cpus = gpus, machines, cpus

    def cluster_resources(self):
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    def nodes(self):
        return [{"Alive": True}] * self.machines + [{"Alive": False}]


@pytest.mark.parametrize("cluster, wanted, count, share", [
    (Cluster(4), None, 4, {"num_gpus": 1.0}),
    (Cluster(2), 4, 4, {"num_gpus": 0.5}),
    (Cluster(0), None, 2, {"num_cpus": 1.0}),
    (Cluster(0, cpus=2), 4, 4, {"num_cpus": 0.5}),
])  # fmt: skip
def test_there_is_an_actor_for_each_gpu(cluster, wanted, count, share):
    assert actors_of(cluster, wanted) == (count, share)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--ray", "local", "--actors", "0"], "--actors: expected at least 1"),
        (["--ray", "127.0.0.1:9"], "a Ray cluster that answers, but got 127.0.0.1:9"),
        (["--ray", "ray://127.0.0.1:9"], "Start it: ray start --head"),
        (["--ray", "here:there"], "a Ray cluster that answers"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused_at_once(flow, tmp_path, options, words, capsys):
    path = tmp_path / "jobs.csv"
    path.write_text("name,2.filename_prefix\na,1\n")
    assert main(["queue", str(flow), "--jobs", str(path), "--out", str(tmp_path / "out"), *options]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "--server or --ray, but got neither"),
        (["--ray", "local", "--server", "127.0.0.1:9"], "--server or --ray, but got both"),
        (["--ray", "local"], "Write one job a row"),
    ],
)
def test_where_a_job_runs_must_be_said_once(flow, arguments, words, capsys):
    assert main(["queue", str(flow), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_without_ray_the_package_is_named(flow, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    path = tmp_path / "jobs.csv"
    path.write_text("name,2.filename_prefix\na,1\n")
    assert main(["queue", str(flow), "--jobs", str(path), "--ray", "local", "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'comfyui-emo2[ray]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cluster_of_two_does_a_table(flow, tmp_path):
    """Real actors: each row once, on both of them, pictures as they should be, and a second start repeats nothing."""
    path, out = tmp_path / "jobs.csv", tmp_path / "out"
    rows = "".join(f"j{i},{'anna' if i % 2 else 'ben'}.png,{i}\n" for i in range(6))
    path.write_text("name,1.image,2.filename_prefix\n" + rows + "bad,anna.png,../out\n")
    done = run_ray_jobs(flow, path, "local", out=out, actors=2)
    assert len(done.failed) == 1 and "row 8 (bad)" in done.failed[0]
    jobs = json.loads((out / "jobs.manifest.json").read_text())["jobs"]
    assert [job["status"] for job in jobs] == ["done"] * 6 + ["failed"]
    for i, job in enumerate(jobs[:6]):
        (made,) = job["files"]
        assert np.asarray(Image.open(made["path"]))[0, 0, 0] == (90 if i % 2 else 200)
        assert job["server"] in ("ray-1", "ray-2") and len(job["attempts"]) == 1
    assert run_ray_jobs(flow, path, "local", out=out, actors=1).skipped == 6
