"""`cinn batch` killed at random moments and started again: `python tests/kill_batch.py --kills 20`."""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CINN = [sys.executable, "-c", "import sys; from cinn_nb.cli import main; sys.exit(main(sys.argv[1:]))"]


def make_images(folder: Path, count: int) -> None:
    "So many different unmarked images, 128x128: room for a payload of one byte."
    from cinn_nb.images import write_image
    from cinn_nb.phantoms import phantom

    folder.mkdir()
    for number in range(count):
        write_image(folder / f"{number}.png", phantom("chest", 128, seed=number))


def killed(command: list[str], after: float) -> bool:
    "Start a command in a group of its own, kill the group after so many seconds; whether it was there."
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def faults(folder: Path, out: Path, report: list[dict[str, str]]) -> list[str]:
    "What is wrong with what a finished batch left."
    from cinn_nb.images import read_image
    from cinn_nb.watermark import readings

    names, found = sorted(p.name for p in folder.iterdir()), []
    there = sorted(p.name for p in out.glob("[!.]*.png"))
    if there != names:
        found.append(f"images {sorted(set(there) ^ set(names))} are missing or too many")
    if [row["file"] for row in report] != names or any(row["status"] != "0" for row in report):
        found.append("the report does not list each file as done")
    for name in there:
        said = [one.payload for one in readings(read_image(out / name))]
        if set(said) != {b"7"}:  # another network may read a mark of one byte, too
            found.append(f"{name} says {said}")
    rows = [p for p in (out / ".cinn-batch").glob("*.json") if not p.name.startswith(".")]
    known = {*(out / name for name in names), out / "report.csv", *rows}
    left = sorted(p.name for p in out.rglob("*") if p.is_file() and p not in known)
    return found + [f"left behind: {left}"] * bool(left)


def run(kills: int, images: int, seed: int = 0, longest: float = 12.0) -> dict:
    "Kill a batch so often, let it end, look at what it left."
    draw, done = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary, "in"), Path(temporary, "out")
        make_images(folder, images)
        command = [*CINN, "batch", str(folder), str(out), "--text", "7", "--workers", "2"]
        stamps = {}
        for _ in range(kills):
            done += killed(command, draw.uniform(1.0, longest))
            now = {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")} if out.exists() else {}
            if any(now.get(name) != stamp for name, stamp in stamps.items()):
                return dict(kills=done, faults=["an image was written twice"])
            stamps = now
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(out / "report.csv", newline="") as file:
            report = list(csv.DictReader(file))
        wrong = faults(folder, out, report)
        return dict(kills=done, images=images, last=round(time.monotonic() - start, 1), faults=wrong)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=200)
    told = parser.parse_args()
    said = run(told.kills, told.images)
    print(json.dumps(said))
    sys.exit(bool(said["faults"]))
