"""Runs the experiments of the study, each at most once per change of its code, weights or data.

    make reproduce                          # the usual way: profile quick, all cores
    make reproduce PROFILE=full             # the reported results
    snakemake --cores 2 --config profile=quick -n            # what would run, and why
    snakemake --cores 2 21_robustness       # one experiment and what it needs

Every experiment uses one thread; experiments that do not need each other run side by side, one on each core.

On a cluster (`pip install snakemake-executor-plugin-slurm`), one GPU per job, independent experiments side by side:

    snakemake --executor slurm --jobs 8 --default-resources slurm_partition=gpu runtime=60 mem_mb=16000 --config profile=full

Likewise `--executor kubernetes` and others. The nodes must see this folder and its environment.
"""
import sys
from pathlib import Path

from cinn_nb.provenance import fingerprint, sha256_of
from cinn_nb.study import profile_of

# name: `needs`: experiments whose metrics it reads; `reads`: weights and data, which count by their content, not by their time
# stamps; `writes`: files beside its executed notebook; `figures`: each as SVG and PNG; `gpus` (default 1; a CPU will do). A new experiment is one line.
TABLES = ["metrics.csv", "provenance.json"]
IMAGES = ["data/registry.csv", "data/test_crops.csv"]
EXPERIMENTS = {
    "20_train":      dict(needs=[], reads=IMAGES, writes=TABLES, figures=["training"]),
    "21_robustness": dict(needs=[], reads=["cinn_nb/weights", *IMAGES], writes=TABLES, figures=["robustness"]),
    "22_codes":      dict(needs=[], reads=["cinn_nb/weights", *IMAGES], writes=TABLES, figures=["codes", "burstiness"]),
    "23_domain":     dict(needs=[], reads=IMAGES, writes=TABLES, figures=["domain"]),
    "24_speed":      dict(needs=[], reads=IMAGES, writes=[*TABLES, "curves.csv"], figures=["speed"]),
    "25_ablation":   dict(needs=[], reads=IMAGES, writes=TABLES, figures=["ablation"]),
    "26_lattice":    dict(needs=[], reads=["cinn_nb/weights", *IMAGES], writes=[*TABLES, "overview.csv", "leads.csv", "timing.csv"], figures=["lattice"]),
    "29_jpeg":       dict(needs=[], reads=IMAGES, writes=TABLES, figures=["jpeg"]),
    "40_results":    dict(needs=["20_train", "21_robustness", "22_codes", "23_domain", "24_speed", "25_ablation", "26_lattice", "29_jpeg"], reads=["cinn_nb/weights", *IMAGES], writes=TABLES, figures=["recovery", "figure1"], gpus=0),
}

PROFILE = profile_of(config.get("profile", "quick")).name
FIGURES = profile_of(PROFILE).figures
CODE = {name: fingerprint(f"nbs/{name}.ipynb") for name in EXPERIMENTS}
SEAL = {name: f"runs/{PROFILE}/{name}/done-{code[:12]}" for name, code in CODE.items()}  # made by this code, in a run of the study
RUN = str(Path(sys.executable).with_name("cinn-run"))


rule all:
    default_target: True
    input:
        [f"runs/{PROFILE}/{name}/{name}.ipynb" for name in EXPERIMENTS],
        list(SEAL.values()),


for name, e in EXPERIMENTS.items():

    rule:
        name:
            name
        input:
            [f"runs/{PROFILE}/{need}/metrics.csv" for need in e["needs"]],
            [SEAL[need] for need in e["needs"]],
        output:
            [f"runs/{PROFILE}/{name}/{file}" for file in e["writes"]],
            [f"{FIGURES}/{figure}.{suffix}" for figure in e["figures"] for suffix in ("svg", "png")],
            SEAL[name],
            notebook=f"runs/{PROFILE}/{name}/{name}.ipynb",
        params:
            source=f"nbs/{name}.ipynb",
            code=CODE[name],
            data={path: sha256_of(path) for path in e["reads"] if Path(path).exists()},
        threads: 1
        resources:
            gpu=e.get("gpus", 1),
        shell:
            "{RUN:q} {params.source:q} {output.notebook:q} -p profile {PROFILE}"
