"""A batch: what is written, what its report says, and that it goes on after a kill.

`python tests/kill_batch.py` kills one twenty times."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import kill_batch
import pydicom
import pytest

import cinn_nb.keys
from cinn_nb.batch import _alone
from cinn_nb.cli import main
from fuzz import one_by_one

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
PASSPHRASE = "five words drawn at random"


def test_a_killed_batch_goes_on():
    said = kill_batch.run(kills=2, images=12, longest=8.0)
    assert not said["faults"]


def test_faults_are_seen(tmp_path):
    kill_batch.make_images(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0.png").write_bytes((tmp_path / "in" / "0.png").read_bytes())
    (tmp_path / "out" / "1.png.part").touch()
    (tmp_path / "out" / ".1.abcdefgh.png").touch()
    said = " ".join(kill_batch.faults(tmp_path / "in", tmp_path / "out", []))
    assert "1.png" in said and "0.png says []" in said and "report" in said
    assert "left behind: ['.1.abcdefgh.png', '1.png.part']" in said


def batch(*words: object) -> tuple[int, str, str]:
    "`cinn batch` in this process: exit status, what is printed, what is said of errors."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), one_by_one():
        status = main(["batch", *map(str, words)])
    return status, out.getvalue(), err.getvalue()


def report(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    "A folder with a picture, one that is too small, and a scan without a suffix."
    monkeypatch.chdir(tmp_path)
    kill_batch.make_images(tmp_path / "in", 1)
    (tmp_path / "in" / "series").mkdir()
    shutil.copy(SHIPPED / "CT_small.dcm", tmp_path / "in" / "series" / "IM0001")
    shutil.copy(SHIPPED / "MR_small.dcm", tmp_path / "in" / "small.dcm")
    (tmp_path / "key").write_text(PASSPHRASE)
    return tmp_path


def test_a_series_without_suffixes_and_the_columns_of_the_report(folder):
    status, said, err = batch("in", "out", "--text", "7")
    assert (status, said) == (2, f"{Path('out/report.csv')}: 2 of 3 files marked\n") and "1 of 3" in err
    rows = report(folder / "out" / "report.csv")
    assert [row["status"] for row in rows.values()] == ["0", "0", "2"]
    picture, scan, small = rows["0.png"], rows["series/IM0001"], rows["small.dcm"]
    assert scan["out"] == "series/IM0001.dcm" and (folder / "out" / scan["out"]).is_file()
    assert 30 < float(picture["psnr"]) < 70 and (picture["peak"], picture["largest_hu"]) == ("255", "")
    assert 50 < float(scan["psnr"]) < 90 and scan["peak"] == "4095" and "12-bit JPEG" in scan["certificate"]
    assert float(scan["largest_hu"]) == float(scan["largest"]) > float(scan["deviation_hu"]) > 0
    assert "room for 0" in small["refusal"] or "too small" in small["refusal"]
    assert {row["payload"] for row in rows.values()} == {"37"} and float(picture["seconds"]) > 0
    assert main(["extract", str(folder / "out" / scan["out"])]) == 0
    again = report(folder / "out" / "report.csv")
    assert batch("in", "out", "--text", "7")[0] == 2 and again["series/IM0001"] == scan  # not done twice


@pytest.mark.parametrize("one, other", [("series/IM0001", "series/IM0001.dcm"), ("a.jpg", "a.jpg.png")])
def test_two_files_that_would_meet_are_refused_before_anything_is_written(folder, one, other):
    for name in (one, other):
        if not (folder / "in" / name).exists():
            shutil.copy(folder / "in" / "0.png", folder / "in" / name)
    status, said, err = batch("in", "out", "--text", "7")
    assert (status, said) == (2, "") and f"{one} and {other} would both be written to {other}" in err
    assert not (folder / "out").exists()


def test_what_a_kill_left_is_recognised_with_its_key_and_window(folder):
    words = ["in", "out", "--text", "ab", "--key-file", "key", "--window", "40,400", "--frame", "0"]
    (folder / "in" / "0.png").unlink()
    shutil.copy(SHIPPED / "examples_overlay.dcm", folder / "in" / "series" / "IM0001")
    words[6:8] = ["--window=500,900"]
    assert batch(*words)[0] == 2  # the small one is refused
    name = "series/IM0001"
    assert report(folder / "out" / "report.csv")[name]["status"] == "0"
    for row in (folder / "out" / ".cinn-batch").iterdir():
        row.unlink()
    batch(*words)
    row = report(folder / "out" / "report.csv")[name]
    assert (row["status"], row["said"]) == ("0", "was there, and says the payload"), row
    for row in (folder / "out" / ".cinn-batch").iterdir():
        row.unlink()
    (folder / "key").write_text("another five words of it")
    batch(*words)
    assert "exists" in report(folder / "out" / "report.csv")[name]["refusal"]


def test_other_words_are_another_task(folder):
    for name in ("series/IM0001", "small.dcm"):
        (folder / "in" / name).unlink()
    assert batch("in", "out", "--text", "7")[0] == 0
    first = report(folder / "out" / "report.csv")
    assert batch("in", "out", "--text", "7", "--strength", "2")[0] == 2
    second = report(folder / "out" / "report.csv")["0.png"]["refusal"]
    assert re.search(r"0.png exists; .* --force", second) and ".cinn-batch" not in second
    assert batch("in", "out", "--text", "7", "--strength", "1.0")[0] == 0
    assert report(folder / "out" / "report.csv") == first
    assert batch("in", "out", "--text", "7", "--strength=2", "--force")[0] == 0
    louder = report(folder / "out" / "report.csv")["0.png"]
    assert float(louder["psnr"]) < float(first["0.png"]["psnr"]) - 3


def test_the_key_is_made_once(folder, monkeypatch):
    made, asked, plain = [], [], cinn_nb.keys.derive_key
    monkeypatch.setattr(cinn_nb.keys, "derive_key", lambda secret: made.append(secret) or plain(secret))
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or PASSPHRASE)
    shutil.copy(SHIPPED / "examples_overlay.dcm", folder / "in" / "two.dcm")  # room for a key in 12 bits
    batch("in", "out", "--text", "ab", "--ask-passphrase", "--survive", "70", "--channels", "turbo")
    assert (len(made), len(asked)) == (1, 2)  # typed twice, since it will be needed again
    assert {path.name for path in (folder / "out").glob("*.[pd]*")} == {"0.png", "two.dcm"}
    batch("out", "read.csv", "--extract", "--key-file", "key")
    assert [row["text"] for row in report(folder / "read.csv").values()] == ["ab", "ab"]
    batch("out", "read.csv", "--extract", "--force")
    assert {row["status"] for row in report(folder / "read.csv").values()} == {"1"}


def test_what_does_not_fit_is_said_first(folder):
    status, _, err = batch("in", "read.csv", "--extract", "--survive", "50")
    assert status == 2 and "--survive=50: says how to embed" in err
    status, _, err = batch("in", "out", "--text", "A", "--key-file", "nowhere")
    assert status == 2 and "no key file" in err and not (folder / "out").exists()
    status, said, _ = batch("in", "read.csv", "--extract", "--json")
    assert status == 0 and json.loads(said) == {
        "files": 3,
        "read": 0,
        "left_out": 0,
        "refused": 0,
        "report": "read.csv",
    }


def test_a_volume_is_left_out_and_said_so(folder):
    (folder / "in" / "small.dcm").unlink()
    (folder / "in" / "series" / "IM0001").unlink()
    (folder / "in" / "head.nii.gz").write_bytes(b"of which a batch reads nothing")
    status, said, err = batch("in", "out", "--text", "7", "--json")
    assert (status, err) == (0, "") and json.loads(said) | {"marked": 1, "left_out": 1} == json.loads(said)
    row = report(folder / "out" / "report.csv")["head.nii.gz"]
    assert (row["status"], row["out"], row["refusal"]) == ("", "", "") and "--slice" in row["said"]
    assert sorted(path.name for path in (folder / "out").glob("[!.]*")) == ["0.png", "report.csv"]
    status, said, err = batch("in", "read.csv", "--extract")
    assert (status, said, err) == (
        0,
        "read.csv: 0 of 2 files say a message, 1 say none, 1 left out (NIfTI)\n",
        "",
    )
    assert report(folder / "read.csv")["head.nii.gz"]["said"] == row["said"]
    (folder / "in" / "0.png").unlink()
    assert "no image and no scan; of NIfTI volumes" in batch("in", "new", "--text", "7")[2]
    assert "takes no NIfTI volumes" in batch("in", "new", "--text", "7", "--slice", "3")[2]


@pytest.mark.parametrize(
    "listed, why",
    [
        (b"file,text\n0.png\n", "'0.png' in its row 1"),
        ("file,text\n0.png,\u00e9\n".encode("latin-1"), "CSV in UTF-8"),
        (b"file,text\n0.png," + bytes(200_000) + b"\n", "CSV in UTF-8"),
        (b"file;text\n0.png;7\n", "needs the columns file and text"),
    ],
)
def test_a_list_that_is_none_is_one_line(folder, listed, why):
    (folder / "list.csv").write_bytes(listed)
    status, said, err = batch("in", "out", "--list", "list.csv")
    assert (status, said) == (2, "") and re.fullmatch(r"cinn: list.csv [^\n]+\n", err) and why in err
    assert not (folder / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_a_name_that_is_no_utf8_has_its_row(folder):
    for name in ("series/IM0001", "small.dcm"):
        (folder / "in" / name).unlink()
    (folder / "in" / "0.png").rename(folder / "in" / "M\udcfcller.png")
    for _ in range(2):
        assert batch("in", "out", "--text", "7")[0] == 0
        assert report(folder / "out" / "report.csv")["M\\udcfcller.png"]["status"] == "0"
    assert batch("out", "read.csv", "--extract")[0] == 0
    assert report(folder / "read.csv")["M\\udcfcller.png"]["text"] == "7"


def test_a_folder_that_may_not_be_read_is_not_passed_over(folder, monkeypatch):
    scandir = os.scandir

    def locked(place):
        if Path(place).name == "series":
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", locked)
    status, said, err = batch("in", "out", "--text", "7")
    assert (status, said) == (2, "") and re.fullmatch(r"cinn: [^\n]+series'\n", err)
    assert not (folder / "out").exists()


def test_a_second_batch_does_not_write_into_the_same_folder(folder):
    pytest.importorskip("fcntl", reason="folders cannot be locked here")
    with _alone(folder / "out"):
        status, said, err = batch("in", "out", "--text", "7")
    assert (status, said) == (2, "") and "another batch is writing into out" in err
    assert [path.name for path in (folder / "out").rglob("*")] == [".cinn-batch"]
    assert batch("in", "out", "--text", "7")[1].endswith("2 of 3 files marked\n")
