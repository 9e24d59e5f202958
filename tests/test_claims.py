"""The front page says what the tables say: claims resolve, verdicts are computed, and no number is typed."""

import ast
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, cells

from cinn_nb.claims import front_table, problems, read_claims, refresh, stale_line, value, verdict, why
from cinn_nb.provenance import read_json, sha256_of
from cinn_nb.study import readme_from_index

PAGES = ["index.ipynb", "40_results.ipynb"]

# A number in prose must come from a claim or a computed cell. These contexts are taken out first: they hold
# settings, which are chosen and not measured, or names.
CONTEXTS = {
    "code": r"```.*?```|`[^`\n]*`",
    "addresses": r"\]\([^)]*\)|https?://\S+",
    "holes of claims": r"\{\{[^}]*\}\}|\{[^{}\n]*\}",
    "sizes": r"\b\d+x\d+\b(?: pixels)?",
    "qualities": r"\b(?:q|quality|qualities|QF|survive) ?=? ?\d+(?:(?: to |\.\.| and |, )\d+)*|\b\d+\.\.\d+",
    "the level of intervals": r"\b95 %",
    "the code": r"\bRS\(\d+,\d+\)|\b(?:8|12)[- ]bit",
    "the bits of a message": r"\b\d+ (?:payload |coded )?(?:bits|bytes)\b",
    "what installing takes": r"\b2 GB\b",
    "the paper's own statement": r"\bnearly 100 %|\babout 40 %|\b40 per cent",
}
UNITS = (
    "per cent|dB|points?|times|ms|s|min|minutes?|hours?|of|messages?|trials?|crops?|groups?|patients?|seeds?"
)
UNITS += "|samples?|images?|files?|parameters?|steps?|bytes?|bits?|MB|GB"
TYPED = re.compile(rf"\b\d[\d.,]*[ -]?(?:%|(?:{UNITS})\b)")
# Sections that list choices; nothing in them is measured.
SETTINGS = ("Our reading of the paper", "Notation", "Glossary")


def without_settings(text: str) -> str:
    "Markdown without the sections that list settings."
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    return "".join(part for part in parts if not part.startswith(tuple(f"## {name}" for name in SETTINGS)))


def typed(text: str) -> list[str]:
    "Numbers with a unit that stand in a text and come from no claim."
    text = without_settings(text)
    for pattern in CONTEXTS.values():
        text = re.sub(pattern, " _ ", text, flags=re.DOTALL)
    return TYPED.findall(text)


def prose(notebook: Path) -> list[tuple[int, str]]:
    "(cell, text): Markdown cells, and the strings that code cells hand to Markdown, render or text."
    found = []
    for i, cell in enumerate(cells(notebook)):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            found.append((i, source))
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Markdown", "render", "text"):
                strings = [ast.unparse(part) for part in ast.walk(node) if isinstance(part, ast.JoinedStr)]
                strings += [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                found += [(i, text) for text in strings if isinstance(text, str)]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_no_number_is_typed(page):
    found = [f"cell {i}: {hit!r}" for i, text in prose(ROOT / "nbs" / page) for hit in typed(text)]
    assert found == [], "give the number a claim, and write {{id.name}}"


TYPED_ONES = ["we find 99.87 % here", "at 45.6 dB", "0.59 of dense's time", "3 of 29 groups", "runs 2 times"]
TYPED_ONES += ["it takes 26 minutes", "417,948 parameters", "+6.6 points", "960 messages at quality 50"]
FREE_ONES = [
    "after JPEG at quality 50",
    "q = 50",
    "`make test  # 10 min`",
    "a 256x256 image",
    "95 % intervals",
]
FREE_ONES += [
    "{{promise.psnr}} at quality 50 to 100",
    "RS(32,16)",
    "## Notation\n3 seeds",
    "128 payload bits",
]
FREE_ONES += ["[21](21_robustness.ipynb)", "Python 3.11 or newer", "of 2025"]


def test_the_rule_for_typed_numbers_finds_what_it_should():
    assert [text for text in TYPED_ONES if not typed(text)] == []
    assert [text for text in FREE_ONES if typed(text)] == []


def test_every_query_resolves():
    assert problems() == []


def test_verdicts_are_computed_and_front_cells_are_short():
    found = read_claims()
    front = [claim for claim in found.values() if claim.front]
    assert {claim.whose for claim in front} == {"paper", "ours"} and len(front) >= 10
    assert [c.id for c in front if verdict(c.id) not in ("holds", "fails", "not decided")] == []
    tables = "\n".join([front_table("paper"), front_table("ours")])  # raises for a cell above 90 characters
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in tables.splitlines() if not line.startswith("| ---")]
    assert [line for line in lines if re.sub(r"\]\(", "](nbs/", line) not in readme] == [], (
        "run `make prepare`"
    )
    assert stale_line() in readme, "run `make prepare`"


