"The reader alone: it says what the senders' readers say, on more images than its notebook has room for."

import csv
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import pydicom
import pytest
import torch

from cinn_nb import reader, search, sturdy, twelve_bit
from cinn_nb.dataset import embedded_images
from cinn_nb.images import read_image, write_image
from cinn_nb.informed import Layout, Spelling, carrier_values, keyed_places, read_places
from cinn_nb.jpeg import jpeg_file
from cinn_nb.keys import SealedError, seal
from cinn_nb.mark import PROMISES, Reading
from cinn_nb.network import NetworkMark
from cinn_nb.phantoms import phantom
from cinn_nb.reader import all_promises, read_promises, read_stored_promise
from cinn_nb.twelve_bit import embed_stored, read_stored
from cinn_nb.watermark import extract, read, readings
from conftest import ROOT
from pydicom.data import get_testdata_file

RNG = np.random.default_rng
FOLDER = ROOT / "tests" / "marked"
with open(FOLDER / "marked.csv", newline="") as file:
    PROMISED = [row for row in csv.DictReader(file) if row["kind"].startswith("promise")]
TOLERANCE = 1e-4  # of a soft bit: float64 here, float32 there
STURDY = ((128, 128, 1, 70), (150, 131, 9, 50), (240, 256, 26, 70))  # height, width, bytes, lowest quality
TURBO = ((72, 72, 1, 50), (131, 80, 6, 10), (200, 203, 25, 30), (256, 256, 151, 70), (512, 384, 60, 70))


def by_sender(image: np.ndarray) -> list[Reading]:
    "What the modules of the senders read."
    return [reading for reading, _ in sturdy.all_sturdy(image)] + list(search.all_promised(image))


def agree(image: np.ndarray) -> list[Reading]:
    "What is read, if both say the same."
    said = all_promises(image)
    assert said == by_sender(image)
    assert read_promises(image) == (said[0] if said else None)
    return said


def cover(H: int, W: int) -> np.ndarray:
    return np.ascontiguousarray(phantom("abdomen", max(H, W), H + W)[:H, :W])


def test_the_constants_are_the_senders():
    assert reader.LATTICES == sturdy.LATTICES == (25, 50, 40, 20, 70, 15, 10, 7, 5)
    ours = (reader.CODE_CHECKS, reader.TRUSTED, reader.LEAST)
    assert ours == (sturdy.CODE_CHECKS, sturdy.TRUSTED, sturdy.LEAST)
    deep = {
        "twelve twice": tuple(q for pair in twelve_bit.TWICE.values() for q in pair),
        "signs": twelve_bit.PROMISED,
    }
    assert (reader.STORED, reader.STORED_LENGTHS, reader.RANGE) == (deep, twelve_bit.LENGTHS, twelve_bit.TOP)
    assert reader.CODE_CHECKS == twelve_bit.CHECKS
    assert reader.MARKS == (sturdy.NAME, search.NAME) and reader.PLACES == Spelling.S


@pytest.mark.parametrize("H, W, length, survive", TURBO)
def test_a_mark_for_one_coder(H, W, length, survive):
    payload = RNG(H).bytes(length)
    stego = search.PromisedMark(survive).find(cover(H, W), payload)
    for q in (0, 5, survive - 5, survive, 85, 100):
        said = agree(jpeg_file(stego, q) if q else stego)
        assert [one.payload for one in said] == [payload] or 0 < q < survive


