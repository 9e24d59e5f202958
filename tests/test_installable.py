"Adapters with the real packages, where they are installed; what is missing here is skipped, with the reason."

import numpy as np
import pytest

import cinn_nb.classical  # noqa: F401 registers its methods beside those of installable
from cinn_nb.installable import RIVALS, MissingRival, rivals_here
from cinn_nb.jpeg import jpeg_file
from cinn_nb.methods import METHODS, make_method
from cinn_nb.phantoms import phantom

IN_GRAY = ("blind-watermark", "iw-dwtdctsvd", "trustmark", "videoseal", "wam")  # keep their mark in gray
CLASSICAL = [name for name, item in METHODS.items() if item.__module__ == "cinn_nb.classical"]


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_that_is_installed_reads_its_own_mark(name):
    cover, method = phantom("chest", 256), make_method(name)
    payload = np.random.default_rng(0).integers(0, 2, method.payload_bits, dtype=np.uint8)
    try:
        stego = method.embed(cover, payload)
    except MissingRival as why:
        pytest.skip(str(why))
    assert stego.shape == cover.shape and stego.dtype == np.uint8
    if name in IN_GRAY:
        assert np.array_equal(method.extract(stego), payload)


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_mark_survives_a_file_of_quality_50_and_another_key_does_not_read_it(name):
    cover, method = phantom("chest", 256), make_method(name)
    payload = np.random.default_rng(0).integers(0, 2, 128, dtype=np.uint8)
    stego = method.embed(cover, payload)
    assert np.array_equal(method.extract(jpeg_file(stego, 50)), payload)
    other = (make_method(name, key=1).soft(stego) > 0) != method.coded(payload)
    assert 80 < other.sum() < 176


def test_all_seven_classical_marks_are_there():
    assert sorted(CLASSICAL) == [
        "bch-iwt",
        "dwt",
        "dwt-dct-svd",
        "qim-dct",
        "qim-dct-clip",
        "rs-lifting",
        "spread",
    ]


def test_every_rival_is_here_or_the_reason_and_the_remedy_are_named():
    here = rivals_here()
    assert tuple(here) == RIVALS
    assert all(why == "" or "to mend it: " in why for why in here.values())
