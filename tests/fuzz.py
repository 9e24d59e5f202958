"""Damaged files for every command: `python tests/fuzz.py --files 10000`; tests/test_fuzz.py runs a few.

Whatever a file holds, a command ends within 10 s of one core (`embed`, which searches, within 60 s) with
status 0, 1 or 2. It says at most one line on standard error, and exactly one where it fails. It raises
nothing, writes nothing when it fails, and reads no payload that nobody has written. What `embed` has written
says what it was given. `batch` does all that for a folder of damaged files, and its report says of each what
became of it.

A fault names its seed: `--files 1000 --seed N` begins with that batch.
"""

import argparse
import contextlib
import csv
import faulthandler
import gzip
import io
import json
import random
import signal
import sys
import tempfile
import traceback
from functools import lru_cache
from multiprocessing import parent_process
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

PAYLOAD = b"7"  # all that 128x128 pixels have room for
SIDE = 128
LIMIT, SEARCH = 10, 60  # seconds of processor time; for `embed`
CLOCK = 300  # seconds on the clock, after which a process that hangs in a decoder is ended
NEW = b"8"  # what is embedded
COMMANDS = {  # words after the command and its input; {out} is a name to write to, {kind} what IN is
    "extract": "",
    "capacity": "",
    "certify": "",
    "attack": "{out}{kind} --quality 80",
    "embed": "{out}{kind} --text 8 --json",
}


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pictures() -> dict[str, tuple[bytes, bool]]:
    "Whole PNG, JPEG and TIFF files of many forms: name to (bytes, whether a message is in it)."
    from cinn_nb.phantoms import phantom
    from cinn_nb.watermark import embed

    cover = phantom("chest", SIDE)
    stego = embed(cover, PAYLOAD, replace=True)
    plain, marked = Image.fromarray(cover), Image.fromarray(stego)
    deep = Image.fromarray(cover.astype(np.uint16) * 257)
    colour = Image.merge("RGB", [plain, marked, plain])  # the luma is mostly green
    found = {
        "gray.png": (_saved(plain, "PNG"), False),
        "marked.png": (_saved(marked, "PNG"), True),
        "deep.png": (_saved(deep, "PNG"), False),
        "palette.png": (_saved(marked.convert("P"), "PNG"), True),
        "alpha.png": (_saved(marked.convert("LA"), "PNG"), True),
        "bits.png": (_saved(plain.convert("1"), "PNG"), False),
        "colour.png": (_saved(colour, "PNG"), True),
        "gray.jpg": (_saved(plain, "JPEG", quality=90), False),
        "marked.jpg": (_saved(marked, "JPEG", quality=90), True),
        "progressive.jpg": (_saved(marked, "JPEG", quality=90, progressive=True), True),
        "colour.jpg": (_saved(colour, "JPEG", quality=90), True),
        "exif.jpg": (_saved(marked, "JPEG", quality=90, exif=_turned()), True),
        "gray.tif": (_saved(plain, "TIFF"), False),
        "marked.tif": (_saved(marked, "TIFF", compression="tiff_lzw"), True),
        "deflate.tif": (_saved(marked, "TIFF", compression="tiff_adobe_deflate"), True),
        "deep.tif": (_saved(deep, "TIFF"), False),
        "pages.tif": (_saved(plain, "TIFF", save_all=True, append_images=[marked]), False),
        "marked.bmp": (_saved(marked, "BMP"), True),
        "marked.webp": (_saved(marked, "WEBP", lossless=True), True),
    }
    return found


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 1
    return exif.tobytes()


SHIPPED = ("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm",
           "MR_small_jp2klossless.dcm", "image_dfl.dcm", "rtdose_1frame.dcm", "test-SR.dcm")  # fmt: skip


