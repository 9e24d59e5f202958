"""`make alt`: pictures without an alternative text, written out to be looked at, and the lines to fill in."""

import base64
from pathlib import Path

from sources import ROOT, alt_texts, cells, figure_key, is_picture, pages, read_alt, shown


def pictures(stem: str, path: Path, table: dict) -> list[tuple[str, int, dict]]:
    "(key, number within the cell, output) of each picture of a notebook that has no text."
    found = []
    for cell in cells(path):
        if cell["cell_type"] == "code" and shown(cell):
            outputs = [output for output in cell["outputs"] if is_picture(output)]
            texts = alt_texts(cell, table)
            found += [(figure_key(cell), i, out) for i, out in enumerate(outputs) if not texts[i]]
    return found


def unused(stem: str, paths: list[Path], table: dict) -> list[str]:
    "Keys of the table that name no cell, in the notebook or in its executed copy."
    known = {key for path in paths for cell in cells(path) for key in (cell["id"], figure_key(cell))}
    return [key for key in table if key not in known]


def main(out: Path = ROOT / "_docs" / "missing") -> None:
    "Print what is missing and what is not used any more."
    alt = read_alt()
    for stem, path in pages().items():
        table = alt.get(stem, {})
        for key, i, output in pictures(stem, path, table):
            kind = next(kind for kind in output["data"] if kind.startswith("image/"))
            data, name = "".join(output["data"][kind]), f"{stem}_{key}_{i}"
            out.mkdir(parents=True, exist_ok=True)
            target = out / f"{name}.{'svg' if 'svg' in kind else 'png'}"
            target.write_bytes(data.encode() if "svg" in kind else base64.b64decode(data))
            print(f"book/alt/{stem}.yaml lacks a text for {target.relative_to(ROOT)}:\n{key}: >-\n  ...")
        for key in unused(stem, [path, ROOT / "nbs" / f"{stem}.ipynb"], table):
            print(f"book/alt/{stem}.yaml: {key} names no cell")


if __name__ == "__main__":
    main()
