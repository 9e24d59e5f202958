"""A training run is a process: killed without warning, it goes on where its last checkpoint stands."""

import csv
import subprocess
import sys
import time

from conftest import ROOT

RUN = """
import sys
from cinn_nb.core import set_seed
from cinn_nb.phantoms import phantom
from cinn_nb.network import CINN, Config, save
from cinn_nb.training import TrainConfig, train
set_seed(0)
net = CINN(Config(N=1, width=16, growth=4))
images = [phantom("chest", 128), phantom("head_ct", 128)]
config = TrainConfig(steps=40, batch=2, size=64)
net, curve = train(net, images, config, folder=sys.argv[1], every=2, save_every=2, device="cpu")
save(net, sys.argv[1] + "/net.safetensors")
"""


def start(folder) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL)


def without_times(folder) -> list[dict]:
    with open(folder / "curve.csv") as f:
        return [{**row, "seconds": ""} for row in csv.DictReader(f)]


def test_a_killed_run_ends_as_if_nothing_had_happened(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(whole).wait(timeout=300) == 0

    run, deadline = start(broken), time.monotonic() + 300
    while (
        not (broken / "checkpoint.safetensors").exists()
        and run.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.005)
    run.kill()
    assert run.wait() != 0, "the run was over before it could be killed"
    done = int(without_times(broken)[-1]["step"])
    assert 2 <= done < 40 and not (broken / "net.safetensors").exists()

    # as if the power had gone between the two files: the curve is one save ahead of the checkpoint
    rows = (broken / "curve.csv").read_text().splitlines()
    (broken / "curve.csv").write_text(
        "\n".join([*rows, rows[-1].replace(rows[-1].split(",")[0], str(done + 2), 1)]) + "\n"
    )

    assert start(broken).wait(timeout=300) == 0
    assert (broken / "net.safetensors").read_bytes() == (whole / "net.safetensors").read_bytes()
    assert without_times(broken) == without_times(whole)


def test_the_other_seeds_have_weights_and_cards():
    "data/models: every file loads, and its card says which training made it."
    import json

    from cinn_nb.network import load

    files = sorted((ROOT / "data" / "models").glob("*.safetensors"))
    assert len(files) >= 2
    for path in files:
        card = json.loads(path.with_suffix(".json").read_text())
        name, _, seed = path.stem.rpartition("_")
        assert (card["name"], card["training"]["seed"], card["profile"]) == (name, int(seed), "full")
        assert load(path).config.gain == card["network"]["gain"] and card["gain_reached"]
        assert path.stat().st_size < 2_000_000