def _file(data: pydicom.Dataset) -> bytes:
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def scans() -> dict[str, tuple[bytes, bool]]:
    "Whole DICOM files: those of pydicom that are small, and some of ours, with and without a message."
    from cinn_nb.phantoms import phantom
    from cinn_nb.twelve_bit import embed_stored
    from cinn_nb.watermark import embed

    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    found = {name: ((folder / name).read_bytes(), False) for name in SHIPPED if (folder / name).is_file()}
    deep = pydicom.dcmread(folder / "CT_small.dcm")
    found["IM0001"] = _file(deep), False  # a series often comes without a suffix
    values = deep.pixel_array.astype(np.int32)
    deep.PixelData = embed_stored(values, PAYLOAD, channels="turbo").astype("<i2").tobytes()
    found["marked.dcm"] = _file(deep), True
    eight = pydicom.dcmread(folder / "CT_small.dcm")
    eight.BitsAllocated, eight.BitsStored, eight.HighBit, eight.PixelRepresentation = 8, 8, 7, 0
    del eight.PixelPaddingValue
    cover = phantom("chest", SIDE)
    eight.NumberOfFrames = 2
    eight.PixelData = cover.tobytes() + embed(cover, PAYLOAD, replace=True).tobytes()
    found["frames.dcm"] = _file(eight), True
    eight.NumberOfFrames = 1
    eight.PixelData = pydicom.encaps.encapsulate([_saved(Image.fromarray(cover), "JPEG", quality=90)])
    eight.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    found["jpeg.dcm"] = _file(eight), False
    return found


