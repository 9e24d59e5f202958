"""Grids as processes: killed, shared by two, and with a worker that cannot be found."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from cinn_nb.study import main
from conftest import ROOT, command

# Two trainings, each judged on two splits of seeds: the judgements need the trainings.
JOB = """
import sys
from cinn_nb.experiment import evaluation, grid, training
from cinn_nb.methods import jpegs
from cinn_nb.training import TrainConfig

recipe = dict(steps=60, size=64, batch=4)
settings = dict(N=1, width=8, growth=4)
quickly = dict(every=10, validation=("embedded", 2))
runs = []
for seed in range(2):
    net = training(settings, TrainConfig(seed=seed, **recipe), label=f"net {seed}", **quickly)
    read = {"name": "network", "model": "need:0", "code": "none"}
    runs += [evaluation(read, jpegs([90, 50]), crops=3, seed=s, needs=[net]) for s in range(2)]
table = grid(runs, workers=int(sys.argv[1])).table()
print(len(table), "rows")
"""
KILLS = int(os.environ.get("CINN_KILLS", "2"))


def start(store: Path, workers: int = 2) -> subprocess.Popen:
    "A process, in a group of its own, that computes the grid in `store`."
    env = {k: v for k, v in os.environ.items() if k != "IN_TEST"}
    env |= {"CINN_STORE": str(store), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    call = [sys.executable, "-c", JOB, str(workers)]
    return subprocess.Popen(call, env=env, cwd=ROOT, start_new_session=True, **pipes)


def ended(process: subprocess.Popen) -> str:
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return said


def results(store: Path) -> dict[str, bytes]:
    "Tables and weights of all runs, by run and name."
    files = [*store.glob("*/rows.csv"), *store.glob("*/model.safetensors")]
    return {f"{p.parent.name}/{p.name}": p.read_bytes() for p in files if "." not in p.parent.name}


def test_a_grid_that_is_killed_again_and_again_ends_with_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert ended(start(whole, workers=1)).splitlines()[-1] == "24 rows"
    rng = random.Random(4)
    for _ in range(KILLS):
        process = start(broken)
        time.sleep(rng.uniform(2, 8))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    ended(start(broken))
    assert results(broken) == results(whole)
    assert len(results(whole)) == 8  # 6 tables, 2 models


def test_two_processes_share_a_grid_and_do_nothing_twice(tmp_path):
    store = tmp_path / "store"
    both = [start(store, workers=1), start(store, workers=1)]
    for process in both:
        ended(process)
    records = [json.loads(path.read_text()) for path in store.glob("*/record.json")]
    assert len(records) == 6
    assert not list(store.glob("*.broken-*")) and not list(store.glob("*.work"))


def test_workers_end_when_the_grid_is_killed(tmp_path):
    store = tmp_path / "store"
    process = start(store)
    deadline = time.time() + 120
    while not list(store.glob("*.work")) and time.time() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    time.sleep(4)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    time.sleep(6)
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before
    assert not (len(list(store.glob("*/record.json"))) == 6)


def test_the_command_says_what_would_run(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CINN_STORE", str(tmp_path))
    main(["grid", "24_speed", "--dry-run", "-p", "steps", "3"])
    assert "4 runs: 0 there, 4 to run" in capsys.readouterr().out
    wrong = command("cinn-run", "grid", "24_speed", "-p", "steps", -3)
    assert wrong.returncode == 2 and "steps is -3" in wrong.stderr and "Traceback" not in wrong.stderr


def test_gpu_dry_run(tmp_path):
    "What is called on a borrowed machine, tiny, on a CPU: a notebook, a grid, an archive that comes home."
    tree, home = tmp_path / "tree", tmp_path / "home"
    for name in ("nbs", "cinn_nb", "gpu"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("pack", "out", "__pycache__"))
    (tree / "data").mkdir()
    for name in ("settings.ini", "data/registry.csv"):
        shutil.copy(ROOT / name, tree / name)
    places = dict(OUT=str(tmp_path / "out"), CINN_GPU_FOLDER=str(tmp_path / "there"), PYTHONPATH=str(tree))
    done = command("/bin/bash", tree / "gpu" / "run.sh", "--dry", cwd=tree, **places)
    assert done.returncode == 0 and "24b_gpu: exit 0" in done.stdout, done.stdout + done.stderr
    archive = tmp_path / "results.tar.gz"
    archive.write_bytes(b"".join(p.read_bytes() for p in sorted((tmp_path / "out").glob("results.tar.gz.*"))))
    code = "import sys; from cinn_nb.elsewhere import take_in; print(take_in(sys.argv[1], also=sys.argv[2]))"
    taken = command("python", "-c", code, archive, tmp_path, CINN_STORE=str(home))
    assert taken.returncode == 0 and "refused" not in taken.stdout, taken.stdout + taken.stderr
    assert len(list(home.glob("*/record.json"))) == taken.stdout.count("new") >= 13
    assert (tmp_path / "runs" / "quick" / "24b_gpu" / "24b_gpu.ipynb").is_file()


def test_a_run_that_loads_images_names_its_split():
    "The code of the loaders does not count in a run's id, so the pixels must count as an input."
    from cinn_nb.experiment import CHECKED, code_of, find_task, in_order, runs_of

    loaders = ("load_split", "embedded_images", "embedded_crops", "folder_crops")
    rest = [name for name in CHECKED if name.partition(":")[2] not in loaders]
    found = {}
    for stem in sorted(path.stem for path in (ROOT / "nbs").glob("[23]*.ipynb")):
        for run in in_order(runs_of(stem, "quick")):
            names = (run.task, *run.uses)
            if names not in found:
                things = [find_task(name) for name in names]
                found[names] = code_of(*things, without=CHECKED) != code_of(*things, without=rest)
            drawn = run.spec.get("images") == "drawn"
            if found[names] and not drawn:
                assert any(name.startswith("split:") for name in run.inputs), (stem, run.title)
    assert any(found.values()) and not all(found.values())
