"""Runs the experiments of the study, each at most once per change of its code, weights or data.

    make reproduce                          # the usual way: profile quick, all cores
    make reproduce PROFILE=full             # the reported results
    snakemake --cores 2 --config profile=quick -n            # what would run, and why
    snakemake --cores 2 21_robustness       # one experiment and what it needs

Every experiment uses one thread; experiments that do not need each other run side by side, one on each core.

The runs of an experiment (`runs_of`, the notebook's cells tagged `runs`) come first, then the notebook, which reads them.
In the full profile each run is a job of its own. Where runs follow from others (first those that choose a learning rate), name
the target `known_runs` once for each stage before the rest; `make reproduce PROFILE=full` does.

On a cluster with Slurm (`pip install snakemake-executor-plugin-slurm`), one GPU and one thread a job; set your partition in
profiles/slurm/config.yaml first:

    snakemake --profile profiles/slurm --config profile=full -- known_runs
    snakemake --profile profiles/slurm --config profile=full

Likewise `--executor kubernetes` and others. The nodes must see this folder and its environment.
"""
import json
import os
import sys
from pathlib import Path

from cinn_nb.provenance import fingerprint, sha256_of
from cinn_nb.study import profile_of

# name: `needs`: experiments whose metrics it reads; `reads`: weights and data, which count by their content, not by their time
# stamps; `writes`: files beside its executed notebook; `figures`: each as SVG and PNG; `gpus` (default 1; a CPU will do). A new experiment is one line.
TABLES = ["metrics.csv", "provenance.json"]
IMAGES = ["data/registry.csv", "data/test_crops.csv"]
MODELS = ["cinn_nb/weights", *IMAGES]
PARTS = [f"nbs/{name}.ipynb" for name in ("22_codes", "26_lattice", "27_channels", "28_comparison", "30_medical")]
ALL = [
    "20_train", "20b_channels", "21_robustness", "22_codes", "22b_bursts", "22c_engine", "23_domain",
    "24_speed", "24b_gpu", "25_ablation", "26_lattice", "26b_bounds", "26c_parts", "27_channels",
    "27b_answers", "28_comparison", "29_jpeg", "30_medical", "31_security", "32_sealed",
]
EXPERIMENTS = {
    "20_train":      dict(needs=[], reads=IMAGES, writes=TABLES, figures=["training"]),
    "20b_channels":  dict(needs=[], reads=MODELS, writes=TABLES, figures=["through_channels"]),
    "21_robustness": dict(needs=["20_train"], reads=MODELS, writes=TABLES, figures=["robustness", "code_gain", "where"]),
    "22_codes":      dict(needs=[], reads=MODELS, writes=TABLES, figures=["codes"]),
    "22b_bursts":    dict(needs=["22_codes"], reads=[*MODELS, "nbs/22_codes.ipynb"], writes=TABLES, figures=["burstiness", "placement"]),
    "22c_engine":    dict(needs=["22_codes"], reads=[*MODELS, "nbs/22_codes.ipynb"], writes=TABLES, figures=["engine"]),
    "23_domain":     dict(needs=[], reads=IMAGES, writes=TABLES, figures=["domain"]),
    "24_speed":      dict(needs=[], reads=IMAGES, writes=TABLES, figures=["speed"]),
    "24b_gpu":       dict(needs=["24_speed"], reads=[*MODELS, "nbs/24_speed.ipynb", "nbs/29_jpeg.ipynb"], writes=TABLES, figures=["gpu"]),
    "25_ablation":   dict(needs=["24_speed"], reads=IMAGES, writes=TABLES, figures=["ablation"]),
    "26_lattice":    dict(needs=[], reads=MODELS, writes=TABLES, figures=["lattice", "promise", "verified"]),
    "26b_bounds":    dict(needs=["26_lattice"], reads=MODELS, writes=TABLES, figures=["bounds", "bounds_promise", "bounds_rounding"]),
    "26c_parts":     dict(needs=["26_lattice"], reads=MODELS, writes=TABLES, figures=["parts"]),
    "27_channels":   dict(needs=["20b_channels"], reads=[*MODELS, "nbs/20b_channels.ipynb"], writes=TABLES, figures=["channels", "trade"]),
    "27b_answers":   dict(needs=[], reads=MODELS, writes=TABLES, figures=["answers", "marked_twice"]),
    "28_comparison": dict(needs=[], reads=MODELS, writes=TABLES, figures=["comparison", "comparison_map"]),
    "29_jpeg":       dict(needs=[], reads=IMAGES, writes=TABLES, figures=["jpeg"]),
    "30_medical":    dict(needs=[], reads=MODELS, writes=TABLES, figures=["medical"]),
    "31_security":   dict(needs=[], reads=[*MODELS, "nbs/27b_answers.ipynb"], writes=TABLES, figures=["security"]),
    "32_sealed":     dict(needs=["22_codes", "26_lattice", "27_channels", "28_comparison", "30_medical"], reads=[*MODELS, "data/models", *PARTS], writes=TABLES, figures=["sealed"]),
    "40_results":    dict(needs=ALL, reads=[*MODELS, "claims.yaml"], writes=TABLES, figures=["recovery", "figure1", "figure1_row"], gpus=0),
}

