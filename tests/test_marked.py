"""Images marked by earlier versions of the code are read for good: `marked/` holds forty."""

import csv
import hashlib

import pytest

from cinn_nb.images import read_image
from cinn_nb.jpeg import jpeg_file
from cinn_nb.network import NetworkMark, saved_models
from cinn_nb.phantoms import phantom
from cinn_nb.watermark import MODELS, embed, read, readings
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
    if row["kind"].startswith("network "):  # its `cinn` is called `cinn_v1` today
        assert reading.mark == {"cinn": "cinn_v1"}.get(row["kind"].split()[1], row["kind"].split()[1])


def test_every_model_of_the_package_is_read_the_old_one_last():
    assert sorted(MODELS) == saved_models()
    assert (MODELS[0], MODELS[-1]) == ("cinn", "cinn_v1")


@pytest.mark.parametrize("model", MODELS)
def test_the_mark_of_each_model_is_read_by_whoever_names_none(model):
    cover = phantom("chest", 192, 5)
    for stego in (NetworkMark(model).write(cover, b"old"), embed(cover, b"old", model=model)):
        for image in (stego, jpeg_file(stego, 75)):
            found = read(image)
            assert found.payload == b"old"
            assert found.mark == model or {found.mark, model} == {
                "lattice",
                "lattice_channels",
            }  # of one layout


@pytest.mark.parametrize("new", ("cinn", "pointwise_channels"))
def test_an_old_mark_is_refused_and_replaced(new):
    old = NetworkMark("cinn_v1").write(phantom("mr_brain", 192, 6), b"old")
    with pytest.raises(ValueError, match="already carries a message of 3 bytes .mark: cinn_v1"):
        embed(old, b"new", model=new)
    stego = embed(old, b"new", model=new, replace=True)
    assert [one.payload for one in readings(stego)] == [b"new"]
