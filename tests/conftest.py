"""What the rules share: the checkout, its files, its notebooks, and the commands of the environment."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
# Several command lines in one process of their own: a list of [status, stdout, stderr].
MANY = """
import contextlib, io, json, sys
from cinn_nb.cli import main
answers = []
for line in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err): status = main(line)
    answers.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""


# Tests of many seconds, or that wait, go first, so that at the end no process works alone on one of them.
LONG = (
    "test_gpu_dry_run",
    "test_a_grid_that_is_killed_again_and_again_ends_with_the_same_bytes",
    "test_workers_end_when_the_grid_is_killed",
    "test_two_processes_share_a_grid_and_do_nothing_twice",
    "test_no_damaged_file_upsets_a_command",
    "test_the_old_message_is_gone",
    "test_only_what_changed_runs_again",
    "test_checks_fail_before_and_pass_after",
    "test_one_digit_in_a_table_changes_the_readme",
    "test_a_killed_run_ends_as_if_nothing_had_happened",
    "test_a_killed_batch_goes_on",
    "test_the_documented_command_runs_a_job_through_slurm",
)


def pytest_collection_modifyitems(items: list) -> None:
    "The tests of `LONG` first, in that order; the others stay in theirs."
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(getattr(item, "originalname", None), len(LONG)))


def source_files() -> list[Path]:
    "All files that git tracks or would add; without git, all but what is made by a build or a run."
    try:
        listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, capture_output=True, check=True).stdout.decode().split("\0")
        found = [ROOT / name for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        skip = {".git", ".venv", "runs", "build", "dist", ".snakemake", "__pycache__"}
        skip |= {"cinn_nb.egg-info", ".ipynb_checkpoints"}
        found = [path for path in ROOT.rglob("*") if not skip & set(path.relative_to(ROOT).parts)]
    return sorted(path for path in found if path.is_file())


def notebooks() -> list[Path]:
    return sorted((ROOT / "nbs").glob("*.ipynb"))


def order(path: Path) -> tuple[int, str]:
    "A notebook's place: number, then letter (`04b_jpeg_fast` is (4, 'b')); the front page comes last."
    found = re.match(r"(\d\d)([a-z]?)_", path.name)
    return (int(found[1]), found[2]) if found else (100, "")


def module_of(path: Path) -> str:
    "The tail of a notebook's name, which is its module's name: `jpeg_fast`."
    return path.stem.partition("_")[2]


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def command(name: str, *args: object, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess:
    "Run a command of this environment as a user would; the result holds exit status and text."
    clean = {
        key: value for key, value in os.environ.items() if key not in ("CINN_DATA", "CINN_STORE", "IN_TEST")
    }
    path = f"{BIN}{os.pathsep}{clean.get('PATH', '')}"
    return subprocess.run(
        [str(BIN / name), *map(str, args)],
        cwd=cwd,
        env={**clean, "PATH": path, "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def cinn_here(*lines: list[str], cwd: Path) -> list[tuple[int, str, str]]:
    "Command lines of `cinn` in this process, as loading torch takes longest: status, stdout, stderr of each."
    from cinn_nb.cli import main

    answers = []
    for line in lines:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(line))
        answers.append((status, out.getvalue(), err.getvalue()))
    return answers


def tiny_notebook(path: Path, *sources: str, parameters: str = "", prose: str = "A question.") -> Path:
    "Write a notebook: a line of prose, a `parameters` cell if given, then code cells."

    def code(i: object, source: str, tags: list[str]) -> dict:
        cell = dict(cell_type="code", id=f"c{i}", source=source, outputs=[], execution_count=None)
        return cell | dict(metadata={"tags": tags} if tags else {})

    made = [dict(cell_type="markdown", id="m", metadata={}, source=prose)]
    if parameters:
        made.append(code("p", parameters, ["parameters"]))
    made += [code(i, source, []) for i, source in enumerate(sources)]
    spec = dict(name="python3", display_name="python3", language="python")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(cells=made, metadata=dict(kernelspec=spec), nbformat=4, nbformat_minor=5)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def root() -> Path:
    return ROOT