def colours() -> dict[str, tuple[bytes, bool]]:
    "Colour DICOM files, whole: RGB with a message, planes one after the other, and a palette."
    from cinn_nb.phantoms import phantom
    from cinn_nb.watermark import embed

    cover = phantom("chest", SIDE)
    data = pydicom.dcmread(Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm")
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    for name in ("PixelPaddingValue", "RescaleIntercept", "RescaleSlope"):
        delattr(data, name)
    data.SamplesPerPixel, data.PlanarConfiguration, data.PhotometricInterpretation = 3, 0, "RGB"
    data.PixelData = np.stack([embed(cover, PAYLOAD, replace=True)] * 3, -1).tobytes()
    found = {"rgb.dcm": (_file(data), True)}
    data.PlanarConfiguration, data.PixelData = 1, np.stack([cover, cover // 2, 255 - cover]).tobytes()
    found["planes.dcm"] = _file(data), False
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "PALETTE COLOR"
    del data.PlanarConfiguration
    ramp = (np.arange(256, dtype=np.uint16) * 257).tobytes()
    for name in ("Red", "Green", "Blue"):
        data.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        setattr(data, f"{name}PaletteColorLookupTableData", ramp)
    data.PixelData = cover.tobytes()
    return found | {"palette.dcm": (_file(data), False)}


def volumes() -> dict[str, tuple[bytes, bool]]:
    "NIfTI volumes, whole: eight bits with a message in their first slice, sixteen, and packed."
    import nibabel
    from cinn_nb.phantoms import phantom
    from cinn_nb.watermark import embed

    cover, found = phantom("chest", SIDE), {}
    stego = embed(cover, PAYLOAD, replace=True)
    deep = cover.astype(np.int16) * 9
    for name, image, marked in (("eight.nii", stego, True), ("deep.nii", deep, False)):
        volume = np.stack([image, image], -1)
        found[name] = nibabel.Nifti1Image(volume, np.eye(4), dtype=volume.dtype).to_bytes(), marked
    return found | {"packed.nii.gz": (gzip.compress(found["eight.nii"][0]), True)}


@lru_cache
def whole_files(dicom: bool) -> dict[str, tuple[bytes, bool]]:
    return pictures() | (scans() | colours() | volumes() if dicom else {})


def damaged(data: bytes, draw: random.Random) -> bytes:
    "A few random damages: bits, bytes, runs of zeros, cuts, pieces doubled or moved, lengths changed."
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        head = min(len(data), 512) if draw.random() < 0.6 else len(data)  # headers are where programs break
        at = draw.randrange(head)
        what = draw.randrange(7)
        if what == 0:
            data[at] ^= 1 << draw.randrange(8)
        elif what == 1:
            data[at] = draw.choice((0, 1, 127, 128, 255, draw.randrange(256)))
        elif what == 2:
            del data[at : at + draw.choice((1, 2, 4, 64))]
        elif what == 3:
            data[at:at] = draw.randbytes(draw.choice((1, 2, 4, 64)))
        elif what == 4:
            data = data[: len(data) - at] if draw.random() < 0.5 else data[:at]
        elif what == 5:
            data[at : at + 4] = draw.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\x01\0\0")
            )
        else:
            piece = data[at : at + draw.choice((8, 64, 512))]
            place = draw.randrange(len(data))
            data[place:place] = piece
    return bytes(data)


class TooLong(BaseException):
    "A command did not end in time."


def _ring(*_):
    raise TooLong


def called(words: list[str], limit: float) -> tuple[int, str, str] | str:
    "A command in this process: its status, standard output and standard error; or how it broke the rules."
    from cinn_nb.cli import main

    out, err = io.StringIO(), io.StringIO()
    signal.signal(signal.SIGPROF, _ring)
    signal.setitimer(signal.ITIMER_PROF, limit)
    if parent_process():  # a worker: may be ended
        faulthandler.dump_traceback_later(CLOCK, exit=True, file=sys.__stderr__)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(words)
    except TooLong:
        return f"no end after {limit} s"
    except BaseException:
        return "raises " + traceback.format_exc(limit=-3)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
    return status, out.getvalue(), err.getvalue()


def talk(status: int, err: str) -> list[str]:
    "What is wrong with a status and what was said on standard error."
    wrong, lines = [], err.splitlines()
    if status not in (0, 1, 2):
        wrong.append(f"status {status}")
    if len(lines) > 1 or (status and len(lines) != 1):
        wrong.append(f"{len(lines)} lines on standard error: {lines[:4]}")
    return wrong


def sliced(path: Path) -> list[str]:
    "More words for a volume: which slice."
    return ["--slice", "0"] if ".nii" in path.name else []


def unlike(path: Path, payload: bytes) -> list[str]:
    "What is wrong with a file that was written and should say a payload."
    said = called(["extract", str(path), *sliced(path)], LIMIT)
    return [] if said[:2] == (0, payload.decode() + "\n") else [f"wrote a file that says {said!r}"]


def faults(path: Path, command: str, marked: bool) -> list[str]:
    "What is wrong with how one command deals with one file; empty if nothing is."
    from cinn_nb.images import is_dicom

    kind = ".dcm" if is_dicom(path) else ".jpg" if command == "attack" else ".png"
    kind = ".nii" if command == "embed" and sliced(path) else kind
    words = COMMANDS[command].format(out=path.parent / "new", kind=kind).split() + sliced(path)
    before = set(path.parent.iterdir())
    answer = called([command, str(path), *words], SEARCH if command == "embed" else LIMIT)
    new = set(path.parent.iterdir()) - before
    if isinstance(answer, str):
        wrong = [answer]
    else:
        wrong = talk(answer[0], answer[2]) + judged(command, answer, new, marked)
    for one in new:
        one.unlink()
    return wrong


def judged(command: str, answer: tuple[int, str, str], new: set[Path], marked: bool) -> list[str]:
    "What is wrong with what a command has read or written."
    status, out, _ = answer
    names = sorted(path.name for path in new)
    if status:
        return [f"failed and left {names}"] * bool(new) + [f"failed and printed {out!r}"] * bool(out)
    if len(new) != (command in ("attack", "embed")):
        return [f"wrote {names}"]
    if command == "extract" and not (marked and out.strip() == PAYLOAD.decode()):
        return [f"read {out!r}"]
    if command == "embed":
        facts = json.loads(out)
        loud = [f"PSNR is {facts['psnr']}"] * (not 20 < facts["psnr"] < 120)
        return loud + unlike(*new, NEW)
    return []


@contextlib.contextmanager
def one_by_one():
    "`cinn batch` works in this process, as a new one takes seconds to load what it needs."
    import cinn_nb.batch

    before = cinn_nb.batch.side_by_side
    cinn_nb.batch.side_by_side = lambda task, jobs, workers: ((job, task(*job)) for job in jobs)
    try:
        yield
    finally:
        cinn_nb.batch.side_by_side = before


def batch_faults(folder: Path, out: Path) -> list[str]:
    "What is wrong with how `cinn batch` deals with a folder of damaged files."
    count = len(list(folder.iterdir()))
    with one_by_one():
        answer = called(["batch", str(folder), str(out), "--text", NEW.decode()], SEARCH + LIMIT * count)
    if isinstance(answer, str):
        return [answer]
    wrong = talk(answer[0], answer[2])
    with open(out / "report.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wrong += [f"{row['file']}: left out" for row in rows if not row["status"] and ".nii" not in row["file"]]
    rows = [row for row in rows if row["status"]]  # volumes are left out: no slice is named
    done, refused = ([row for row in rows if (row["status"] == "0") == whole] for whole in (True, False))
    wrong += [f"{row['file']}: refused without a word" for row in refused if not row["refusal"]]
    wrong += [f"{row['file']}: {'; '.join(unlike(out / row['out'], NEW))}" for row in done
              if unlike(out / row["out"], NEW)]  # fmt: skip
    there = sorted(path.name for path in out.iterdir() if path.name not in ("report.csv", ".cinn-batch"))
    if there != sorted(row["out"] for row in done):
        wrong.append(f"wrote {there}")
    if bool(refused) != (answer[0] == 2):
        wrong.append(f"status {answer[0]} with {len(refused)} refusals")
    return wrong


def batch(seed: int, count: int, dicom: bool, folders: bool) -> tuple[int, list[str]]:
    "Commands on a damaged copy of each of the first whole files; how many calls, and what was wrong."
    draw, calls, found = random.Random(seed), 0, []
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary, "in"), Path(temporary, "out")
        folder.mkdir()
        sources = list(whole_files(dicom).items())[:count]
        for name, (data, marked) in sources:
            path = Path(temporary, name)
            path.write_bytes(damaged(data, draw))
            for command in COMMANDS:
                calls += 1
                found += [f"{name}, seed {seed}, {command}: {what}" for what in faults(path, command, marked)]
            path.rename(folder / name)
        if folders:
            calls += 1
            found += [f"seed {seed}, batch: {what}" for what in batch_faults(folder, out)]
    return calls, found


def jobs(files: int, seed: int = 0, dicom: bool = True, folders: int = 4) -> list[tuple]:
    "Batches of damaged files, drawn evenly over the whole ones; every so many go through `cinn batch`, too."
    whole = len(whole_files(dicom))
    starts = range(0, files, whole)
    return [
        (seed + at, min(whole, files - at), dicom, number % folders == 0) for number, at in enumerate(starts)
    ]


def run(
    files: int, seed: int = 0, workers: int = 0, dicom: bool = True, folders: int = 4
) -> tuple[int, list[str]]:
    "All commands on so many damaged files, in this process or in `workers` of their own."
    from cinn_nb.batch import side_by_side

    todo, calls, found = jobs(files, seed, dicom, folders), 0, []
    answers = side_by_side(batch, todo, workers) if workers else ((job, batch(*job)) for job in todo)
    for job, answer in answers:
        if isinstance(answer, Exception):
            answer = 1, [f"seed {job[0]}: a command ended its process, or took more than {CLOCK} s"]
        calls += answer[0]
        found += answer[1]
        if workers:
            print(f"{calls} calls, {len(found)} faults", file=sys.stderr, flush=True)
        for line in answer[1]:
            print(line, flush=True)
    return calls, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folders", type=int, default=4, help="one batch of so many goes through cinn batch")
    parser.add_argument("--no-dicom", action="store_true")
    told = parser.parse_args()
    calls, found = run(told.files, told.seed, told.workers, not told.no_dicom, told.folders)
    print(json.dumps(dict(files=told.files, calls=calls, faults=len(found))))
    sys.exit(bool(found))
