"""Runs the experiments of the study, each at most once per change of its code, weights or data.

    make reproduce                          # the usual way: profile quick, all cores
    make reproduce PROFILE=full             # the reported results
    snakemake --cores 2 --config profile=quick -n            # what would run, and why
    snakemake --cores 2 runs/quick/21_robustness/metrics.csv   # one experiment and what it needs

On a cluster (`pip install snakemake-executor-plugin-slurm`), one GPU per job, independent experiments side by side:

    snakemake --executor slurm --jobs 8 --default-resources slurm_partition=gpu runtime=60 mem_mb=16000 --config profile=full

Likewise `--executor kubernetes` and others. The nodes must see this folder and its environment.
"""
import sys
from pathlib import Path

from cinn_nb.study import fingerprint, profile_of, sha256_of

# name: what it needs (experiments whose metrics it reads), and the files it writes beside its executed notebook.
# A new experiment is one line.
TABLES = ["metrics.csv", "provenance.json"]
EXPERIMENTS = {
    "20_train":      dict(needs=[], writes=TABLES),
    "21_robustness": dict(needs=[], writes=TABLES),  # measures the committed weights, so it needs no training
    "40_results":    dict(needs=["20_train", "21_robustness"], writes=[], gpus=0),
}
# Read by every experiment. They count by their content (see `params`), not by their time stamps, which a checkout changes.
DATA = [path for path in ("cinn_nb/weights", "data/registry.csv", "data/test_crops.csv") if Path(path).exists()]

PROFILE = profile_of(config.get("profile", "quick")).name
RUN = str(Path(sys.executable).with_name("cinn-run"))


rule all:
    default_target: True
    input:
        [f"runs/{PROFILE}/{name}/{name}.ipynb" for name in EXPERIMENTS],


for name, e in EXPERIMENTS.items():

    rule:
        name:
            name
        input:
            [f"runs/{PROFILE}/{need}/metrics.csv" for need in e["needs"]],
        output:
            [f"runs/{PROFILE}/{name}/{file}" for file in e["writes"]],
            notebook=f"runs/{PROFILE}/{name}/{name}.ipynb",
        params:
            source=f"nbs/{name}.ipynb",
            code=fingerprint(f"nbs/{name}.ipynb"),
            data={path: sha256_of(path) for path in DATA},
        threads: workflow.cores or 4
        resources:
            gpu=e.get("gpus", 1),
        shell:
            "{RUN:q} {params.source:q} {output.notebook:q} -p profile {PROFILE}"
