"""The one reading of the sealed split, tried with stand-ins: nothing here reads or lists the split itself."""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import ROOT

from cinn_nb.experiment import default_parameters, notebook_module
from pydicom.data import get_testdata_file

STEM = "32_sealed"
READING = notebook_module(STEM)


def test_a_slice_that_cannot_be_opened_is_refused_and_ends_no_run(tmp_path, monkeypatch):
    study = notebook_module("30_medical")
    (tmp_path / "broken.dcm").write_bytes(b"no DICOM")
    files = {"good": Path(get_testdata_file("CT_small.dcm")), "broken": tmp_path / "broken.dcm"}
    monkeypatch.setattr(study, "slices", lambda split: [(n, "ct", n, files[n]) for n in files])
    monkeypatch.setattr(study, "stored_row", lambda *given: dict(channels=given[-1], refused=False, why=""))
    rows = study.stored(dict(split="sealed", bytes=1, seed=0), None)
    found = [(row["name"], row["channels"], row["refused"]) for row in rows]
    assert found == [(n, c, n == "broken") for n in ("good", "broken") for c in study.CHANNELS]
    assert rows[-1]["why"].startswith("broken.dcm cannot be read as DICOM") and str(tmp_path) not in str(rows)


def test_slices_of_eight_bits_are_none_of_the_deep_ones(monkeypatch, tmp_path):
    "By the registry, which is no secret."
    study = notebook_module("30_medical")
    listed = {row.path: row for row in study.registry()}
    monkeypatch.setattr(study, "data_dir", lambda: tmp_path)
    monkeypatch.setattr(study, "sha256_of", lambda path: listed[path.relative_to(tmp_path).as_posix()].sha256)
    found = [name for name, *_ in study.slices("sealed")]
    assert len(found) == 19 and {listed[name].bits for name in found} == {12, 16}
    assert "sealed/dicom/ct_helical_jpeg8.dcm" not in found


def test_every_run_that_reads_the_split_says_so(monkeypatch, tmp_path):
    "Else a run would meet the seal half-way, or leave no line in the log."
    monkeypatch.setenv("CINN_STORE", str(tmp_path))
    parameters = SimpleNamespace(**default_parameters(STEM) | dict(profile="full"))
    runs = READING.runs(parameters)
    asked = [run for run in runs if run.spec.get("split") == "sealed"]
    assert len(asked) > 20 and all("split:sealed" in run.inputs for run in asked)
    for run in runs:
        if run not in asked:  # a code reads what a recording left
            assert [need.spec["split"] for need in run.needs] == ["sealed"], run.title
    assert sum(run.task == "30_medical:stored" for run in runs) == 2  # 11 and 16 bytes


@pytest.fixture
def clone(tmp_path):
    "A made-up repository with the Makefile, and a `cinn-run` that says what it was told."

    def git(*arguments):
        known = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", *known, *arguments], cwd=tmp_path, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def sealed(*arguments):
        command = ["make", "sealed", "INSTALLED=settings.ini", "BIN=bin", *arguments]
        env = {
            key: value for key, value in os.environ.items() if not key.startswith(("CINN_", "MAKE", "MFLAGS"))
        }
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    names = "nbs/a cinn_nb/a data/models/a data/registry.csv data/channels.csv data/unsealed.csv".split()
    for name in [*names, "Snakefile", "settings.ini", "constraints.txt", "setup.py", "bin/cinn-run"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a\n")
    (tmp_path / "bin" / "cinn-run").write_text('#!/bin/sh\necho "$CINN_UNSEAL|$CINN_COMMIT|$*"\n')
    (tmp_path / "bin" / "cinn-run").chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    return SimpleNamespace(root=tmp_path, git=git, sealed=sealed)


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
def test_make_sealed_asks_for_a_purpose_a_tag_and_a_clean_checkout(clone):
    assert "say what for" in clone.sealed().stderr
    assert "tag it first" in clone.sealed("PURPOSE=x").stderr
    clone.git("tag", "-a", "v1", "-m", "v1")
    head, purpose = clone.git("rev-parse", "HEAD"), 'release "1", `table` 2'
    told = f"{purpose}|{head}|nbs/32_sealed.ipynb -p profile full\n"
    assert clone.sealed(f"PURPOSE={purpose}").stdout == told
    (clone.root / "data" / "unsealed.csv").write_text("a\nline\n")  # what the reading writes is no change
    (clone.root / "data" / "sealed_crops.csv").write_text("a\n")
    assert clone.sealed(f"PURPOSE={purpose}").stdout == told
    (clone.root / "cinn_nb" / "new.py").write_text("a\n")  # unknown to git diff
    again = clone.sealed("PURPOSE=x")
    assert again.returncode and "cinn_nb/new.py" in again.stderr and not again.stdout
    clone.git("add", "cinn_nb/new.py")
    clone.git("commit", "-qm", "second")
    assert "not that of the tag v1" in clone.sealed("PURPOSE=x").stderr
