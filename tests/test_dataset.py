"""Recipes, the registry, the sealed split and folders of images. Nothing here needs the data set."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pydicom
import pytest
from PIL import Image

from conftest import ROOT, source_files

import cinn_nb.dataset as dataset
from cinn_nb.dataset import SealedError, build, fetch, folder_crops, load_split, pixels_sha256, registry
from cinn_nb.dataset import run_recipe, steps_of, test_crops
from cinn_nb.images import read_dicom, read_dicom_rgb, read_image, window, write_image, write_nifti
from cinn_nb.phantoms import phantom

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
SMALL = (SHIPPED / "CT_small.dcm").read_bytes()
HEADER = "date,commit,run,purpose,files\n"


def png(array: np.ndarray, mode: str = "") -> bytes:
    "The array as a PNG file, in another of Pillow's modes if one is given."
    file, image = io.BytesIO(), Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, "PNG")
    return file.getvalue()


COLOURS = np.arange(600 * 520 * 3).reshape(600, 520, 3).astype(np.uint8)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(found, expected)


def test_images_phantoms_and_dataset_load_without_torch():
    code = (
        "import sys, cinn_nb.images, cinn_nb.phantoms, cinn_nb.dataset;"
        "print({'torch', 'pandas', 'matplotlib', 'nibabel', 'filelock'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ---------------------------------------------------------------------------------------------- the registry


def test_every_recipe_of_the_registry_can_be_read_and_every_file_is_described():
    rows = registry(ROOT / "data" / "registry.csv")
    assert [row.path for row in rows] == sorted({row.path for row in rows})
    hexadecimal = re.compile("[0-9a-f]{64}")
    for row in rows:
        assert steps_of(row.recipe), row.path
        assert row.licence and row.attribution and row.url.startswith("https://"), row.path
        for digest in (row.sha256, row.pixels_sha256, row.source_sha256):
            assert hexadecimal.fullmatch(digest), row.path
    for split in ("dev", "sealed"):
        assert all(row.path.startswith(f"{split}/") == (row.split == split) for row in rows)


def test_dev_and_sealed_have_the_size_they_were_handed_over_with_and_share_no_file():
    rows = registry(ROOT / "data" / "registry.csv")
    kinds = [(row.split, row.kind) for row in rows]
    assert [kinds.count((s, k)) for s in ("dev", "sealed") for k in ("image8", "dicom")] == [60, 5, 199, 28]
    for split in ("dev", "sealed"):
        own = {row.pixels_sha256 for row in rows if row.split == split}
        assert not own & {row.pixels_sha256 for row in rows if row.split != split}


def test_no_dev_picture_with_an_unseen_or_share_alike_licence_may_be_shown():
    rows = [row for row in registry(ROOT / "data" / "registry.csv") if dataset.may_be_shown(row)]
    assert {row.split for row in rows} == {"train", "val", "test", "dev"}
    words = (
        "SA-4.0",
        "not quoted",
        "ChestX-ray14",
        "Kermany",
        "CDD-CESM",
        "COVID-19-NY-SBU",
        "2579118",
        "DDH",
    )
    assert [row.path for row in rows if any(w in row.licence + row.attribution for w in words)] == []


# ------------------------------------------------------------------------------------------------- recipes


def test_recipes_for_pictures():
    file = png(COLOURS)
    same(run_recipe("decode", file), COLOURS)
    same(run_recipe("decode", png(COLOURS[..., 0])), COLOURS[..., 0])
    same(run_recipe("decode", png(np.full((3, 4), 999, np.uint16))), np.full((3, 4), 999))
    assert run_recipe("decode", png(COLOURS, "P")).shape == (600, 520, 3)
    same(run_recipe("crop 64 7", file), COLOURS[64:576, 7:519])
    same(run_recipe("box 5 10 25 40", file), COLOURS[10:40, 5:25])
    same(run_recipe("invert", file), 255 - COLOURS)
    np.testing.assert_allclose(
        run_recipe("reduce 2", file), COLOURS.reshape(300, 2, 260, 2, 3).mean((1, 3)), atol=0.51
    )
    luma = np.asarray(Image.fromarray(COLOURS).convert("L"))
    same(run_recipe("luma", file), luma)
    same(run_recipe("luma | reduce 2", file), np.asarray(Image.fromarray(luma).reduce(2)))
    palette = Image.fromarray(COLOURS).quantize(64)
    for other in (palette, Image.fromarray(np.dstack([COLOURS, COLOURS[..., 0]]))):  # palette, then alpha
        stored = io.BytesIO()
        other.save(stored, "PNG")
        same(run_recipe("luma", stored.getvalue()), np.asarray(other.convert("L")))
    assert (run_recipe("luma | reduce 2", file) != run_recipe("reduce 2 | luma", file)).any()  # order counts


def test_recipes_for_dicom():
    mr, _ = read_dicom(SHIPPED / "MR_small.dcm")  # its header has neither slope nor intercept
    original = (SHIPPED / "MR_small.dcm").read_bytes()
    same(run_recipe("window 600 1600", original), window(mr, 600, 1600))
    low, high = mr.min(), mr.max()
    same(run_recipe("extremes", original), window(mr, (low + high) / 2, high - low))
    same(run_recipe("percentile 90 | invert", original), 255 - run_recipe("percentile 90", original))
    colour = SHIPPED / "examples_rgb_color.dcm"
    same(run_recipe("colour", colour.read_bytes()), read_dicom_rgb(colour))
    assert [repr(dataset._argument(word)) for word in ("7", "99.7", "chest")] == ["7", "99.7", "'chest'"]
    film = np.stack([np.full((8, 8), 1), np.arange(64).reshape(8, 8)])
    with patch.dict(dataset._values.__globals__, open_dicom=lambda f: f, stored_values=lambda d, s: film):
        same(run_recipe("dicom-frame 1 | percentile 100", b""), window(film[1], 31.5, 63))
        with pytest.raises(ValueError, match=r"frame 2 is asked for; the original has frames 0\.\.1"):
            run_recipe("dicom-frame 2", b"")


def test_fields_are_emptied_in_sequences_too_and_the_rest_stays():
    named, file = pydicom.dcmread(io.BytesIO(SMALL)), io.BytesIO()
    fields = "PatientBirthDate", "InstitutionName", "ReferringPhysicianName", "OperatorsName"
    named.update({field: "19990101" for field in fields})
    inner = pydicom.Dataset()
    inner.PatientID = "7"
    named.OtherPatientIDsSequence = [inner]
    named.save_as(file)
    blank = pydicom.dcmread(io.BytesIO(run_recipe("blank", file.getvalue())))
    assert [bool(named.get(field)) for field in fields] == [True] * 4
    assert [bool(blank.get(field)) for field in fields] == [False] * 4
    assert (blank.PatientID, blank.StudyDate) == (named.PatientID, named.StudyDate)
    empty = pydicom.dcmread(io.BytesIO(run_recipe("empty PatientID,OperatorsName", file.getvalue())))
    assert (empty.PatientID, empty.OperatorsName, empty.OtherPatientIDsSequence[0].PatientID) == ("", "", "")
    assert empty.InstitutionName == "19990101"
    same(empty.pixel_array, named.pixel_array)
    assert run_recipe("copy", SMALL) == SMALL


def test_a_file_of_dev_made_from_its_original_byte_for_byte():
    "The one original of dev that comes with pydicom."
    row = next(r for r in registry(ROOT / "data" / "registry.csv") if "us_heart_ybr422" in r.path)
    original = (SHIPPED / "examples_ybr_color.dcm").read_bytes()
    assert hashlib.sha256(original).hexdigest() == row.source_sha256
    assert hashlib.sha256(build(row, original)).hexdigest() == row.sha256


def test_recipes_that_need_a_decoder():
    "Stand-ins for the decoders: what the recipes make of what a decoder gives them."
    with pytest.raises(ModuleNotFoundError, match="a thing needs no_such_module: pip install parcel"):
        dataset._need("no_such_module", "parcel", "a thing")
    volume = np.arange(4 * 3 * 5, dtype=float).reshape(4, 3, 5) ** 2
    nrrd = SimpleNamespace(read_header=lambda file: "header", read_data=lambda header, file: volume)
    with patch.dict(sys.modules, nrrd=nrrd):
        high = np.percentile(volume, 99.7)
        same(run_recipe("nrrd 2"), window(volume[:, :, 2].T, high / 2, high))
        same(run_recipe("nrrd-raw 2"), volume[:, :, 2].T)
        assert run_recipe("nrrd-raw 2").dtype == np.uint16

    def decode(file):
        if file.read() == b"broken":
            raise RuntimeError("no such marker")
        return volume[0]

    with patch.dict(sys.modules, openjpeg=SimpleNamespace(decode=decode)):
        same(run_recipe("j2k | extremes"), window(volume[0], volume[0].max() / 2, volume[0].max()))
        with pytest.raises(ValueError, match="the codestream cannot be decoded: no such marker"):
            run_recipe("j2k", b"broken")


def test_a_level_of_a_slide_is_put_together_from_its_tiles():
    slide = SimpleNamespace(
        Rows=256, Columns=256, TotalPixelMatrixColumns=600, pixel_array_options=lambda decoding_plugin: None
    )
    number = np.arange(9)  # of the tile: three in a row, because 600 columns need three of 256
    tiles = np.broadcast_to(number[:, None, None, None], (9, 256, 256, 3))
    stand_ins = {"open_dicom": lambda file: slide, "stored_values": lambda data, source: tiles}
    with patch.dict(sys.modules, libjpeg=SimpleNamespace()), patch.dict(dataset.__dict__, stand_ins):
        level = np.kron(number.reshape(3, 3), np.ones((256, 256)))
        same(run_recipe("wsi 100 200")[..., 0], level[100:612, 200:712])


class Film:
    "Three frames, at 0, 0.5 and 1 s, of gray levels 0, 50 and 100."

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def decode(self, video):
        for time in (0, 0.5, 1):
            still = Image.new("RGB", (4, 3), (int(100 * time),) * 3)
            yield SimpleNamespace(time=time, to_image=lambda still=still: still)


def test_a_frame_of_a_video():
    with patch.dict(sys.modules, av=SimpleNamespace(open=lambda file: Film())):
        assert [run_recipe(f"frame {t}").max() for t in (0, 0.2, 0.5, 1)] == [0, 50, 50, 100]
        with pytest.raises(ValueError, match="the video ends before 1.1 s"):
            run_recipe("frame 1.1")


@pytest.mark.parametrize(
    "recipe, words",
    [
        ("", "unknown recipe ''"),
        ("decode |", "unknown recipe ''"),
        ("decode | paint", "unknown recipe 'paint'"),
        ("decode | box 1 2 3", "has 3 argument"),
        ("luma | window 1 2", "'window' reads a file"),
    ],
)
def test_mistakes_in_a_recipe_are_found_before_it_runs(recipe, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        steps_of(recipe)


# ------------------------------------------------------------------------------------- files and their hashes


@pytest.fixture
def mirror(tmp_path):
    "A folder with two files of a made-up registry, and its rows."
    any_row = registry(ROOT / "data" / "registry.csv")[-1]
    row = replace(any_row, path="train/own/a.png", split="train", modality="ct", recipe="decode", channels=1)
    row = replace(row, url="https://example.org/a.png", sha256="", source_sha256="", bits=8)
    row = replace(row, pixels_sha256=pixels_sha256(phantom("chest", 128)))
    small = np.asarray(Image.fromarray(phantom("chest", 128)).reduce(2))
    half = replace(row, path="train/own/b.png", modality="mri", recipe="reduce 2")
    half = replace(half, pixels_sha256=pixels_sha256(small))
    original = png(np.dstack([phantom("chest", 128)] * 3))
    assert fetch(tmp_path, [row, half], lambda url, sha256: original) == {}
    with patch.dict(os.environ, CINN_DATA=str(tmp_path)):
        yield SimpleNamespace(folder=tmp_path, row=row, half=half)


def test_download_and_unpack_through_stand_ins(mirror):
    def retrieve(url, known_hash, path, progressbar):
        "Stands in for pooch.retrieve: a file that holds what was asked for."
        (Path(path) / "got").write_text(f"{url} {known_hash}")
        return str(Path(path) / "got")

    logger = SimpleNamespace(setLevel=lambda level: None)
    pooch = SimpleNamespace(get_logger=lambda: logger, retrieve=retrieve)
    with patch.dict(sys.modules, pooch=pooch):
        assert dataset._download("https://example.org/a", "0f") == b"https://example.org/a sha256:0f"
    reader = SimpleNamespace(stream_reader=lambda packed: io.BytesIO(packed[::-1]))
    zstandard = SimpleNamespace(ZstdDecompressor=lambda: reader)  # "unpacks" by turning around
    with patch.dict(sys.modules, zstandard=zstandard):
        packed = replace(mirror.row, url="https://example.org/a.zst", recipe="copy")
        assert build(packed, b"abc") == b"cba"

    def no_pooch(url, sha256):
        raise ModuleNotFoundError("fetch() needs pooch")

    with pytest.raises(ModuleNotFoundError, match="needs pooch"):
        fetch(mirror.folder, [replace(mirror.row, path="train/own/c.png")], no_pooch)


def test_a_file_is_right_by_either_hash_and_asked_once(mirror):
    row, half = mirror.row, mirror.half
    path = mirror.folder / row.path
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    assert dataset._wrong(path, replace(row, sha256=whole, pixels_sha256="")) == ""
    (mirror.folder / "slice.dcm").write_bytes(run_recipe("blank", SMALL))
    stored = pixels_sha256(pydicom.dcmread(io.BytesIO(SMALL)).pixel_array)
    dicom = replace(row, path="slice.dcm", recipe="blank", pixels_sha256=stored)
    assert dataset._wrong(mirror.folder / "slice.dcm", dicom) == ""
    again = dataset._wrong(mirror.folder / "slice.dcm", replace(dicom, recipe="copy"))
    assert "not the registered file" in again
    rows = [row, half, replace(half, split="test")]
    with patch.dict(load_split.__globals__, registry=lambda: rows):
        found = load_split("train", ["mri"])
    assert [(s.name, s.split, s.modality) for s in found] == [(half.path, "train", "mri")]
    with patch.dict(dataset.__dict__, _wrong=lambda path, row: "asked again"):
        assert dataset._file(half) == mirror.folder / half.path  # checked once is enough ...
    (mirror.folder / half.path).write_bytes(b"no picture")
    with pytest.raises(ValueError, match="cannot be read as an image"):  # ... until the file changes
        dataset._file(half)


def test_hashes_and_lists():
    square = np.array([[1, 2], [3, 4]], np.uint8)
    assert pixels_sha256(square) == hashlib.sha256(bytes([1, 2, 3, 4])).hexdigest()
    assert pixels_sha256(square.T) == hashlib.sha256(bytes([1, 3, 2, 4])).hexdigest()
    with patch.dict(os.environ):
        os.environ.pop("CINN_DATA", None)
        assert dataset.data_dir() is None
    with pytest.raises(FileNotFoundError, match="clone the repository"):
        dataset._listing("no_such.csv")

    def outside(start):
        "`repo_root` for a working folder outside the clone, whose package lies inside."
        if start is None:
            raise FileNotFoundError
        return ROOT

    with patch.dict(dataset.__dict__, repo_root=outside):
        assert dataset._listing("registry.csv") == ROOT / "data" / "registry.csv"


def test_cuts_and_turns_of_training_crops():
    import torch

    from cinn_nb.dataset import random_crops

    cut, square, tiny = dataset._cut, np.arange(12).reshape(3, 4), np.arange(35, dtype=np.uint8).reshape(5, 7)
    same(cut(square, 2, 0.99, 0.99, 0), [[6, 7], [10, 11]])
    same(cut(square, 4, 0, 0, 0), [*square, square[2]])  # the last row again
    assert len({cut(square, 2, 0, 0, turn).tobytes() for turn in range(8)}) == 8

    def draw(n: int, flip: bool) -> torch.Tensor:
        return random_crops([tiny], n, 5, torch.Generator().manual_seed(1), flip=flip)

    torch.manual_seed(1)
    first = draw(20, True)
    torch.manual_seed(2)
    assert torch.equal(first, draw(20, True))  # the generator decides, not torch's own state
    assert len({int(c) for c in first[:, 0, 0, 1].int() - first[:, 0, 0, 0].int()}) == 4
    upright = draw(8, False)  # without flip, each row counts up
    assert (upright[:, 0, 0, 1] - upright[:, 0, 0, 0]).tolist() == [1] * 8


# ---------------------------------------------------------------------------------------- the sealed split


@pytest.fixture
def fake(tmp_path):
    "A made-up repository with a sealed split of two phantoms; nothing of the real one is touched."
    any_row = registry(ROOT / "data" / "registry.csv")[-1]
    rows = []
    for name, kind, size in (("a", "chest", 520), ("b", "abdomen", 256)):
        image = phantom(kind, size)
        write_image(tmp_path / "mirror" / "sealed" / f"{name}.png", image)
        row = replace(
            any_row, path=f"sealed/{name}.png", split="sealed", modality="ct", group=name, sha256=""
        )
        rows.append(replace(row, channels=1, bits=8, recipe="decode", pixels_sha256=pixels_sha256(image)))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "unsealed.csv").write_text(HEADER)
    there = {"registry": lambda: rows, "_listing": lambda name: tmp_path / "data" / name}
    with patch.dict(dataset.__dict__, there), patch.dict(os.environ, CINN_DATA=str(tmp_path / "mirror")):
        yield SimpleNamespace(root=tmp_path, rows=rows, log=tmp_path / "data" / "unsealed.csv")


@pytest.mark.parametrize("read", [load_split, test_crops])
def test_sealed_is_refused_without_a_purpose_and_nothing_is_read_or_written(fake, read):
    def touched(*anything):
        raise AssertionError("a file was read")

    with patch.dict(dataset.__dict__, read_image=touched, _wrong=touched):
        with pytest.raises(SealedError, match="read once per release") as refused:
            read("sealed")
    assert "\n" not in str(refused.value)
    assert fake.log.read_text() == HEADER
    for purpose in ("", "  ", "two\nlines", 7, True):
        with pytest.raises(ValueError, match="give the purpose, one line of text"):
            read("sealed", unseal=purpose)
    assert fake.log.read_text() == HEADER
    assert sorted(p.name for p in fake.log.parent.iterdir()) == ["unsealed.csv"]


@pytest.mark.parametrize("read", [load_split, test_crops])
def test_a_purpose_is_written_down_before_the_first_file_is_read(fake, read):
    seen = []

    def reader(path):
        seen.append(fake.log.read_text())
        return read_image(path)

    with patch.dict(dataset.__dict__, read_image=reader):
        read("sealed", unseal=" release 1, table 2 ", run="0123456789abcdef")
    lines = list(csv.DictReader(io.StringIO(fake.log.read_text())))
    assert len(seen) >= 2 and set(seen) == {fake.log.read_text()}
    assert len(lines) == 1
    assert lines[0]["purpose"] == "release 1, table 2"
    assert (lines[0]["run"], lines[0]["files"]) == ("0123456789abcdef", "2")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lines[0]["date"])
    assert lines[0]["commit"] == "unknown"  # the made-up repository has no git


def test_every_reading_adds_a_line_and_keeps_the_others(fake):
    for purpose in ("first", "second", "a, third"):
        load_split("sealed", unseal=purpose)
    before = fake.log.read_text()
    test_crops("sealed", unseal="fourth")
    assert fake.log.read_text().startswith(before)
    purposes = [line["purpose"] for line in csv.DictReader(io.StringIO(fake.log.read_text()))]
    assert purposes == ["first", "second", "a, third", "fourth"]


def test_one_process_at_a_time_writes_the_log(fake):
    import threading

    from filelock import FileLock

    (fake.root / "runs").mkdir()
    with FileLock(fake.root / "runs" / "unsealed.lock"):  # as another process would hold it
        waiting = threading.Thread(target=load_split, args=("sealed",), kwargs={"unseal": "second"})
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive() and fake.log.read_text() == HEADER
        fake.log.write_text(HEADER + "then,abc,,first,2\n")
    waiting.join(60)
    lines = list(csv.DictReader(io.StringIO(fake.log.read_text())))
    assert [line["purpose"] for line in lines] == ["first", "second"]


def test_a_log_that_cannot_be_written_stays_whole_and_nothing_is_read(fake):
    def full(*anything):
        raise OSError("no space left")

    def touched(*anything):
        raise AssertionError("a file was read")

    with patch("os.replace", full), patch.dict(dataset.__dict__, read_image=touched, _wrong=touched):
        with pytest.raises(OSError, match="no space left"):
            load_split("sealed", unseal="figures")
    assert fake.log.read_text() == HEADER
    assert sorted(path.name for path in fake.log.parent.iterdir()) == ["unsealed.csv"]


def test_a_missing_file_or_folder_is_said_before_anything_is_written_down(fake):
    (fake.root / "mirror" / "sealed" / "b.png").unlink()
    with pytest.raises(dataset.DataMissing, match="incomplete"):
        load_split("sealed", unseal="figures")
    with patch.dict(os.environ, CINN_DATA=""):
        with pytest.raises(dataset.DataMissing, match="CINN_DATA is not set"):
            load_split("sealed", unseal="figures")
    assert fake.log.read_text() == HEADER


def test_only_the_sealed_split_can_be_unsealed(fake):
    fake.rows.append(replace(fake.rows[0], split="val"))
    with pytest.raises(ValueError, match="'sealed' alone, not for 'val'"):
        load_split("val", unseal="figures")
    assert len(load_split("val")) == 1
    assert fake.log.read_text() == HEADER


def test_the_crop_list_is_made_when_the_split_is_unsealed_and_compared_afterwards(fake):
    crops = test_crops("sealed", unseal="first")
    assert [(c.name[-5], c.y, c.x) for c in crops] == [
        *[("a", y, x) for y in (0, 256) for x in (0, 256)],
        ("b", 0, 0),
    ]
    path = fake.log.with_name("sealed_crops.csv")
    listed = path.read_text()
    assert list(csv.DictReader(io.StringIO(listed)))[0] == dataset._crop_line(crops[0])
    assert listed.splitlines()[0] == (ROOT / "data" / "test_crops.csv").read_text().splitlines()[0]
    assert len(test_crops("sealed", unseal="second")) == 5
    assert len(test_crops("sealed", 128, unseal="other size")) == 20
    assert path.read_text() == listed
    path.write_text(listed.replace(",256,256,", ",256,255,"))
    with pytest.raises(ValueError, match="not those of data/sealed_crops.csv"):
        test_crops("sealed", unseal="third")


def test_fetch_makes_and_checks_sealed_files_without_unsealing(fake):
    original = {row.path: (fake.root / "mirror" / row.path).read_bytes() for row in fake.rows}
    rows = [replace(row, url=f"https://example.org/{row.path}") for row in fake.rows]
    opened = []

    def reader(path):
        opened.append(path)
        return read_image(path)

    with patch.dict(dataset.__dict__, read_image=reader):
        made = fake.root / "made"
        assert fetch(made, rows, lambda url, sha256: original[url.partition("org/")[2]]) == {}
        whole = [replace(r, sha256=hashlib.sha256((made / r.path).read_bytes()).hexdigest()) for r in rows]
        opened.clear()
        assert fetch(made, whole, None) == {}  # all in place: by the hash of the file, nothing is decoded
        assert opened == []
    assert fake.log.read_text() == HEADER


def test_the_commit_is_that_of_the_checkout():
    def git(*arguments: str, cwd: Path) -> str:
        known = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", *known, *arguments]
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "data").mkdir()
        (root / "data" / "unsealed.csv").write_text(HEADER)
        (root / "code.py").write_text("1")
        git("init", "-q", cwd=root)
        git("add", ".", cwd=root)
        git("commit", "-qm", "first", cwd=root)
        head = git("rev-parse", "HEAD", cwd=root)
        dataset._log_unsealing(root / "data" / "unsealed.csv", "one", "", 1)
        dataset._log_unsealing(root / "data" / "unsealed.csv", "two", "", 1)  # the log itself is no change
        (root / "code.py").write_text("2")
        dataset._log_unsealing(root / "data" / "unsealed.csv", "three", "", 1)
        lines = list(csv.DictReader(io.StringIO((root / "data" / "unsealed.csv").read_text())))
    assert [line["commit"] for line in lines] == [head, head, head + "-dirty"]


def test_nothing_was_unsealed_yet():
    "This test changes with the release that unseals: then it says which lines there must be."
    assert (ROOT / "data" / "unsealed.csv").read_text() == HEADER
    assert not (ROOT / "data" / "sealed_crops.csv").exists()


def test_nothing_in_the_repository_unseals():
    "But the notebook of the data set, whose example is made up, its module, and this file."
    allowed = {"nbs/01c_dataset.ipynb", "cinn_nb/dataset.py", "tests/test_dataset.py"}
    allowed.add("cinn_nb/_modidx.py")  # a list of names; `unseal` of cinn_nb.keys opens a payload
    pattern = re.compile(r"\bunseal['\"\\]*\s*[=:]")
    hits = []
    for path in source_files():
        name = path.relative_to(ROOT).as_posix()
        code = path.suffix in (".py", ".ipynb", ".smk", ".sh", ".yaml", ".yml", ".toml") or not path.suffix
        if (
            code
            and name not in allowed
            and pattern.search(path.read_text(encoding="utf-8", errors="replace"))
        ):
            hits.append(name)
    assert hits == []


# -------------------------------------------------------------------------------------- a folder of images


def left_out(call) -> tuple[list, list[str]]:
    "What a call returns, and its warnings."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return call(), [str(w.message) for w in caught]


def test_a_folder_of_many_formats(tmp_path):
    chest = phantom("chest", 300)
    for suffix in ("png", "tif", "bmp"):
        Image.fromarray(chest).save(tmp_path / f"{suffix}.{suffix}")
    Image.fromarray(np.dstack([chest] * 3)).save(tmp_path / "colour.JPG", quality=95)
    (tmp_path / "slice.dcm").write_bytes((SHIPPED / "J2K_pixelrep_mismatch.dcm").read_bytes())
    (tmp_path / "film.dcm").write_bytes((SHIPPED / "examples_ybr_color.dcm").read_bytes())
    volume = np.random.default_rng(0).normal(0, 100, (260, 300, 5)).astype(np.float32)
    write_nifti(tmp_path / "volume.nii.gz", volume, np.eye(4))
    (tmp_path / "notes.txt").write_text("no image, not named")
    (tmp_path / ".hidden.png").write_bytes(b"not named either")
    crops, said = left_out(lambda: folder_crops(tmp_path))
    names = ["bmp.bmp", "colour.JPG", "png.png", *["slice.dcm"] * 4, "tif.tif", "volume.nii.gz"]
    assert [c.name for c in crops] == names
    assert [c.group for c in crops][-2:] == ["tif", "volume"]
    assert {c.image.dtype.name for c in crops} == {"uint8"} and {c.modality for c in crops} == {"folder"}
    same(crops[0].image, chest[:256, :256])
    same(crops[2].image, chest[:256, :256])
    values, info = read_dicom(tmp_path / "slice.dcm")
    assert info.windows
    same(crops[3].image, window(values, *info.windows[0])[:256, :256])
    middle = volume[:, :, 2].T
    low, high = np.percentile(middle, (0.3, 99.7))
    same(crops[-1].image, window(middle, (low + high) / 2, high - low)[:256, :256])
    assert said == [f"folder:{tmp_path}: left out: film.dcm (320 x 240)"]


def test_subfolders_are_groups_and_the_order_is_that_of_the_paths(tmp_path):
    for name in ("b/x/2", "b/1", "a/9", "loose"):
        write_image(tmp_path / f"{name}.png", phantom("chest", 256))
    crops, said = left_out(lambda: folder_crops(str(tmp_path)))
    found = [(c.name, c.group) for c in crops]
    assert found == [("a/9.png", "a"), ("b/1.png", "b"), ("b/x/2.png", "b"), ("loose.png", "loose")]
    assert said == []
    assert len(folder_crops(tmp_path, 128)) == 16


def test_what_cannot_be_used_is_named_in_one_line(tmp_path):
    write_image(tmp_path / "good.png", phantom("chest", 256))
    write_image(tmp_path / "deep.png", np.zeros((300, 300), np.uint16))
    write_image(tmp_path / "thin.png", np.zeros((100, 900), np.uint8))
    (tmp_path / "broken.dcm").write_bytes(b"no DICOM")
    (tmp_path / "report.dcm").write_bytes((SHIPPED / "reportsi.dcm").read_bytes())
    crops, said = left_out(lambda: folder_crops(tmp_path))
    assert [c.name for c in crops] == ["good.png"]
    assert len(said) == 1 and "\n" not in said[0]
    for name in ("broken.dcm (cannot", "deep.png (cannot", "report.dcm (cannot", "thin.png (900 x 100)"):
        assert name in said[0]
    (tmp_path / "good.png").unlink()
    with pytest.raises(ValueError, match="no crop of 256 x 256 pixels in broken.dcm"):
        folder_crops(tmp_path)


def test_no_folder_and_an_empty_one(tmp_path):
    with pytest.raises(ValueError, match="no image in it"):
        folder_crops(tmp_path)
    with pytest.raises(ValueError, match="not a folder"):
        folder_crops(tmp_path / "nowhere")


def test_every_sealed_figure_names_a_run_that_the_log_lists():
    "data/unsealed.csv: whole lines, of clean commits; and no published run read the split without a line."
    with open(ROOT / "data" / "unsealed.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["date"]), line
        assert re.fullmatch(r"[0-9a-f]{40}", line["commit"]), f"{line}: not a clean commit"
        assert line["purpose"].strip() and int(line["files"]) > 0, line
    logged = {line["run"] for line in lines}
    for path in (ROOT / "data" / "results").glob("*/runs.json"):
        for run in json.loads(path.read_text()):
            assert "split:sealed" not in run["inputs"] or run["id"] in logged, (path, run["id"], run["title"])


def test_the_log_of_unsealings_only_grows():
    "In every commit that touched it, data/unsealed.csv begins with all that it held before."
    git = ["git", "-C", str(ROOT)]
    log = subprocess.run(
        [*git, "log", "--format=%H", "--", "data/unsealed.csv"], capture_output=True, text=True
    )
    if log.returncode:
        pytest.skip("no git history here")
    before = ""
    for commit in reversed(log.stdout.split()):
        shown = subprocess.run([*git, "show", f"{commit}:data/unsealed.csv"], capture_output=True, text=True)
        assert shown.returncode == 0 and shown.stdout.startswith(before), commit
        before = shown.stdout
    assert (ROOT / "data" / "unsealed.csv").read_text().startswith(before)
