"""The documented Slurm command, with stubs of Slurm's programs: jobs are submitted, run and found done."""

import json
import os
import shutil
import stat

from conftest import ROOT, command, tiny_notebook

# A pretended cluster of one node: a job runs at once, in the background, and leaves its state in a file.
SBATCH = r"""#!/usr/bin/env python3
import os, re, subprocess, sys
folder = os.environ["PRETENDED_SLURM"]
number = str(1000 + len(os.listdir(folder)))
line = next(a for a in sys.argv if a.startswith("--wrap="))[len("--wrap="):]
open(f"{folder}/{number}", "w").write("RUNNING")
with open(f"{folder}.calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\n")
end = f'if {line}; then s=COMPLETED; else s=FAILED; fi; echo -n $s > {folder}/{number}'
env = dict(os.environ, SLURM_JOB_ID=number)
out = open(f"{folder}.out", "a")
subprocess.Popen(["sh", "-c", end], env=env, stdout=out, stderr=out, start_new_session=True)
print(number)
"""
SQUEUE = r"""#!/usr/bin/env python3
import os
folder = os.environ["PRETENDED_SLURM"]
for number in sorted(os.listdir(folder)):
    print(f"{number}|{open(os.path.join(folder, number)).read()}")
"""
SRUN = r"""#!/usr/bin/env python3
import os, sys
words = sys.argv[1:]
while words and words[0].startswith("-"):
    words = words[1:] if "=" in words[0] or words[0] in ("--exact",) else words[1:]
os.execvp(words[0], words)
"""
NOTHING = "#!/bin/sh\nexit 0\n"
SCONTROL = "#!/bin/sh\necho 'MinJobAge = 600 sec'\n"
FAILS = "#!/bin/sh\necho no database >&2; exit 1\n"

RUNS = """
from dataclasses import dataclass
from cinn_nb.experiment import evaluation
from cinn_nb.methods import jpegs, register_method


@register_method("nothing")
@dataclass(frozen=True)
class Nothing:
    payload_bits: int = 8

    def embed(self, image, payload):
        return image

    def extract(self, image):
        return 0 * image.ravel()[:8]


def runs(p):
    return [evaluation({"name": "nothing"}, jpegs([50]), crops=1)]
"""


def tree_with_one_experiment(tree):
    "A checkout with the real Snakefile and profile, and one tiny experiment."
    shutil.copytree(ROOT / "cinn_nb", tree / "cinn_nb", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "profiles", tree / "profiles")
    (tree / "data").mkdir()
    for name in ("settings.ini", "data/registry.csv", "data/test_crops.csv"):
        shutil.copy(ROOT / name, tree / name)
    entry = 'dict(needs=[], reads=[], writes=["metrics.csv", "provenance.json"], figures=[])'
    head, _, tail = (ROOT / "Snakefile").read_text().partition("EXPERIMENTS = {")
    table = f'EXPERIMENTS = {{"50_tiny": {entry}}}\n'
    (tree / "Snakefile").write_text(head + table + tail.partition("\n}\n")[2])
    tiny_notebook(tree / "nbs" / "50_tiny.ipynb", RUNS, parameters="profile: str = 'quick'  # size")
    return tree


def tag_runs(notebook):
    "Tag the cell that declares the runs."
    content = json.loads(notebook.read_text())
    content["cells"][2]["metadata"] = {"tags": ["runs"]}
    notebook.write_text(json.dumps(content))


def test_the_documented_command_runs_a_job_through_slurm(tmp_path):
    tree, tools, jobs = tmp_path / "tree", tmp_path / "bin", tmp_path / "jobs"
    jobs.mkdir()
    tools.mkdir()
    tree_with_one_experiment(tree)
    tag_runs(tree / "nbs" / "50_tiny.ipynb")
    stubs = {"sbatch": SBATCH, "squeue": SQUEUE, "srun": SRUN, "scontrol": SCONTROL}
    stubs |= {"scancel": NOTHING, "sinfo": NOTHING, "sacct": FAILS, "sacctmgr": FAILS}
    for name, text in stubs.items():
        (tools / name).write_text(text)
        (tools / name).chmod((tools / name).stat().st_mode | stat.S_IXUSR)
    quick = ["--latency-wait", 2, "--slurm-init-seconds-before-status-checks", 1]
    quick += ["--seconds-between-status-checks", 1]
    env = {"PRETENDED_SLURM": str(jobs), "PYTHONPATH": str(tree)}
    env["PATH"] = f"{tools}{os.pathsep}{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    given = ["--profile", "profiles/slurm", "--config", "profile=full", *quick]
    done = command("snakemake", *given, "--", "known_runs", cwd=tree, **env)
    log = (tmp_path / "jobs.out").read_text() if (tmp_path / "jobs.out").exists() else ""
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:] + log[-3000:]
    assert [path.read_text() for path in jobs.iterdir()] == ["COMPLETED"]
    call = (tmp_path / "jobs.calls").read_text()
    assert "-p gpu" in call and "--gpus=1" in call and "--cpus-per-task=1" in call
    assert len(list((tree / "runs" / "store").glob("*/record.json"))) == 1
