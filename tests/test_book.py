"""The book: its filter on small notebooks, texts of all pictures, all links, and the pages on joining in."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT, cells, notebooks, source_files

sys.path.insert(0, str(ROOT / "book"))

import check
import contents
import missing
import names
import slides
import sources

PAGES = sources.pages()
ALT = sources.read_alt()
PICTURE = {
    "output_type": "display_data",
    "metadata": {},
    "data": {"image/png": "aGk=", "text/plain": "<Figure>"},
}


def code(source: str, *outputs: dict, cell_id: str = "c1") -> dict:
    return dict(
        cell_type="code", id=cell_id, source=source, outputs=list(outputs), metadata={}, execution_count=1
    )


def text(source: str) -> dict:
    return dict(cell_type="markdown", id="m1", source=source, metadata={})


def made(*cells: dict, stem: str = "09_room", table: dict | None = None) -> list[dict]:
    return sources.page(stem, list(cells), table or {})["cells"]


# --- directives ---


def test_directives_go_and_hidden_cells_with_them():
    assert sources.directives("#| export\n#| fig-alt : A line.\nx = 1") == (
        {"export", "fig-alt:A line."},
        "x = 1",
    )
    assert sources.directives("x = 1\n#| export") == (set(), "x = 1\n#| export")  # only at the top
    assert made(code("#| hide\nimport os"), code("#| default_exp room"), text("## Export -")) == []
    shown = made(text("# Room"), code("#| slow\nx = 1"))
    assert [cell["source"] for cell in shown] == ["# Room", "x = 1"]


def test_exported_cells_are_marked_and_their_names_can_be_linked():
    source = "#| export\nclass A:\n    def f(self): ...\n    def _g(self): ...\n\ndef _h(): ...\nN: int = 3"
    _, marks, cell = made(text("# Room"), code("#| default_exp room"), code(source))
    assert cell["metadata"]["tags"] == ["exported"] and not cell["source"].startswith("#|")
    named = re.findall(r"\{py:(\w+)\} ([\w.]+)", marks["source"])
    assert named == [("module", "cinn_nb.room"), ("class", "A"), ("method", "A.f"), ("data", "N")]


def test_a_name_leads_to_where_it_is_defined_also_through_another_module():
    low = [code("#| default_exp low"), code("#| export\ndef f(): ...")]
    middle = [code("#| default_exp middle"), code("#| export\nfrom cinn_nb.low import f\ndef g(): ...")]
    high = [code("from cinn_nb.middle import f as h, g\nimport numpy as np")]
    links = sources.name_links({"01_low": low, "02_middle": middle, "03_high": high})
    assert links["03_high"]["h"] == "01_low.html#cinn_nb.low.f"
    assert links["03_high"]["g"] == links["02_middle"]["g"] == "02_middle.html#cinn_nb.middle.g"
    high[0]["source"] += "\ndef k(g): return g + h(1)"
    assert {"h", "g("} <= set(
        sources.name_links({"01_low": low, "02_middle": middle, "03_high": high})["03_high"]
    )
    assert "np" not in links["03_high"] and links["03_high"]["cinn_nb.low"] == "01_low.html"


def test_names_are_linked_where_they_are_used_only():
    def spans(*words: str) -> str:
        return "".join(f'<span class="{"o" if word in ".=" else "n"}">{word}</span>' for word in words)

    links = {"psnr": "03_dct.html#cinn_nb.dct.psnr"}
    assert 'href="03_dct.html#cinn_nb.dct.psnr"' in names.link_names(spans("psnr"), links)
    for free in (
        spans("table", ".", "psnr"),
        spans("psnr", "="),
        '<span class="nf">psnr</span>',
        spans("ssim"),
    ):
        assert names.link_names(free, links) == free
    ambiguous = {"box(": "02_box.html#cinn_nb.box"}
    assert names.link_names(spans("box"), ambiguous) == spans("box")
    assert "<a " in names.link_names(spans("box") + '<span class="p">(</span>', ambiguous)
    inline = '<code class="docutils literal notranslate"><span class="pre">psnr</span></code>'
    assert names.link_names(inline, links).startswith('<a class="name"')
    assert names.link_names(f"<a href='x'>{inline}</a>", links) == f"<a href='x'>{inline}</a>"


@pytest.mark.parametrize(
    "before, after",
    [
        ("[a](../data/results/21_x/21_x.ipynb)", "[a](21_x.ipynb)"),
        ("[a](nbs/03_dct.ipynb#zigzag)", "[a](03_dct.ipynb#zigzag)"),
        ("[a](../../nbs/03_dct.ipynb)", "[a](03_dct.ipynb)"),
        ("![b](../figures/a.png)", "![b](figures/a.png)"),
        ("[c](book/adding/code.md)", "[c](adding_code.md)"),
        ("[d](CHANGELOG.md)", "[d](changelog.md)"),
        ("[e](https://x.org/../y), [f](#top)", "[e](https://x.org/../y), [f](#top)"),
    ],
)  # fmt: skip
def test_links_lead_inside_the_book(before, after):
    assert sources.relink(before) == after


# --- pictures ---


def test_a_picture_takes_its_text_from_the_cell_or_from_the_table():
    table = {"c1": "From the table.", "curve": ["One.", "Two\nlines."], "c3": ["Only one."]}
    here = code("#| fig-alt: From the cell.\nplot()", PICTURE)
    two = code('report.figure(fig, "curve")', PICTURE, PICTURE, cell_id="c2")
    short = code("plot()", PICTURE, PICTURE, cell_id="c3")
    texts = [sources.alt_texts(cell, table) for cell in (here, code("plot()", PICTURE), two, short)]
    assert texts == [["From the cell."], ["From the table."], ["One.", "Two lines."], ["Only one.", ""]]
    both = made(two, table=table)
    assert [cell["metadata"]["mystnb"]["image"]["alt"] for cell in both] == ["One.", "Two lines."]
    assert [cell["metadata"]["tags"] for cell in both] == [[], ["remove-input"]]
    assert len({cell["id"] for cell in both}) == 2


def test_what_stops_the_build():
    silent, dashes, nameless = code("plot()", PICTURE), text("a\n\n---\n\nb"), text("![ ](../figures/a.png)")
    found = sources.faults("09_room", [silent, dashes, nameless, code("#| hide\nplot()", PICTURE)], {})
    assert [re.search(r"no alternative|dashes|without an", line)[0] for line in found] == [
        "no alternative", "dashes", "without an",
    ]  # fmt: skip
    fine = [text("```yaml\n---\n```"), text("| a |\n| --- |"), text('<img src="a.png" alt="A line">')]
    assert sources.faults("09_room", fine, {}) == []


@pytest.mark.parametrize("stem", PAGES)
def test_every_picture_has_a_text_and_no_cell_has_a_line_of_dashes(stem):
    "If it fails: `make alt` writes out the pictures and the lines that are missing."
    assert sources.faults(stem, sources.cells(PAGES[stem]), ALT.get(stem, {})) == []


def test_the_tables_of_texts_name_notebooks_and_cells_that_are_there():
    assert set(ALT) <= set(PAGES)
    both = {stem: [PAGES[stem], ROOT / "nbs" / f"{stem}.ipynb"] for stem in ALT}
    assert {stem: left for stem in ALT if (left := missing.unused(stem, both[stem], ALT[stem]))} == {}


def test_texts_are_sentences():
    texts = [
        text
        for table in ALT.values()
        for entry in table.values()
        for text in ([entry] if isinstance(entry, str) else entry)
    ]
    assert [text for text in texts if not 30 <= len(text) <= 400 or text[-1] not in ".!?"] == []


# --- the course ---

TASK = "def f(x):\n    ### BEGIN SOLUTION\n    return x + 1\n    ### INSTEAD: return x\n    ### END SOLUTION"
SESSION = [
    text("# Session 1\n> Why."),
    code(TASK),
    text("**For the teacher.** See [03_dct](03_dct.ipynb)."),
    text("## Task\nAs in [03_dct](03_dct.ipynb), or [elsewhere](https://x.org).\n\n#### Deep"),
    code("plot()", PICTURE),
]  # fmt: skip
for cell, tag in zip(SESSION, ["slide", "", "instructor", "slide", ""]):
    cell["metadata"] = {"tags": [tag] if tag else []}


def test_the_book_shows_of_a_session_what_students_get(tmp_path):
    for stem in ("91_session", "21_session"):
        (tmp_path / f"{stem}.ipynb").write_text(json.dumps({"cells": SESSION}))
    shown, whole = (sources.cells(tmp_path / f"{stem}.ipynb") for stem in ("91_session", "21_session"))
    assert [cell["source"] for cell in shown][1] == "def f(x):\n    # TODO: yours\n    return x"
    assert len(shown) == 4 and not any(cell.get("outputs") for cell in shown)
    assert len(whole) == 5 and "### BEGIN SOLUTION" in whole[1]["source"] and whole[4]["outputs"]
    assert "students' copy" in contents.notice("91_session", tmp_path / "91_session.ipynb", shown)


def test_a_deck_holds_the_tagged_cells_and_no_link_to_another_page():
    whole = "# Session 1\n> Why.\n\n## Task\nAs in 03_dct, or [elsewhere](https://x.org).\n\n### Deep"
    assert slides.deck(SESSION) == whole and slides.deck(SESSION[1:3]) == ""


# --- links ---


def spoken(cell: dict) -> str:
    "All Markdown of a cell: its source, or its outputs."
    if cell["cell_type"] == "markdown":
        return cell["source"]
    return "\n".join("".join(o.get("data", {}).get("text/markdown", "")) for o in cell.get("outputs", []))


def dead(texts: str, folder) -> list[str]:
    "Links of a Markdown text that lead to no file, seen from a folder of the repository."
    plain = re.sub(r"^```.*?^```|`[^`\n]*`", "", texts, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(<?([^\s)>#]+)", plain)
    inside = [target for target in targets if not re.match(r"\w+:", target)]
    return [target for target in inside if not (folder / target).exists()]


def test_dead_links_are_found():
    assert dead("[a](03_dct.ipynb#zigzag) [b](none.ipynb) `[c](d)` [e](https://x.org)", ROOT / "nbs") == [
        "none.ipynb"
    ]


@pytest.mark.parametrize("nb", notebooks(), ids=lambda nb: nb.name)
def test_links_of_a_notebook_lead_somewhere(nb):
    assert dead("\n".join(map(spoken, sources.cells(nb))), nb.parent) == []


def test_links_of_the_other_pages_lead_somewhere():
    pages = [path for path in source_files() if path.suffix == ".md" and path.name != "README.md"]
    assert len(pages) >= 7
    assert {path.name: found for path in pages if (found := dead(path.read_text("utf-8"), path.parent))} == {}


def test_the_check_of_a_site_finds_what_it_should(tmp_path):
    (tmp_path / "b.html").write_text('<h1 id="top2">b</h1>')
    links = (
        '<a href="b.html#top2"></a><a href="b.html#no"></a><a href="c.html"></a><a href="https://x.org"></a>'
    )
    asked = '<script src="https://x.org/a.js"></script><img src="a.png" alt="">'
    (tmp_path / "a.html").write_text(links + asked + '<link rel="stylesheet" href="s.css">')
    (tmp_path / "s.css").write_text("@import 'https://fonts.org/f.css'; a { background: url(data:x) }")
    assert check.faults(tmp_path) == [
        "a.html: 'b.html#no' leads nowhere",
        "a.html: 'c.html' leads nowhere",
        "a.html: 'a.png' is not there",
        "a.html: fetches 'https://x.org/a.js'",
        "a.html: no text for picture 'a.png'",
        "s.css: fetches 'https://fonts.org/f.css'",
    ]


# --- pages that no notebook holds ---


def test_contents_hold_every_page_once():
    all_cells = {stem: sources.cells(path) for stem, path in PAGES.items()}
    listed = re.findall(r"^(?:.*<(\w+)>|(\w+))$", contents.toctrees(all_cells), re.MULTILINE)
    stems = [a or b for a, b in listed]
    assert len(stems) == len(set(stems)) and set(PAGES) - {"index"} <= set(stems)
    adding = {f"adding_{path.stem}" for path in (ROOT / "book" / "adding").glob("*.md")}
    assert adding == set(contents.ADDING) and adding <= set(stems)


def test_reading_path_and_glossary_follow_the_front_page():
    method = {stem: sources.cells(path) for stem, path in PAGES.items() if 0 <= sources.order(stem)[0] < 20}
    path = contents.reading_path(method)
    assert [stem for stem in method if f"({stem}.ipynb)" not in path] == []
    assert "**[03 Block DCT](03_dct.ipynb)** | the 64 waves" in path
    terms = re.findall(r"^([^\s`>|#].*)\n  \S", contents.glossary(), re.MULTILINE)
    assert len(terms) == len(contents.rows(contents.section(contents.front(), "Glossary"))) > 15
    with pytest.raises(ValueError, match="no section 'Weather'"):
        contents.section(contents.front(), "Weather")


@pytest.fixture
def as_before():
    "The tables of methods, attacks, codes and sub-networks, put back after a test that adds to them."
    from cinn_nb import coupling, methods

    tables = [methods.METHODS, methods.ATTACKS, methods.CODES, coupling.SUBNETS]
    held = [dict(table) for table in tables]
    yield
    for table, before in zip(tables, held):
        table.clear()
        table.update(before)


@pytest.mark.parametrize("name", [name.removeprefix("adding_") for name in contents.ADDING])
def test_examples_on_joining_in_run(name, as_before):
    page = (ROOT / "book" / "adding" / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2 and [line for line in "".join(blocks).split("\n") if len(line) > 110] == []
    exec(compile("\n".join(blocks), f"{name}.md", "exec"), {"__name__": f"adding_{name}"})


# --- the site ---

NEEDS = ("sphinx", "myst_nb", "furo", "sphinx_copybutton", "sphinx_revealjs", "sphinx-mathjax-offline")


@pytest.mark.skipif(
    [name for name in NEEDS if not importlib.util.find_spec(name)] != [],
    reason="the book's packages are not installed: `make book` installs them",
)
def test_the_book_builds_without_a_fault(tmp_path):
    call = "import make, sys, pathlib; print(make.build(pathlib.Path(sys.argv[1])))"
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "book"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, "-c", call, str(tmp_path)], cwd=ROOT, env=env, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.endswith("[]\n"), done.stdout + done.stderr
    page = (tmp_path / "html" / "05_coupling.html").read_text(encoding="utf-8")
    assert (
        'href="04_jpeg.html#cinn_nb.jpeg.jpeg_file"' in page
        and 'id="cinn_nb.coupling.AffineCoupling"' in page
    )
    assert "#| export" not in page and "nbdev_export" not in page
    index = json.loads((tmp_path / "src" / "names.json").read_text(encoding="utf-8"))
    assert len(index["05_coupling"]) > 20


def test_files_that_pages_link_to_go_with_the_book():
    from make import BESIDE

    texts = [
        cell["source"] for path in notebooks() for cell in cells(path) if cell["cell_type"] == "markdown"
    ]
    linked = {name for text in texts for name in re.findall(r"\]\(\.\./([^)#]+)\)", "".join(text))}
    files = {name for name in linked if name.endswith((".csv", ".yaml"))}
    assert len(files) >= 2 and files <= set(BESIDE)
