"""Images marked by earlier versions of the code are read for good: `marked/` holds forty."""

import csv
import hashlib

import pytest

from cinn_nb.images import read_image
from cinn_nb.watermark import read
from conftest import ROOT

FOLDER = ROOT / "tests" / "marked"
with open(FOLDER / "marked.csv", newline="") as file:
    MARKED = list(csv.DictReader(file))


def test_the_set_is_whole():
    assert len(MARKED) == 40
    assert {row["file"] for row in MARKED} == {path.name for path in FOLDER.iterdir()} - {"marked.csv"}


@pytest.mark.parametrize("row", MARKED, ids=lambda row: f"{row['file']} {row['kind']}")
def test_an_image_marked_by_version_1_is_read(row):
    assert hashlib.sha256((FOLDER / row["file"]).read_bytes()).hexdigest() == row["sha256"]
    reading = read(read_image(FOLDER / row["file"]))
    assert reading.payload.hex() == row["payload"]
    assert (reading.coded_bytes, reading.corrected) == (int(row["coded_bytes"]), int(row["corrected"]))
