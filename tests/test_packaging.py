"""settings.ini is the only source of what the package is and needs; everything else must agree with it."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from packaging.requirements import Requirement

from conftest import ROOT


def settings() -> dict[str, str]:
    ini = configparser.ConfigParser(delimiters=["="])
    ini.read(ROOT / "settings.ini", encoding="utf-8")
    return dict(ini["DEFAULT"])


def pins(lines) -> dict[str, str]:
    "name -> exact version, from lines such as `numpy==2.4.6`."
    found = {}
    for line in lines:
        name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()
        assert name not in found, f"{name} is pinned twice"
        found[name] = version
    return found


def constraints() -> dict[str, str]:
    return pins(
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )


def environment() -> list[str]:
    "The entries under `pip:` in environment.yml."
    yaml = pytest.importorskip("yaml")
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return next(entry["pip"] for entry in listed if isinstance(entry, dict))


def test_every_direct_dependency_is_pinned_within_its_range():
    needs = [
        Requirement(need)
        for key, value in settings().items()
        if key.endswith("requirements")
        for need in value.split()
    ]
    pinned = constraints()
    assert {need.name for need in needs} == set(pinned)
    assert [
        f"{need} but {pinned[need.name]} is pinned"
        for need in needs
        if not need.specifier.contains(pinned[need.name])
    ] == []


def test_conda_and_pip_pins_agree():
    listed = environment()
    assert listed[-1] == "-e .[all]"
    extras = ("rivals_requirements", "codecs_requirements", "book_requirements")
    optional = {Requirement(need).name for extra in extras for need in settings()[extra].split()}
    assert pins(listed[:-1]) == {name: pin for name, pin in constraints().items() if name not in optional}


def test_python_versions_agree():
    cfg, low = settings(), settings()["min_python"]
    classified = re.findall(r"Python :: (3\.\d+)", cfg["classifiers"])
    assert classified[0] == low
    assert f"- python={low}\n" in (ROOT / "environment.yml").read_text()
    assert f"sys.version_info < ({low.replace('.', ', ')})" in (ROOT / "Makefile").read_text()


def test_citation_has_the_version_licence_and_address_of_the_package():
    cite = (ROOT / "CITATION.cff").read_text()
    assert f"\nrepository-code: {settings()['git_url']}\n" in cite
    assert f"\nurl: {settings()['doc_host']}{settings()['doc_baseurl']}\n" in cite
    assert f"\nversion: {settings()['version']}\n" in cite
    assert f"\nlicense: {settings()['license_expression']}\n" in cite


IMPORT_ALL = """
import pkgutil, sys, cinn_nb
for module in pkgutil.iter_modules(cinn_nb.__path__): __import__(f"cinn_nb.{module.name}")
heavy = {"nbdev", "execnb", "fastcore", "IPython", "papermill", "snakemake", "matplotlib", "seaborn"}
heavy |= {"pandas", "skimage", "nibabel", "pooch", "yaml"}
print(sorted(heavy & set(sys.modules)))
"""


def test_importing_every_module_needs_the_runtime_requirements_only():
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"  # also: importing prints nothing


def test_the_study_module_is_light():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, cinn_nb.study; print({'torch', 'numpy', 'papermill'} & set(sys.modules))",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "set()\n", done.stdout + done.stderr


def test_built_packages_hold_weights_and_no_notebooks(tmp_path):
    "Built in a copy, and without a README, which is generated and may not be there."
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("setup.py", "settings.ini", "MANIFEST.in", "LICENSE", "CITATION.cff", "constraints.txt"):
        shutil.copy(ROOT / name, tree)
    for name in ("cinn_nb", "nbs", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "cinn_nb" / "weights").mkdir(exist_ok=True)
    (tree / "cinn_nb" / "weights" / "probe.safetensors").write_bytes(b"probe")
    build = "from setuptools import build_meta as b; b.build_sdist('../out'); b.build_wheel('../out')"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build], cwd=tree, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    built = next((tmp_path / "out").glob("*.whl"))
    stated = json.loads((ROOT / "data/results/timing.json").read_text())["wheel"]
    assert abs(built.stat().st_size / 1e6 - float(stated.removesuffix(" MB"))) < 0.3
    wheel = zipfile.ZipFile(built)
    sdist = tarfile.open(next((tmp_path / "out").glob("*.tar.gz")))
    in_sdist = {name.partition("/")[2] for name in sdist.getnames()}
    weights = {f"cinn_nb/weights/{path.name}" for path in (tree / "cinn_nb" / "weights").iterdir()}
    modules = {f"cinn_nb/{path.name}" for path in (tree / "cinn_nb").glob("*.py")}
    assert weights | modules == {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert weights | modules | {"settings.ini", "LICENSE"} <= in_sdist
    assert [name for name in in_sdist if name.startswith(("nbs", "tests"))] == []
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    assert f"Requires-Python: >={settings()['min_python']}" in metadata
    extras = ["study", "dev", "rivals", "codecs", "keys", "book", "all"]
    assert re.findall(r"Provides-Extra: (\w+)", metadata) == extras
    assert f"License-Expression: {settings()['license_expression']}" in metadata
    assert f"Project-URL: Source, {settings()['git_url']}" in metadata
    scripts = wheel.read(
        next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    ).decode()
    assert "cinn = cinn_nb.cli:main" in scripts and "cinn-run = cinn_nb.study:main" in scripts


def test_the_front_page_has_no_relative_link_on_pypi(monkeypatch):
    "PyPI shows the README without the files beside it. `setup` is kept from running."
    import setuptools

    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    code = (ROOT / "setup.py").read_text()
    exec(compile(code, ROOT / "setup.py", "exec"), {"__file__": str(ROOT / "setup.py"), "__name__": "setup"})
    targets = re.findall(r"\]\(([^)\s]+)\)", given["long_description"])
    assert len(targets) > 50 and [t for t in targets if not re.match(r"https?:|#", t)] == []
    assert f"({settings()['git_url']}/raw/main/figures/" in given["long_description"]


def test_the_workflow_tests_every_classified_python_that_it_names():
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    classified = re.findall(r"Python :: (3\.\d+)", settings()["classifiers"])
    assert pythons == [classified[0], classified[-1]]
    runs = {job: [step["run"] for step in jobs[job]["steps"] if "run" in step] for job in jobs}
    assert runs["test"] == [".ci/run"] and "make book" in runs["book"]
    assert jobs["publish"]["needs"] == ["test", "package", "book"]


def test_binder_takes_the_tested_versions_and_a_small_torch():
    made = ROOT / "binder" / "postBuild"
    assert os.access(made, os.X_OK) and "-c constraints.txt" in made.read_text()
    assert "download.pytorch.org/whl/cpu" in made.read_text()
    assert (ROOT / "binder" / "runtime.txt").read_text() == f"python-{settings()['min_python']}\n"


def test_ci_runs_make_test():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("\nmake test")


def test_make_alone_lists_every_target():
    shown = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True).stdout
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert [name for name in targets if name != "says" and f"make {name} " not in shown] == []
