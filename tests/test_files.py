"""Marks in real DICOM files, by the command line: what is marked, what is refused, what others say."""

import contextlib
import gzip
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pydicom.encaps
import pytest
from PIL import Image

from cinn_nb.cli import main
from cinn_nb.files import _words, in_jpeg, looks, open_scan, samples_of, shown
from cinn_nb.phantoms import phantom
from conftest import ROOT

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
OTHERS = Path(os.environ.get("CINN_DATA", "no such folder")) / "dicom"
TEXT = "scan 0042"
CALL = "import sys; from cinn_nb.cli import main; sys.exit(main())"


def images() -> list[Path]:
    "Every DICOM file with pixels that pydicom ships, and those of the data folder if it is there."
    found = []
    for path in [*sorted(SHIPPED.glob("*.dcm")), *sorted(OTHERS.glob("*.dcm"))]:
        with contextlib.suppress(Exception):
            data = pydicom.dcmread(path, stop_before_pixels=False)
            if any(name in data for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
                found.append(path)
    return found


def cinn(*words: object) -> tuple[int, str, str]:
    "Exit status, what is printed, and what is said of errors."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return status, out.getvalue(), err.getvalue()


def markable(path: Path) -> bool:
    with contextlib.suppress(ValueError):
        return min(open_scan(path).stored.shape[1:3]) >= 128
    return False


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here (Debian: dcmtk, dicom3tools): not asked")
    return found


def plain(path: Path, folder: Path) -> Path:
    "A deflated file, which dciodvfy cannot look into, as it is without; another file itself."
    data = pydicom.dcmread(path)
    if not data.file_meta.TransferSyntaxUID.is_deflated:
        return path
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.save_as(folder / "plain.dcm", enforce_file_format=True)
    return folder / "plain.dcm"


def complaints(path: Path) -> set[str]:
    "The errors that dciodvfy reports."
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, encoding="latin-1")
    return {line for line in (done.stderr + done.stdout).splitlines() if line.startswith("Error")}


def changed_where_it_may(before: Path, after: Path, window: str | None = None) -> bool:
    "Did only pixels change that are neither padding nor outside the window, and no tag go?"
    old, new = open_scan(before), open_scan(after)
    if window is None and old.bits > 8:
        frozen = np.stack([samples_of(old, frame).frozen for frame in old.frames()])
    else:
        view = old.windows(0)[0] if window == "header" else None
        frozen = np.stack([shown(old, frame, view).frozen for frame in old.frames()])
    moved = old.stored != new.stored
    if old.colour:
        change = new.stored.astype(int) - old.stored
        assert (change == change[..., :1]).all(), "hue has changed"
        moved = moved[..., 0]
    lost = {e.tag for e in old.data if e.tag.element} - {e.tag for e in new.data}  # no group lengths
    kept = all("Palette" in pydicom.datadict.keyword_for_tag(tag) for tag in lost)
    return moved.any() and not (moved & frozen).any() and kept


MARKED = [path for path in images() if markable(path)]
REFUSED = [path for path in images() if path not in MARKED]
ALL = "CINN_ALL_FILES" in os.environ
SOME = MARKED if ALL else MARKED[::4]  # each takes some seconds
QUICK = ("--channels", "turbo")  # in stored values; a promise for two files takes ten times as long


def by_name(path: Path) -> str:
    return path.name


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    "Marks a file once and keeps it: answer of the command, and the file."
    folder, done = tmp_path_factory.mktemp("marked"), {}

    def mark(path: Path) -> tuple[tuple[int, str, str], Path]:
        if path not in done:
            out, words = folder / path.name, () if ALL or open_scan(path).bits <= 8 else QUICK
            done[path] = cinn("embed", path, out, "--text", TEXT, *words), out
        return done[path]

    return mark


