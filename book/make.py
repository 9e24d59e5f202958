"""`make book`: pages from notebooks, a site from the pages, a check of what came out. Executes nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import check
import contents
from sources import ROOT, BookError, cells, faults, name_links, page, pages, prose, read_alt, relink

BESIDE = ["claims.yaml", "LICENSE", "CITATION.cff", "data/registry.csv", "data/unsealed.csv"]


def write_pages(out: Path, root: Path = ROOT) -> int:
    "Write what Sphinx reads into an empty folder. Raises `BookError` with every fault found."
    found = pages(root)
    notebooks = {stem: cells(path) for stem, path in found.items()}
    alt = read_alt(root)
    wrong = [
        line for stem, notebook in notebooks.items() for line in faults(stem, notebook, alt.get(stem, {}))
    ]
    if wrong:
        raise BookError("\n".join(wrong))
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for stem, notebook in notebooks.items():
        notice = contents.notice(stem, found[stem], notebook, root)
        made = page(stem, notebook, alt.get(stem, {}), notice)
        if stem == "index":
            made["cells"].append(prose(contents.toctrees(notebooks), "contents"))
        (out / f"{stem}.ipynb").write_text(json.dumps(made), encoding="utf-8")
    texts = {"reading": contents.reading_path(notebooks, root), "claims": contents.claims_page(root)}
    texts["glossary"] = contents.glossary(root)
    for name in ("CHANGELOG", "CONTRIBUTING"):
        texts[name.lower()] = (root / f"{name}.md").read_text(encoding="utf-8")
    for path in sorted((root / "book" / "adding").glob("*.md")):
        texts[f"adding_{path.stem}"] = path.read_text(encoding="utf-8")
    for name, text in texts.items():
        (out / f"{name}.md").write_text(relink(text), encoding="utf-8")
    with_code = notebooks | {name: contents.code_blocks(text) for name, text in texts.items()}
    (out / "names.json").write_text(json.dumps(name_links(with_code)), encoding="utf-8")
    shutil.copytree(root / "figures", out / "figures", ignore=shutil.ignore_patterns("quick", "medium"))
    for name in BESIDE:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, out / name)
    return len(notebooks) + len(texts)


def sphinx(
    out: Path, *options: str, root: Path = ROOT, env: dict[str, str] | None = None
) -> list[str]:  # fmt: skip
    "Build out/html from out/src; returns what is wrong with it, one line each."
    always = ["-q", "-W", "--keep-going", "-c", root / "book", "-d", out / "doctrees"]
    command = [sys.executable, "-m", "sphinx", *always, *options, out / "src", out / "html"]
    done = subprocess.run([*map(str, command)], cwd=root, env=env)
    return ["Sphinx found faults, named above"] * (done.returncode != 0) + check.faults(out / "html")


def stop_if(wrong: list[str], target: str) -> None:
    "Say what is wrong and end with exit status 1; nothing where nothing is."
    if wrong:
        print(*wrong, f"make {target}: {len(wrong)} fault(s)", sep="\n", file=sys.stderr)
        sys.exit(1)


def build(out: Path, root: Path = ROOT) -> list[str]:
    "Make pages and site below a folder; returns what is wrong with them, one line each."
    number = write_pages(out / "src", root)
    shutil.rmtree(out / "html", ignore_errors=True)
    wrong = sphinx(out, "-b", "html", "-j", os.environ.get("BOOK_JOBS", "auto"), root=root)
    print(f"{number} pages, {len(list((out / 'html').rglob('*.html')))} of HTML")
    return wrong


def main() -> None:
    "Build into _docs/; exit status 1 where anything is wrong."
    started = time.time()
    sys.path.insert(0, str(ROOT))
    try:
        wrong = build(ROOT / "_docs")
    except BookError as error:
        wrong = str(error).split("\n")
    stop_if(wrong, "book")
    print(f"The book is in _docs/html/index.html ({time.time() - started:.0f} s).")


if __name__ == "__main__":
    main()