@pytest.mark.parametrize("H, W, length, survive", STURDY)
def test_a_mark_for_many_coders(H, W, length, survive):
    payload = RNG(H).bytes(length)
    stego = sturdy.SturdyMark(survive, "jpeg").find(cover(H, W), payload)
    for q in (0, 5, survive - 15, survive - 5, survive, 85, 100):
        said = agree(jpeg_file(stego, q) if q else stego)
        assert {one.payload for one in said} == {payload} or 0 < q < survive
    cut = np.ascontiguousarray(stego[: H // 8 * 8, : W // 8 * 8])  # what is no whole block carries nothing
    assert agree(cut) == agree(stego) and not agree(np.ascontiguousarray(stego[1:]))


@pytest.fixture(scope="module")
def first():
    "An image with a sturdy mark, and room for another."
    return sturdy.SturdyMark(50, "jpeg").find(cover(200, 203), b"first")


def test_two_marks_in_one_image_answer_in_the_order_of_the_senders(first):
    both = search.PromisedMark(70).find(first, b"second")
    assert [(one.mark, one.payload) for one in agree(both)] == [("sturdy", b"first"), ("promise", b"second")]
    assert read(both) == agree(both)[0] and readings(both) == agree(both)


def test_nothing_is_read_where_there_is_nothing():
    images = [RNG(i).integers(0, 256, (64 + 40 * i, 200 - 16 * i), np.uint8) for i in range(9)]
    images += [np.full((128, 160), level, np.uint8) for level in (0, 128, 255)]
    images += [image[:200, :203] for image in embedded_images().values()]
    assert len(images) > 20
    assert not any(agree(np.ascontiguousarray(image)) for image in images)


@pytest.mark.parametrize("row", PROMISED, ids=lambda row: f"{row['file']} {row['kind']}")
def test_an_image_marked_by_version_1(row):
    said = agree(read_image(FOLDER / row["file"]))
    assert [one.payload.hex() for one in said] == [row["payload"]]
    assert (said[0].coded_bytes, said[0].corrected) == (int(row["coded_bytes"]), int(row["corrected"]))


@pytest.mark.parametrize("n, h, w", [(12, 9, 9), (32, 16, 17), (64, 33, 20), (255, 40, 40), (160, 64, 48)])
def test_places_and_soft_bits(n, h, w):
    image = cover(8 * h + 3, 8 * w + 1)
    L = n * reader.bits_per_byte(n, h, w)
    assert L == Layout(n, h, w).L and np.array_equal(reader.bit_places(L, h, w), keyed_places(L, 3, h, w))
    values = carrier_values(torch.tensor(image, dtype=torch.float32)[None, None], h, w)
    for lattices, kind, see in (
        (PROMISES, Layout, read_places),
        (sturdy.LATTICES, sturdy.SturdyLayout, sturdy.read_sturdy),
    ):
        theirs = np.concatenate([see(values, kind(n, h, w, q)).numpy() for q in lattices])
        stream = "sturdy" if kind is sturdy.SturdyLayout else "signs"
        args = (reader.coefficients(image), L, h, w, lattices, stream)
        assert np.abs(reader.soft_bits(*args) - theirs).max() < TOLERANCE


def test_a_key_opens_whichever_promise_is_its_own(first):
    pytest.importorskip("cryptography", minversion="44")
    words = "a long passphrase"
    both = search.PromisedMark(70).find(first, seal(b"ours", words))
    assert extract(both) == b"first" and extract(both, key=words) == b"ours"
    with pytest.raises(SealedError):
        extract(both, key="another passphrase")


WITHOUT = """
import sys
from cinn_nb.cli import main
from cinn_nb.images import read_image
from cinn_nb.watermark import extract
for name in sys.argv[1:]:
    assert extract(read_image(name)) == b"ward 3"
heavy = {"torch", "pydicom", "matplotlib", "skimage", "scipy", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""


def python(*args, cwd) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", *args], cwd=cwd, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("promised")
    write_image(path / "turbo.png", search.PromisedMark(70).find(cover(136, 150), b"ward 3"))
    write_image(path / "sturdy.png", sturdy.SturdyMark(70, "jpeg").find(cover(136, 150), b"ward 3"))
    return path


def test_a_promise_is_read_without_torch(folder):
    done = python(WITHOUT, "turbo.png", "sturdy.png", cwd=folder)
    assert done.returncode == 0, done.stderr


ONE = """
import sys
from cinn_nb.cli import main
status = main(sys.argv[1:])
heavy = {"torch", "pydicom", "matplotlib", "skimage", "scipy", "pandas"} & set(sys.modules)
assert not heavy, heavy
sys.exit(status)
"""


@pytest.mark.parametrize(
    "line, said",
    [
        ("extract turbo.png", "ward 3\n"),
        ("extract sturdy.png", "ward 3\n"),
        ("extract sturdy.png --hex", "776172642033\n"),
        ("capacity turbo.png", "turbo.png: 136x150 pixels carry"),
    ],
)
def test_the_command_needs_no_torch_for_a_promise(folder, line, said):
    done = python(ONE, *line.split(), cwd=folder)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(said), done.stderr


def test_how_long_the_command_takes_to_start(folder):
    "Shown with `pytest -s`, not judged: a machine may be busy."
    for line in ("extract sturdy.png", "capacity sturdy.png", "--help"):
        taken = []
        for _ in range(5):
            begin = time.perf_counter()
            python("import sys; from cinn_nb.cli import main; main(sys.argv[1:])", *line.split(), cwd=folder)
            taken.append(time.perf_counter() - begin)
        print(f"cinn {line}: {statistics.median(taken):.2f} s, the median of {len(taken)}")


def test_a_second_promise_is_told_and_other_marks_where_no_promise_may_be_shown(folder, first):
    pytest.importorskip("cryptography", minversion="44")
    words = "a long passphrase"
    write_image(folder / "pair.png", search.PromisedMark(70).find(first, b"second"))
    closed = search.PromisedMark(70).find(
        NetworkMark("cinn").write(cover(200, 203), b"open"), seal(b"A", words)
    )
    write_image(folder / "closed.png", closed)
    done = python(ONE, "extract", "pair.png", cwd=folder)
    assert (done.returncode, done.stdout) == (
        0,
        "first\n",
    ) and "another message (mark: promise)" in done.stderr
    (folder / "key").write_text(words)
    done = python(ONE, "extract", "closed.png", "--key-file", "key", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "A\n", "")
    done = python(ONE.replace("assert", "0 #"), "extract", "closed.png", cwd=folder)  # asks the networks
    assert (done.returncode, done.stdout) == (0, "open\n") and "needs a key" in done.stderr


def test_the_command_needs_no_torch_for_stored_values(tmp_path):
    scan = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    marked = embed_stored(scan.pixel_array.astype(np.int16), b"ward 3", channels="turbo")
    scan.PixelData = marked.astype("<i2").tobytes()
    scan.save_as(tmp_path / "scan.dcm")
    done = python(ONE.replace('"pydicom", ', ""), "extract", "scan.dcm", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "ward 3\n"), done.stderr


def test_noise_in_stored_values_says_nothing():
    noise = RNG(5).integers(-2000, 2000, (136, 131), np.int16)
    assert read_stored_promise(noise) is None and read_stored(noise) is None
