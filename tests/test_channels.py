"""Stand-ins against other people's coders, where a machine has them: the committed shares come out again."""

import csv

import numpy as np
import pytest

from cinn_nb.channels import CODERS, COMPARED, MissingCoder, Save, coder_version, compare_side, members
from cinn_nb.dataset import embedded_images
from conftest import ROOT

with open(ROOT / "data" / "channels.csv", newline="") as listing:
    ROWS = list(csv.DictReader(listing))


def crops() -> list[np.ndarray]:
    "Three small ones, one of them of an odd size."
    images = embedded_images()
    cut = (
        images["us_sector"][:128, 300:428],
        images["ct_head"][200:328, 200:328],
        images["mr_small"][:57, :61],
    )
    return [np.ascontiguousarray(image) for image in cut]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['side']}-{row['coder'].replace(' ', '-')}")
def test_a_committed_share_comes_out_again(row):
    "Exact where the table says so; elsewhere about as many samples differ."
    library = row["coder"].split()[0]
    if not coder_version(library):
        pytest.skip(f"{library} is not on this machine")
    assert COMPARED[row["coder"]] == row["stand_in"]
    found = compare_side(row["side"], row["coder"], crops(), (50, 75, 90))
    assert found["samples"] == 3 * sum(image.size for image in crops())
    if row["equal"] == row["samples"]:
        assert found["equal"] == found["samples"] and found["largest"] == 0
    else:
        assert found["equal"] > 0.1 * found["samples"]
        assert found["largest"] <= max(2 * int(row["largest"]), 64)


def test_what_is_missing_is_named():
    "A coder that is not here raises an error that names it; a held-out list shows what it lacks."
    for channel in members("shared", 50, "held-out", count=3):
        lacking = channel.missing()
        assert set(filter(None, lacking.split(", "))) <= set(CODERS)
        if lacking:
            with pytest.raises(MissingCoder, match=lacking.split(", ")[0]):
                channel(np.zeros((16, 16), np.uint8))


@pytest.mark.parametrize("which", ["known", "held-out"])
def test_members_run_and_keep_the_image_alike(which):
    "Two members of each kind, on the coders that are here: same shape, and still the same image."
    image = np.ascontiguousarray(embedded_images()["mr_abdomen"][:128, 100:228])
    for channel in members("shared", 50, which, count=2):
        if not channel.missing():
            after = channel(image)
            assert after.shape == image.shape and after.dtype == np.uint8, channel.name
            assert np.abs(after.astype(float) - image).mean() < 16, channel.name
    assert members("turbo")[0].steps == (Save(50),)
