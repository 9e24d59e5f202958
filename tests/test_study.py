"""The runner and the Snakefile, as commands."""

import json
import re
import shutil

from conftest import ROOT, command, tiny_notebook


def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path):
    nb = tiny_notebook(
        tmp_path / "50_x.ipynb",
        f"open({str(tmp_path / 'ran')!r}, 'w')",
        parameters="epochs: int = 1  # passes over the data",
    )
    done = command("cinn-run", nb, tmp_path / "out" / "x.ipynb", "-p", "epoch", 3)
    assert done.returncode == 2
    assert (
        "no parameter 'epoch'" in done.stderr
        and "epochs = 1  passes over the data" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


def test_a_failing_notebook_is_kept_and_fails_the_command(tmp_path):
    nb = tiny_notebook(
        tmp_path / "50_x.ipynb",
        "print('so far, so good', flush=True)",
        "raise RuntimeError('no crops')",
        "print('never')",
    )
    done = command("cinn-run", nb, tmp_path / "out" / "x.ipynb")
    assert done.returncode == 1
    assert "so far, so good" in done.stdout
    assert (
        "RuntimeError: no crops" in done.stderr and "cell [2]" in done.stderr and "never" not in done.stdout
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.failed.ipynb"]


def test_a_run_passes_values_and_leaves_no_machine_path(tmp_path):
    nb = tiny_notebook(
        tmp_path / "50_x.ipynb",
        "from pathlib import Path",
        "print(Path.cwd(), Path.home() / 'scan.png', n)",
        parameters="n: int = 1  # how many",
    )
    done = command("cinn-run", nb, tmp_path / "out" / "x.ipynb", "-p", "n", 7)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "x.ipynb").read_text()
    assert "~/scan.png 7" in text
    assert (
        str(ROOT) not in text
        and str(tmp_path) not in text
        and "papermill" not in json.loads(text)["metadata"]
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.ipynb"]


def snakemake(tree, *args):
    triggers = ["--rerun-triggers", "mtime", "params", "input"]
    options = ["--cores", 1, *triggers, "--quiet", "host"]
    return command("snakemake", *options, *args, cwd=tree, PYTHONPATH=str(tree))


def planned(done) -> set[str]:
    return set(re.findall(r"^(?:local)?rule (\d\w+):", done.stdout + done.stderr, re.MULTILINE))


def test_only_what_changed_runs_again(tmp_path):
    """The real Snakefile over two tiny experiments.

    Prose and time stamps run nothing; code does, and so does what reads its result."""
    tree = tmp_path / "tree"
    (tree / "cinn_nb" / "weights").mkdir(parents=True)
    weights = tree / "cinn_nb" / "weights" / "a.safetensors"
    weights.write_bytes(b"a")
    shutil.copy(ROOT / "settings.ini", tree / "settings.ini")
    for name in ("__init__", "core", "provenance", "study"):
        shutil.copy(ROOT / "cinn_nb" / f"{name}.py", tree / "cinn_nb" / f"{name}.py")
    needs = 'needs=[], reads=["cinn_nb/weights"], writes=["metrics.csv"], figures=[]'
    table = f'EXPERIMENTS = {{"20_a": dict({needs}),\n'
    table += '"40_b": dict(needs=["20_a"], reads=[], writes=[], figures=[])}\n'
    head, _, tail = (ROOT / "Snakefile").read_text().partition("EXPERIMENTS = {")
    (tree / "Snakefile").write_text(head + table + tail.partition("\n}\n")[2])
    write = "open(f'runs/{profile}/20_a/metrics.csv', 'w').write('a\\n')"
    profile = "profile: str = 'quick'  # size"
    tiny_notebook(tree / "nbs" / "20_a.ipynb", write, parameters=profile)
    tiny_notebook(tree / "nbs" / "40_b.ipynb", "1", parameters=profile)
    first = snakemake(tree)
    assert first.returncode == 0, first.stdout + first.stderr
    assert sorted(path.name for path in (tree / "runs").rglob("*.*")) == [
        "20_a.ipynb",
        "40_b.ipynb",
        "metrics.csv",
    ]

    tiny_notebook(tree / "nbs" / "20_a.ipynb", write, parameters=profile, prose="A better question.")
    weights.touch()
    again = snakemake(tree, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr

    tiny_notebook(tree / "nbs" / "40_b.ipynb", "2", parameters=profile)
    changed = snakemake(tree, "-n")
    assert planned(changed) == {"40_b"}, changed.stdout + changed.stderr

    weights.write_bytes(b"b")
    changed = snakemake(tree, "-n")
    assert planned(changed) == {"20_a", "40_b"}, changed.stdout + changed.stderr
