"""Damaged files for every command: `python tests/fuzz.py --files 10000`; tests/test_fuzz.py runs a few.

Whatever a file holds, a command ends within 10 s of one core with status 0, 1 or 2. It says at most one line
on standard error, and exactly one where it fails. It raises nothing, writes nothing when it fails, and reads
no payload that nobody has written.
"""

import argparse
import contextlib
import io
import json
import random
import signal
import sys
import tempfile
import traceback
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

PAYLOAD = b"7"  # all that 128x128 pixels have room for
SIDE = 128
LIMIT = 10  # seconds of processor time
COMMANDS = {  # words after the command and its input; {out} is a name for a file to write
    "extract": "",
    "capacity": "",
    "certify": "",
    "attack": "{out}.jpg --quality 80",
    "embed": "{out}.png --text new",
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
    }
    return found


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 1
    return exif.tobytes()


def scans() -> dict[str, tuple[bytes, bool]]:
    "Whole DICOM files: those of pydicom that are small, and one of ours."
    from pydicom.data import get_testdata_files

    names = (
        "CT_small.dcm",
        "MR_small.dcm",
        "JPEG-LL.dcm",
        "emri_small.dcm",
        "OBXXXX1A.dcm",
        "examples_palette.dcm",
    )
    paths = {Path(path).name: Path(path) for path in get_testdata_files("*.dcm")}
    few = [paths[name] for name in names if name in paths]
    return {path.name: (path.read_bytes(), False) for path in few if path.stat().st_size < 500_000}


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


def faults(path: Path, command: str, marked: bool) -> list[str]:
    "What is wrong with how one command deals with one file; empty if nothing is."
    from cinn_nb.cli import main

    words = COMMANDS[command].format(out=path.parent / "new").split()
    before, out, err = set(path.parent.iterdir()), io.StringIO(), io.StringIO()
    signal.signal(signal.SIGPROF, _ring)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([command, str(path), *words])
    except TooLong:
        return [f"no end after {LIMIT} s"]
    except BaseException:
        return ["raises " + traceback.format_exc(limit=-3)]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    wrong, lines = [], err.getvalue().splitlines()
    if status not in (0, 1, 2):
        wrong.append(f"status {status}")
    if len(lines) > 1 or (status and len(lines) != 1):
        wrong.append(f"{len(lines)} lines on standard error: {lines[:4]}")
    new = set(path.parent.iterdir()) - before
    if status and new:
        wrong.append(f"failed and left {sorted(p.name for p in new)}")
    if command == "extract" and not status and not (marked and out.getvalue().strip() == PAYLOAD.decode()):
        wrong.append(f"read {out.getvalue()!r}")
    for one in new:
        one.unlink()
    return wrong


def batch(job: tuple[int, list[tuple[str, bytes, bool]], tuple[str, ...]]) -> tuple[int, list[str]]:
    "Commands on a few damaged copies; how many calls, and what was wrong."
    seed, sources, commands = job
    draw, calls, found = random.Random(seed), 0, []
    with tempfile.TemporaryDirectory() as folder:
        for name, data, marked in sources:
            path = Path(folder) / name
            path.write_bytes(damaged(data, draw))
            for command in commands:
                calls += 1
                found += [f"{name}, seed {seed}, {command}: {what}" for what in faults(path, command, marked)]
            path.unlink()
    return calls, found


def jobs(files: int, seed: int = 0, dicom: bool = True, commands: tuple[str, ...] = tuple(COMMANDS)):
    "Batches of damaged files, drawn evenly over the whole ones."
    whole = [(name, *rest) for name, rest in (pictures() | (scans() if dicom else {})).items()]
    for start in range(0, files, len(whole)):
        few = whole[: files - start]
        yield seed + start, few, commands


def run(files: int, seed: int = 0, workers: int = 1, dicom: bool = True) -> tuple[int, list[str]]:
    "All commands on so many damaged files."
    calls, found = 0, []
    if workers == 1:
        results = map(batch, jobs(files, seed, dicom))
    else:
        results = ProcessPoolExecutor(workers).map(batch, jobs(files, seed, dicom))
    for done, wrong in results:
        calls += done
        found += wrong
        for line in wrong:
            print(line, flush=True)
    return calls, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-dicom", action="store_true")
    told = parser.parse_args()
    calls, found = run(told.files, told.seed, told.workers, not told.no_dicom)
    print(json.dumps(dict(files=told.files, calls=calls, faults=len(found))))
    sys.exit(bool(found))