@pytest.mark.parametrize("path", SOME, ids=by_name)
def test_a_file_is_marked_or_refused(path, marked):
    (status, said, err), out = marked(path)
    if status:
        assert status == 2 and re.fullmatch(r"cinn: [^\n]+\n", err) and not out.exists(), err
        return
    assert changed_where_it_may(path, out) and f"{len(TEXT)} of at most" in said
    assert cinn("extract", out) == (0, TEXT + "\n", "")
    old, new = pydicom.dcmread(path), pydicom.dcmread(out)
    assert new.SourceImageSequence[-1].ReferencedSOPInstanceUID == old.SOPInstanceUID != new.SOPInstanceUID
    assert new.ImageType[0] == "DERIVED" and "cinn" in new.DerivationDescription
    assert new.get("LossyImageCompression") == old.get("LossyImageCompression")


@pytest.mark.parametrize("path", SOME, ids=by_name)
def test_other_programs_read_it_and_find_no_new_fault(path, marked, tmp_path):
    dump, _ = tool("dcmj2pnm"), tool("dciodvfy")
    (status, _, err), out = marked(path)
    if status:
        pytest.skip(f"refused: {err}")
    words = [dump, "+F", "1", "--write-8-bit-pnm", out, tmp_path / "a.pnm"]
    done = subprocess.run(words, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert complaints(out) <= complaints(plain(path, tmp_path))


@pytest.mark.parametrize("path", REFUSED, ids=by_name)
def test_what_cannot_be_marked_is_refused_in_one_line(path, tmp_path):
    for words in (["embed", path, tmp_path / "a.dcm", "--text", "A"], ["extract", path], ["certify", path]):
        status, said, err = cinn(*words)
        assert status in (1, 2) and said == "" and re.fullmatch(r"cinn: [^\n]+\n", err), (words, said, err)
    assert list(tmp_path.iterdir()) == []


def test_what_pydicom_finds_odd_is_not_said():
    "In a process of its own, where nobody else catches warnings."
    words = [sys.executable, "-c", CALL, "extract", str(SHIPPED / "MR_small_padded.dcm")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    assert done.returncode == 1 and re.fullmatch(r"cinn: [^\n]+\n", done.stderr), done.stderr


def test_the_lists_of_files_are_not_empty():
    assert len(MARKED) >= 5 and len(REFUSED) >= 40


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_above_the_stored_ones_stay_or_repeat_the_sign(tmp_path, signed):
    "Older files keep an overlay there, also where the values are signed."
    data = pydicom.dcmread(SHIPPED / "CT_small.dcm")
    stored = np.clip(data.pixel_array.astype(int) - 1000 * signed, -2048 * signed, 4095 - 2048 * signed)
    data.BitsStored, data.HighBit, data.PixelRepresentation = 12, 11, signed
    drawn = np.random.default_rng(1).integers(0, 2, stored.shape) << 13
    for name, above in (("overlay", drawn), ("none", stored & 0xF000 if signed else 0 * drawn)):
        data.add_new(0x60000102, "US", 13 * (name == "overlay"))  # OverlayBitPosition
        data.PixelData = ((stored & 0xFFF) | above).astype("<u2").tobytes()
        data.save_as(tmp_path / "a.dcm")
        scan = open_scan(tmp_path / "a.dcm")
        assert (scan.stored[0] == stored).all()
        moved = np.where(stored % 3 == 0, -stored - 1 if signed else stored ^ 1, stored)
        words = np.frombuffer(_words(scan, moved[None]), "<u2").reshape(stored.shape).astype(int)
        assert ((words & 0xFFF) == (moved & 0xFFF)).all()
        wanted = drawn if name == "overlay" else moved & 0xF000 if signed else 0 * drawn
        assert ((words & 0xF000) == wanted).all(), name


def test_the_profile_and_the_resolution_of_a_picture_stay(tmp_path):
    picture = np.random.default_rng(1).integers(60, 190, (256, 256, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png", dpi=(150, 150), icc_profile=b"a profile")
    for out in ("b.png", "b.tiff"):
        assert cinn("embed", tmp_path / "a.png", tmp_path / out, "--text", "7")[0] == 0
        with Image.open(tmp_path / out) as image:
            assert image.info["icc_profile"] == b"a profile" and round(image.info["dpi"][0]) == 150
    assert cinn("embed", tmp_path / "a.png", tmp_path / "b.jpg", "--text", "7")[0] == 2
    assert not (tmp_path / "b.jpg").exists()


def test_where_most_values_must_stay_the_refusal_says_so(tmp_path):
    data = pydicom.dcmread(SHIPPED / "CT_small.dcm")
    data.PixelData = (data.pixel_array.astype(int) * 8).clip(-32768, 32767).astype("<i2").tobytes()
    data.save_as(tmp_path / "a.dcm")
    quick = ("--survive", 70, "--channels", "turbo")
    status, _, err = cinn("embed", tmp_path / "a.dcm", tmp_path / "b.dcm", "--text", TEXT, *quick)
    assert status == 2 and "% of the values must stay" in err and "--window" in err, err
    assert not (tmp_path / "b.dcm").exists()


LIVER = SHIPPED / "examples_overlay.dcm"


def test_a_window_and_its_jpeg(tmp_path):
    out, sent = tmp_path / "a.dcm", tmp_path / "a.jpg"
    assert cinn("embed", LIVER, out, "--text", TEXT, "--window", "header")[0] == 0
    assert changed_where_it_may(LIVER, out, "header")
    assert cinn("extract", out)[:2] == (0, TEXT + "\n")
    assert cinn("attack", out, sent, "--quality", "80", "--window", "header")[0] == 0
    assert cinn("extract", sent)[:2] == (0, TEXT + "\n")
    status, _, err = cinn("embed", out, tmp_path / "b.dcm", "--text", TEXT)
    assert status == 2 and "already carries" in err and not (tmp_path / "b.dcm").exists()
    status, _, err = cinn("embed", out, tmp_path / "b.dcm", "--text", TEXT, "--window", "header")
    assert status == 2 and "use the unmarked original" in err and "--replace" not in err


def test_how_far_values_moved_as_json(tmp_path):
    ct = SHIPPED / "CT_small.dcm"
    told = {}
    shown = ["--window", "full"]
    for name, path, words in (("deep", ct, QUICK), ("window", ct, shown), ("mr", LIVER, QUICK)):
        status, said, err = cinn("embed", path, tmp_path / f"{name}.dcm", "--text", "7", "--json", *words)
        assert status == 0, err
        told[name] = json.loads(said)
        moves = open_scan(tmp_path / f"{name}.dcm").stored - open_scan(path).stored
        assert told[name]["largest"] == np.abs(moves).max() > 0
        assert abs(told[name]["deviation"] - moves.std()) < 0.001
    deep, shown_only, mr = told.values()
    assert (deep["peak"], shown_only["peak"], mr["peak"]) == (4095, 255, 4095)
    assert deep["largest_hu"] == deep["largest"] and deep["deviation_hu"] == deep["deviation"]
    assert mr["largest_hu"] is None and shown_only["certificate"] is None
    samples = [samples_of(open_scan(path), 0).values for path in (ct, tmp_path / "deep.dcm")]
    error = np.mean((samples[0] - samples[1]).astype(float) ** 2)
    assert abs(deep["psnr"] - 10 * np.log10(4095**2 / error)) < 0.01


def test_a_field_that_pydicom_cannot_turn_into_a_value_is_one_line(tmp_path):
    data = bytearray((SHIPPED / "CT_small.dcm").read_bytes())
    start = data.index(b"\x08\x00\x16\x00UI")  # SOPClassUID
    data[start + 4 : start + 6] = b"U9"  # there is no such type of value
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    lines = ["extract"], ["capacity"], ["certify"], ["attack", tmp_path / "b.dcm", "--quality", "80"]
    for command, *words in (*lines, ["embed", tmp_path / "b.dcm", "--text", "A"]):
        status, said, err = cinn(command, path, *words)
        assert (status, said) == (2, "") and re.fullmatch(r"cinn: [^\n]+\n", err) and "a.dcm" in err, err
    assert [one.name for one in tmp_path.iterdir()] == ["a.dcm"]


@pytest.mark.parametrize("words", [["embed", "--text", "A"], ["extract"], ["capacity"]], ids=" ".join)
def test_a_slope_of_zero_is_named(words, tmp_path):
    data = pydicom.dcmread(SHIPPED / "CT_small.dcm")
    data.RescaleSlope = 0
    data.save_as(tmp_path / "flat.dcm")
    out = [tmp_path / "out.dcm"] if words[0] == "embed" else []
    status, _, err = cinn(words[0], tmp_path / "flat.dcm", *out, *words[1:])
    assert status == 2 and "RescaleSlope is 0" in err and len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["flat.dcm"]


def test_every_frame_or_one_of_them(tmp_path):
    data = pydicom.dcmread(SHIPPED / "CT_small.dcm")
    data.WindowCenter, data.WindowWidth = 40, 400
    frames = np.stack([data.pixel_array, data.pixel_array[::-1]])
    data.NumberOfFrames, data.PixelData = 2, frames.tobytes()
    data.save_as(tmp_path / "two.dcm")
    one, both = tmp_path / "one.dcm", tmp_path / "both.dcm"
    assert cinn("embed", tmp_path / "two.dcm", one, "--text", TEXT, "--frame", "1", *QUICK)[0] == 0
    assert np.array_equal(pydicom.dcmread(one).pixel_array[0], frames[0])
    assert cinn("extract", one, "--frame", "0", "--window", "header")[0] == 1
    status, said, _ = cinn("extract", one, "--json")
    assert status == 0 and json.loads(said)["messages"][0]["look"].startswith("frame 1")
    assert cinn("embed", tmp_path / "two.dcm", both, "--text", TEXT, *QUICK)[0] == 0
    assert [cinn("extract", both, "--frame", frame)[0] for frame in (0, 1)] == [0, 0]
    assert "frames 0..1" in cinn("extract", both, "--frame", 2)[2]


ECHO, QUICK = SHIPPED / "examples_rgb_color.dcm", ("--survive", "70", "--channels", "turbo")


def colour_file(kind: str, folder: Path) -> Path:
    "A colour file of a kind, small enough to be marked in seconds."
    data, path = pydicom.dcmread(ECHO), folder / "in.dcm"
    pixels = data.pixel_array[60:196, 100:260]
    data.Rows, data.Columns = pixels.shape[:2]
    if kind == "planes":
        data.PlanarConfiguration, data.PixelData = 1, pixels.transpose(2, 0, 1).tobytes()
    elif kind == "pixels":
        data.PixelData = pixels.tobytes()
    elif kind == "JPEG":
        data.PixelData = pydicom.encaps.encapsulate([in_jpeg(pixels, 95)])
        data["PixelData"].is_undefined_length = True
        data.PhotometricInterpretation = "YBR_FULL_422"
        data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    elif kind == "palette":
        data = pydicom.dcmread(SHIPPED / "examples_palette.dcm")
        pixels = data.pixel_array[60:196, 300:460]
        data.Rows, data.Columns, data.PixelData = *pixels.shape, pixels.tobytes()
    data.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["pixels", "planes", "JPEG", "palette"])
def test_colour_is_marked_in_its_luma(kind, tmp_path):
    path, out = colour_file(kind, tmp_path), tmp_path / "a.dcm"
    status, said, err = cinn("embed", path, out, "--text", "7", *QUICK, "--json")
    assert status == 0, err
    assert json.loads(said)["largest_hu"] is None and "turbo" in json.loads(said)["certificate"]
    assert changed_where_it_may(path, out)
    old, new = pydicom.dcmread(path), pydicom.dcmread(out)
    assert (new.PhotometricInterpretation, new.SamplesPerPixel, new.BitsStored) == ("RGB", 3, 8)
    assert new.PlanarConfiguration == int(kind == "planes") and "RedPaletteColorLookupTableData" not in new
    assert new.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert new.get("LossyImageCompression", "") == (
        "01" if kind == "JPEG" else old.get("LossyImageCompression", "")
    )
    assert new.SOPInstanceUID != old.SOPInstanceUID == new.SourceImageSequence[-1].ReferencedSOPInstanceUID
    assert cinn("extract", out) == (0, "7\n", "")
    assert "turbo" in cinn("certify", out)[1] and "160 pixels" in cinn("capacity", out)[1]


def test_other_programs_read_marked_colour_and_find_no_new_fault(tmp_path):
    dump, _ = tool("dcm2pnm"), tool("dciodvfy")
    for kind in ("planes", "palette"):
        path, out = colour_file(kind, tmp_path), tmp_path / "a.dcm"
        assert cinn("embed", path, out, "--text", "7", *QUICK, "--force")[0] == 0
        subprocess.run([dump, "+op", out, tmp_path / "a.ppm"], check=True, capture_output=True)
        assert np.array_equal(np.asarray(Image.open(tmp_path / "a.ppm")), open_scan(out).stored[0])
        assert complaints(out) <= complaints(path)


def test_marked_colour_is_read_after_jpeg_of_many_kinds(tmp_path):
    path, out = colour_file("pixels", tmp_path), tmp_path / "a.dcm"
    assert cinn("embed", path, out, "--text", "7", "--survive", "50")[0] == 0  # decoding rounds: not `turbo`
    for sent in (tmp_path / name for name in ("b.dcm", "b.jpg", "b.png")):
        assert cinn("attack", out, sent, "--quality", "80")[0] == 0
        assert cinn("extract", sent)[:2] == (0, "7\n")
    assert pydicom.dcmread(tmp_path / "b.dcm").LossyImageCompression == "01"
    assert Image.open(tmp_path / "b.png").mode == "RGB"
    data = pydicom.dcmread(out)  # as an archive compresses it
    data.PixelData = pydicom.encaps.encapsulate([in_jpeg(data.pixel_array, 75)])
    data["PixelData"].is_undefined_length = True
    data.PhotometricInterpretation = "YBR_FULL_422"
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    data.save_as(tmp_path / "c.dcm")
    assert len(looks(open_scan(tmp_path / "c.dcm"), 0)) == 2
    assert cinn("extract", tmp_path / "c.dcm")[:2] == (0, "7\n")


@pytest.fixture
def volume(tmp_path):
    "Writes a NIfTI volume of a type, with codes of its own, and gives its path."
    nibabel = pytest.importorskip("nibabel")

    def write(kind: str, name: str = "v.nii.gz") -> Path:
        scan = open_scan(LIVER).stored[0, 100:300, 150:350]
        values = (scan[..., None] * np.array([0.9, 1, 0.8]) * (0.1 if kind == "u1" else 1)).clip(0, 4095)
        image = nibabel.Nifti1Image(
            values.clip(0, 255 if kind == "u1" else None).astype(kind), np.diag([2, 2, 5, 1])
        )
        image.header.set_xyzt_units("mm", "sec")
        image.header["descrip"], image.header["cal_max"], image.header["intent_name"] = "a liver", 900, "x"
        if kind != "f4":
            image.header.set_slope_inter(0.5, -10)
        nibabel.save(image, tmp_path / name)
        return tmp_path / name

    return write


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.mark.parametrize(
    "kind, words", [("i2", QUICK), ("u1", QUICK), ("i2", (*QUICK, "--window", "header"))]
)
def test_a_slice_of_a_volume_is_marked_and_nothing_else(kind, words, volume, tmp_path):
    source, out, at = volume(kind), tmp_path / "a.nii", ("--slice", "1")
    status, said, err = cinn("embed", source, out, "--text", "7", *at, *words, "--json")
    assert status == 0, err
    before, after = unpacked(source), unpacked(out)
    size = 2 if kind == "i2" else 1
    start, one = len(before) - 3 * 200 * 200 * size, 200 * 200 * size
    assert (
        before[: start + one] == after[: start + one]
        and before[start + 2 * one :] == after[start + 2 * one :]
    )
    assert before != after and json.loads(said)["largest"] > 0
    assert cinn("extract", out, *at) == (0, "7\n", "")
    assert cinn("extract", out, "--slice", "2")[0] == 1
    assert "slice 1 of axis 2" in cinn("certify", out, *at)[1] and "200x200" in cinn("capacity", out, *at)[1]
    if "--window" not in words:
        for sent in (tmp_path / "b.nii.gz",) + (tmp_path / "b.jpg",) * (kind == "u1"):
            assert cinn("attack", out, sent, "--quality", "80", *at)[0] == 0
            assert cinn("extract", sent, *at[: 2 * (sent.suffix == ".gz")])[:2] == (0, "7\n")
    status, _, err = cinn("embed", out, tmp_path / "c.nii", "--text", "7", *at, *words)
    assert status == 2 and "already carr" in err and not (tmp_path / "c.nii").exists()


def test_what_a_volume_cannot_is_refused_in_one_line(volume, tmp_path):
    floats, whole = volume("f4", "f.nii"), volume("i2")
    (tmp_path / "cut.nii.gz").write_bytes(whole.read_bytes()[:-99])
    (tmp_path / "cut.nii").write_bytes(unpacked(whole)[:-99])
    (tmp_path / "text.nii").write_text("no volume")
    for name, at, number in (("head.nii", 108, 100.0), ("scale.nii", 116, np.nan)):  # vox_offset, scl_inter
        raw = bytearray(unpacked(whole))
        raw[at : at + 4] = np.float32(number).tobytes()
        (tmp_path / name).write_bytes(raw)
    there = sorted(tmp_path.iterdir())
    out = tmp_path / "a.nii"
    lines = (
        ((floats, out, "--slice", "1"), "float32, and a mark needs integers"),
        ((whole, out), "no slice is named; along axis 2 give one from 0 to 2"),
        ((whole, out, "--slice", "3"), "from 0 to 2"),
        ((whole, out, "--slice", "200", "--axis", "0"), "from 0 to 199"),
        ((whole, tmp_path / "a.dcm", "--slice", "1"), "must end in .nii, .nii.gz"),
        ((whole, out, "--slice", "1", "--frame", "0"), "--frame is for DICOM files"),
        ((LIVER, tmp_path / "a.dcm", "--slice", "1"), "--slice is for NIfTI files"),
        ((tmp_path / "cut.nii.gz", out, "--slice", "1"), "cannot be unpacked"),
        ((tmp_path / "cut.nii", out, "--slice", "1"), "truncated"),
        ((tmp_path / "text.nii", out, "--slice", "1"), "no NIfTI file"),
        ((tmp_path / "head.nii", out, "--slice", "1"), "begin at byte 100, inside the header"),
        ((tmp_path / "scale.nii", out, "--slice", "1"), "scale.nii cannot be marked: Valid slope"),
        ((ECHO, tmp_path / "a.dcm", "--window", "full"), "colour image"),
        ((SHIPPED / "SC_rgb_rle_16bit.dcm", tmp_path / "a.dcm"), "16 bits each"),
    )
    for words, why in lines:
        status, said, err = cinn("embed", *words, "--text", "7")
        assert (status, said) == (2, "") and re.fullmatch(r"cinn: [^\n]+\n", err) and why in err, err
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize("when", ["check", "write"])
def test_nothing_is_left_where_the_promise_fails(tmp_path, monkeypatch, when):
    import cinn_nb.cli
    import cinn_nb.files

    if when == "check":
        monkeypatch.setattr(cinn_nb.cli, "_all_read", lambda *_: [])
    else:
        monkeypatch.setattr(cinn_nb.files, "_words", lambda scan, stored: bytes(2 * stored.size))
    status, said, err = cinn("embed", SHIPPED / "CT_small.dcm", tmp_path / "a.dcm", "--text", TEXT, *QUICK)
    assert status == 2 and said == "" and re.search("is not read from the file|is not written", err), err
    assert list(tmp_path.iterdir()) == []


WRONG = {
    "OUT is no DICOM file": (["embed", LIVER, "a.png", "--text", "A"], "must end in .dcm"),
    "no such frame": (["extract", LIVER, "--frame", "1"], "frames 0..0"),
    "no window": (["embed", LIVER, "a.dcm", "--text", "A", "--window", "40"], "no window"),
    "a network in stored values": (
        ["embed", LIVER, "a.dcm", "--text", "A", "--model", "cinn"],
        "leave it out, or name a --window",
    ),
    "no such promise": (["embed", LIVER, "a.dcm", "--text", "A", "--survive", "10"], "50, 30, 70"),
    "replace": (["embed", LIVER, "a.dcm", "--text", "A", "--replace"], "unmarked original"),
    "too long": (["embed", LIVER, "a.dcm", "--text", "A" * 108], "room for 107"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_of_dicom_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, fragment = WRONG[name]
    status, said, err = cinn(*words)
    assert (status, said) == (2, "") and re.fullmatch(r"cinn: [^\n]+\n", err) and fragment in err, err
    assert list(tmp_path.iterdir()) == []


def png(pixels: np.ndarray, kind: int) -> bytes:
    "A PNG file of 16-bit samples (H, W, channels), which Pillow writes of gray ones only."

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    H, W, _ = pixels.shape
    rows = np.pad(pixels.astype(">u2").reshape(H, -1).view(np.uint8), ((0, 0), (1, 0)))
    head = struct.pack(">IIBBBBB", W, H, 16, kind, 0, 0, 0)
    whole = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + whole


def test_pictures_that_pillow_would_cut_to_8_bits_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deep = np.random.default_rng(0).integers(0, 65536, (128, 128, 3))
    opaque = np.full((128, 128, 1), 65535)
    Path("rgb.png").write_bytes(png(deep, 2))
    Path("rgba.png").write_bytes(png(np.concatenate([deep, opaque], -1), 6))
    Path("la.png").write_bytes(png(np.concatenate([deep[..., :1], opaque], -1), 4))
    Image.fromarray(deep[..., 0].astype(np.uint8)).save("signed.tif", tiffinfo={339: 2})
    there = sorted(tmp_path.iterdir())
    for path in there:
        status, said, err = cinn("embed", path.name, "a.png", "--text", "7")
        assert (status, said) == (2, "") and err.startswith(f"cinn: {path.name}: its samples ")
        assert ("are signed" if path.suffix == ".tif" else "have 16 bits") in err and "convert it" in err
    assert sorted(tmp_path.iterdir()) == there


def with_tag(path, out, tag, value):
    "A copy of a little-endian TIFF file with another number in one of its tags."
    data = bytearray(path.read_bytes())
    assert data[:2] == b"II"
    first = struct.unpack_from("<I", data, 4)[0]
    for at in range(first + 2, first + 2 + 12 * struct.unpack_from("<H", data, first)[0], 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            struct.pack_into("<HII", data, at + 2, 4, 1, value)
    out.write_bytes(data)


@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [(257, 60_000, "of 938 strips"), (277, 122, "cannot be read as an image"), (257, 129, "of 3 strips")],
)
def test_a_damaged_tiff_is_one_line(tmp_path, tag, value, says):
    "Rows that the file does not hold, which Pillow shows as black; samples that it logs and refuses."
    whole, bad = tmp_path / "whole.tif", tmp_path / "bad.tif"
    picture = Image.fromarray(phantom("chest", 128)).convert("RGB")
    picture.save(whole, "TIFF", tiffinfo={278: 64}, strip_size=64 * 128 * 3)
    with Image.open(whole) as image:
        assert len(image.tag_v2[273]) == 2
    with_tag(whole, bad, tag, value)
    for command in ("extract", "capacity", "certify"):
        done = subprocess.run(
            [sys.executable, "-c", CALL, command, bad], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 2 and says in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