def test_what_the_first_bullets_say_can_be_said_of_the_sealed_patients_too():
    "They are written with `best`: once that split has been read, its answers stand there."
    sources = ["".join(cell["source"]) for cell in cells(ROOT / "nbs" / "index.ipynb")]
    told = [source for source in sources if "best=True" in source]
    holes = [hole for source in told for hole in re.findall(r"\{\{([\w-]+)\.(\w+)\}\}", source)]
    known, parts = read_claims(), {"images", "find", "n", "says", "verdict"}
    asked = [(name, part) for name, part in holes if known[name].sealed and part not in parts]
    assert len(holes) > 15 and len(asked) > 5
    assert [hole for hole in asked if hole[1] not in known[hole[0]].sealed] == []


def copied(folder: Path) -> Path:
    "What the front page is made of, in another place."
    for name in ("claims.yaml", "settings.ini", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "nbs", folder / "nbs", ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(ROOT / "data" / "results", folder / "data" / "results")
    shutil.copytree(ROOT / "cinn_nb", folder / "cinn_nb", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_every_executed_copy_is_linked_on_the_front_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    copies = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("data/results/*/*.ipynb")]
    assert copies and [copy for copy in copies if copy not in text] == []


def test_one_digit_in_a_table_changes_the_readme(tmp_path):
    "`refresh` says whether the front page is what the tables say; `make prepare` calls it."
    root = copied(tmp_path)
    index, committed = root / "nbs" / "index.ipynb", (root / "README.md").read_text(encoding="utf-8")
    assert not refresh(index), "the front page is not what the tables say: run `make prepare`"
    assert readme_from_index(index) == committed, "README.md is not the front page: run `make prepare`"
    table = root / "data" / "results" / "26_lattice" / "overview.csv"
    rows = pd.read_csv(table)
    main = (rows.method == "search") & (rows.payload == 128) & (rows.survive == 50)
    psnr = rows.loc[main, "psnr"].item()
    rows.loc[main, "psnr"] = psnr + 0.4
    rows.to_csv(table, index=False)
    assert refresh(index), "a changed table went unseen"
    old, new = committed.splitlines(), readme_from_index(index).splitlines()
    changed = [(a, b) for a, b in zip(old, new) if a != b]
    assert len(old) == len(new) and 1 <= len(changed) <= 3
    assert all(f"{psnr:.1f} dB" in a and f"{psnr + 0.4:.1f} dB" in b for a, b in changed)


def test_published_tables_are_what_their_records_say():
    "A digit that no claim prints, changed by hand in a committed table, is found here."
    records = sorted((ROOT / "data" / "results").glob("*/provenance.json"))
    assert len(records) >= 10
    for record in records:
        vouched = set(read_json(record)["outputs"].values())
        assert [t.name for t in record.parent.glob("*.csv") if sha256_of(t) not in vouched] == [], record


@pytest.mark.parametrize(
    "thing", ["csp-faster", "a number", "figures/figure1.png", "data/results/22_codes/metrics.csv"]
)
def test_why_ends_at_inputs_and_says_where_the_chain_ends(thing):
    number = f"{value('recovery-q50', 'psnr'):.2f}"  # as the front page shows it
    text = why(number if thing == "a number" else thing)
    ends = ("input split:", "chain ends")  # at the images of a run, or where no run kept a record
    assert any(end in text for end in ends), text
    assert "commit" in text and str(ROOT) not in text


def test_why_of_a_model_names_the_result_that_wrote_it_or_says_that_none_did():
    assert "26_lattice says that it wrote this file" in why("cinn_nb/weights/lattice.safetensors")
    text = why("cinn_nb/weights/cinn.safetensors")  # as long as its card names no run
    assert "  run " in text or ("read by 22_codes" in text and "no published record" in text)
