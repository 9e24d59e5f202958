"""How much faster `cinn batch` is than one process and than a shell loop; not part of the tests.

    python tests/batch_speed.py [--files 100] [--loop 20] [--out data/results/batch_speed.json]

Slices of 512x512 pixels (a phantom, moved and with noise, so that no two are alike) are marked and read: by
one worker, by two, and by a loop that calls `cinn` once a file (the first `--loop` files, in seconds a file).
Run it while nothing else runs. Two marks: the network's (the default) and the promise for Pillow's files.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COMMAND = [sys.executable, "-c", "import sys; from cinn_nb.cli import main; sys.exit(main())"]
MARKS = {"network": [], "promise": ["--survive", "70", "--channels", "turbo"]}


def slices(folder: Path, count: int) -> None:
    "PNG files of 512x512 pixels."
    from cinn_nb.images import write_image
    from cinn_nb.phantoms import phantom

    whole = np.tile(phantom("abdomen"), (2, 2)).astype(int)
    for number in range(count):
        rng = np.random.default_rng(number)
        moved = np.roll(whole, rng.integers(0, 512, 2), (0, 1)) + rng.integers(-2, 3, whole.shape)
        write_image(folder / f"{number:03}.png", np.clip(moved, 0, 255).astype(np.uint8))


def seconds(*words: str | Path) -> float:
    "Wall time of one call of `cinn`, in a process of its own, on one thread."
    start = time.monotonic()
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*COMMAND, *map(str, words)], check=True, env=env, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def measured(folder: Path, mark: str, count: int, loop: int) -> dict:
    "Seconds a file: marking and reading, by one worker, two, and a loop."
    covers, how, found = (
        folder / "covers",
        MARKS[mark],
        {"mark": mark, "files": count, "files in the loop": loop},
    )
    for workers in (1, 2):
        out = folder / f"{mark}-{workers}"
        took = seconds("batch", covers, out, "--text", "scan 0042", "--workers", workers, *how)
        found[f"embed, {workers} worker(s)"] = took / count
        took = seconds("batch", out, folder / f"{mark}-{workers}.csv", "--extract", "--workers", workers)
        found[f"read, {workers} worker(s)"] = took / count
    names = sorted(covers.iterdir())[:loop]
    out = folder / f"{mark}-loop"
    out.mkdir()
    took = sum(seconds("embed", name, out / name.name, "--text", "scan 0042", *how) for name in names)
    found["embed, loop"] = took / loop
    found["read, loop"] = sum(seconds("extract", out / name.name) for name in names) / loop
    for what in ("embed", "read"):
        two = found[f"{what}, 2 worker(s)"]
        found[f"{what}: two against one"] = found[f"{what}, 1 worker(s)"] / two
        found[f"{what}: two against the loop"] = found[f"{what}, loop"] / two
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in found.items()}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--files", type=int, default=100)
    options.add_argument("--loop", type=int, default=20)
    options.add_argument("--out", type=Path)
    asked = options.parse_args()
    from cinn_nb.provenance import environment, git_state, write_json

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "covers").mkdir()
        slices(folder / "covers", asked.files)
        rows = [measured(folder, mark, asked.files, asked.loop) for mark in MARKS]
    print(json.dumps(rows, indent=1))
    if asked.out:
        how = dict(git=git_state(), environment=environment("cpu"))
        write_json(asked.out, dict(rows=rows, cores=os.cpu_count(), **how))


if __name__ == "__main__":
    main()