if config.get("profile") == "full":  # full reads the sealed split, once per release: make sealed
    ALL.remove("32_sealed")  # the list that 40 needs, too
    EXPERIMENTS.pop("32_sealed", None)

PROFILE = profile_of(config.get("profile", "quick")).name
FIGURES = profile_of(PROFILE).figures
CODE = {name: fingerprint(f"nbs/{name}.ipynb") for name in EXPERIMENTS}
SEAL = {name: f"runs/{PROFILE}/{name}/done-{code[:12]}" for name, code in CODE.items()}  # made by this code, in a run of the study
RUN = str(Path(sys.executable).with_name("cinn-run"))


def has_runs(name):
    "Whether an experiment declares runs: a cell of its notebook is tagged `runs`."
    cells = json.loads(Path(f"nbs/{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return any("runs" in cell["metadata"].get("tags", []) for cell in cells)


def known(name):
    "Record of each run that can be named by now -> records of the runs that it needs."
    from cinn_nb.experiment import in_order, runs_of  # loads torch: only where each run is a job

    record = (os.environ.get("CINN_STORE", "runs/store") + "/{}/record.json").format
    return {record(run.id): [record(need.id) for need in run.needs] for run in in_order(runs_of(name, PROFILE))}


WITH_RUNS = [name for name in EXPERIMENTS if has_runs(name)]
GRID = {name: f"runs/{PROFILE}/.grids/{name}-{CODE[name][:12]}.json" for name in WITH_RUNS}  # ids of all runs, written at the end
KNOWN = {name: known(name) for name in WITH_RUNS} if PROFILE == "full" else {}  # smaller profiles: one job for all runs of a grid
OWNER = {record: name for name, records in KNOWN.items() for record in records}  # a run that two experiments share is one job


rule all:
    default_target: True
    input:
        [f"runs/{PROFILE}/{name}/{name}.ipynb" for name in EXPERIMENTS],
        list(SEAL.values()),


rule known_runs:
    input:
        list(OWNER),


for record, name in OWNER.items():

    rule:
        name:
            f"run_{Path(record).parent.name}"
        input:
            KNOWN[name][record],
        output:
            record,
        params:
            experiment=name,
            id=Path(record).parent.name,
        threads: 1
        resources:
            gpu=1,
        shell:
            "{RUN:q} grid {params.experiment} -p profile {PROFILE} --workers 1 --only {params.id}"


for name in WITH_RUNS:

    rule:
        name:
            f"grid_{name}"
        input:
            list(KNOWN.get(name, [])),
            [GRID[need] for need in EXPERIMENTS[name]["needs"] if need in GRID],
        output:
            GRID[name],
        params:
            experiment=name,
            data={path: sha256_of(path) for path in EXPERIMENTS[name]["reads"] if Path(path).exists()},
        threads: 1
        resources:
            gpu=EXPERIMENTS[name].get("gpus", 1),
        shell:
            "{RUN:q} grid {params.experiment} -p profile {PROFILE} --workers 1 --said {output:q}"


for name, e in EXPERIMENTS.items():

    rule:
        name:
            name
        input:
            [f"runs/{PROFILE}/{need}/metrics.csv" for need in e["needs"]],
            [SEAL[need] for need in e["needs"]],
            [GRID[name]] if name in GRID else [],
        output:
            [report(f"runs/{PROFILE}/{name}/{file}", category="Tables", subcategory=name) for file in e["writes"]],
            [
                report(f"{FIGURES}/{figure}.{suffix}", category="Figures", subcategory=name)
                for figure in e["figures"]
                for suffix in ("svg", "png")
            ],
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
