"""Rules that every notebook keeps."""

import json
import re
import shutil

import pytest

from conftest import ROOT, cells, command, module_of, notebooks, order, tiny_notebook

METHOD = sorted([nb for nb in notebooks() if re.match(r"[01]\d[a-z]?_", nb.name)], key=order)
GUIDES = ("12c_which.ipynb",)  # they show the package at work and define nothing
EXPERIMENTS = [nb for nb in notebooks() if re.match(r"[23]\d[a-z]?_", nb.name)]


def name(nb) -> str:
    return nb.name


def tags(path) -> list[list[str]]:
    return [cell["metadata"].get("tags", []) for cell in cells(path)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "The checkout's notebooks and settings, in a folder where they may be changed."
    tree = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "settings.ini", tree)
    shutil.copytree(ROOT / "nbs", tree / "nbs", ignore=shutil.ignore_patterns(".*"))
    return tree


def test_modules_are_what_the_notebooks_export(copy):
    "Export into an empty folder: the same files must come out, so an edited or left-over module shows."
    done = command("nbdev_export", cwd=copy)
    assert done.returncode == 0, done.stderr
    fresh = {path.name: path.read_text() for path in (copy / "cinn_nb").glob("*.py")}
    ours = {path.name: path.read_text() for path in (ROOT / "cinn_nb").glob("*.py")}
    assert sorted(fresh) == sorted(ours)
    assert [module for module in fresh if fresh[module] != ours[module]] == []


def test_cleaning_changes_nothing_and_keeps_parameters_tags(copy):
    probe = tiny_notebook(copy / "nbs" / "99_probe.ipynb", "n", parameters="n: int = 1  # how many")
    before = {nb.name: (tags(nb), nb.read_text()) for nb in sorted((copy / "nbs").glob("*.ipynb"))}
    done = command("nbdev_clean", cwd=copy)
    assert done.returncode == 0, done.stderr
    assert tags(probe) == [[], ["parameters"], []]
    assert [nb for nb, (had, _) in before.items() if tags(copy / "nbs" / nb) != had] == []
    assert [
        nb for nb, (_, text) in before.items() if nb != probe.name and (copy / "nbs" / nb).read_text() != text
    ] == [], "run `make prepare`"
    probe.unlink()


def test_readme_is_the_front_page():
    index = ROOT / "nbs" / "index.ipynb"
    if not index.exists():
        pytest.skip("there is no nbs/index.ipynb yet")
    from cinn_nb.study import readme_from_index

    assert (ROOT / "README.md").read_text(encoding="utf-8") == readme_from_index(index), "run `make prepare`"


def test_links_of_the_readme_lead_somewhere():
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README.md yet")
    text = re.sub(r"^```.*?^```", "", readme.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(\s*<?([^\s)>#]+)", text) + re.findall(
        r"""\b(?:src|href)=["']([^"'#]+)""", text
    )
    assert [t for t in targets if not re.match(r"[a-z][a-z0-9+.-]*:", t) and not (ROOT / t).exists()] == []


@pytest.mark.parametrize("nb", notebooks(), ids=name)
def test_every_notebook(nb):
    assert nb.stat().st_size <= 2_000_000, "above 2 MB: show fewer or smaller pictures"
    content = json.loads(nb.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4 and content["nbformat_minor"] >= 5
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in content["cells"]]
    assert len(ids) == len(set(ids))
    errors = [
        i
        for i, cell in enumerate(content["cells"])
        for o in cell.get("outputs", [])
        if o["output_type"] == "error"
    ]
    assert errors == [], "it holds an error among its outputs"


@pytest.mark.parametrize("nb", METHOD, ids=name)
def test_method_notebooks_are_committed_executed(nb):
    exported = [
        c for c in cells(nb) if c["cell_type"] == "code" and "".join(c["source"]).startswith("#| default_exp")
    ]
    modules = ["".join(cell["source"]).split()[-1] for cell in exported]
    assert modules == ([] if nb.name in GUIDES else [module_of(nb)])
    assert sum(bool(cell.get("outputs")) for cell in cells(nb)) >= 3, (
        "no outputs: execute it before the commit"
    )


@pytest.mark.parametrize("nb", EXPERIMENTS, ids=name)
def test_experiments_are_committed_bare_and_take_the_common_parameters(nb):
    assert [i for i, cell in enumerate(cells(nb)) if cell.get("outputs")] == [], (
        "experiments are committed without outputs"
    )
    marked = [c for c in cells(nb) if "parameters" in c["metadata"].get("tags", [])]
    assert len(marked) == 1
    lines = "".join(marked[0]["source"]).splitlines()
    assert [line for line in lines if line and not re.fullmatch(r"\w+: .+ = .+ # .+", line)] == [], (
        "one annotated, commented line each"
    )
    assert {"profile", "device", "seed"} <= {line.partition(":")[0] for line in lines}
    assert not [
        c
        for c in cells(nb)
        if c["cell_type"] == "code"
        and re.search(r"^#\| *(export|default_exp)", "".join(c["source"]), re.MULTILINE)
    ], "experiments export nothing"
