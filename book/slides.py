"""`make slides`: a deck for each session, from its cells with the tag `slide`. Offline, like the book."""

import os
import re
import shutil
from pathlib import Path

from make import sphinx, stop_if
from sources import ROOT, cells, pages, relink, tags


def deck(notebook: list[dict]) -> str:
    "The Markdown of a deck: a slide for each heading of the tagged cells; nothing where no cell is tagged."
    parts = []
    for cell in notebook:
        if "slide" in tags(cell):
            code = f"```python\n{cell['source']}\n```"
            parts.append(cell["source"] if cell["cell_type"] == "markdown" else code)
    text = "\n\n".join(parts)
    text = re.sub(r"\[([^\]]*)\]\((?!\w+:)[^)]*\)", r"\1", relink(text))  # a deck has no other pages
    return re.sub(r"^#{3,} ", "### ", text, flags=re.MULTILINE)


def build(out: Path, root: Path = ROOT) -> list[str]:
    "Write and build all decks; returns what is wrong, one line each."
    decks = {stem: text for stem, path in pages(root).items() if (text := deck(cells(path)))}
    shutil.rmtree(out, ignore_errors=True)
    print(f"{len(decks)} decks: {', '.join(decks) or 'no notebook has a cell with the tag slide'}")
    if not decks:
        return []
    (out / "src").mkdir(parents=True)
    for stem, text in decks.items():
        (out / "src" / f"{stem}.md").write_text(text, encoding="utf-8")
    listed = "\n".join(decks)
    tree = f"# Slides\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    (out / "src" / "index.md").write_text(tree, encoding="utf-8")
    return sphinx(out, "-b", "revealjs", root=root, env=os.environ | {"CINN_SLIDES": "1"})


def main() -> None:
    "Build into _docs/slides/; exit status 1 where anything is wrong."
    stop_if(build(ROOT / "_docs" / "slides"), "slides")
    print("The slides are in _docs/slides/html/.")


if __name__ == "__main__":
    main()
