"""The pages that no notebook holds: contents, reading path, claims, glossary; and notices for the others."""

import json
import re
from pathlib import Path

from sources import ROOT, cells, is_session, order

ADDING = ["adding_code", "adding_subnetwork", "adding_attack", "adding_method", "adding_modality"]


def front(root: Path = ROOT) -> str:
    "All Markdown of the front page, with what its cells put out."
    parts = []
    for cell in cells(root / "nbs" / "index.ipynb"):
        outputs = [output.get("data", {}).get("text/markdown", "") for output in cell.get("outputs", [])]
        parts += [cell["source"]] if cell["cell_type"] == "markdown" else map("".join, outputs)
    return "\n\n".join(parts)


def section(text: str, title: str) -> str:
    "What stands below a heading of the second level, up to the next one."
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"the front page has no section {title!r}")
    return found[1].strip()


def rows(text: str) -> list[list[str]]:
    "The cells of a Markdown table's lines, without its head."
    lines = [line.strip().strip("|") for line in text.split("\n") if line.lstrip().startswith("|")]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)] for line in lines[2:]]


def code_blocks(text: str) -> list[dict]:
    "The Python in a page of Markdown, as the cells of a notebook."
    found = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [{"cell_type": "code", "source": block} for block in found]


def title_of(notebook: list[dict]) -> str:
    "The first heading of a notebook."
    texts = [cell["source"] for cell in notebook if cell["cell_type"] == "markdown"]
    found = re.search(r"^# (.+)$", "\n".join(texts), re.MULTILINE)
    return found[1].strip() if found else "?"


def box(notebook: list[dict], label: str) -> str:
    "A line of the box that opens a method notebook."
    opening = "\n".join(cell["source"] for cell in notebook[:6])
    found = re.search(rf"^> - \*\*{label}\*\* (.+)$", opening, re.MULTILINE)
    return found[1] if found else ""


def kind_of(notebook: list[dict]) -> str:
    "core, bonus or beyond."
    return (re.match(r"\w+", box(notebook, "Path")) or ["beyond"])[0].lower()


def number(stem: str) -> str:
    "`04b` of `04b_jpeg_fast`."
    return stem.partition("_")[0]


def toctrees(notebooks: dict[str, list[dict]]) -> str:
    "The hidden contents of the front page, from which the sidebar and the arrows at the foot come."
    method, experiments, course = ["reading"], [], []
    for stem, notebook in notebooks.items():
        place = order(stem)[0]
        mark = {"core": " ●", "bonus": " (bonus)"}.get(kind_of(notebook), "") if 0 <= place < 20 else ""
        part = method if place < 20 else experiments if place < 50 else course
        part += [f"{number(stem)} {title_of(notebook)}{mark} <{stem}>"] if place >= 0 else []
    parts = {"Method (● core path)": method, "Experiments": experiments, "Course": course}
    parts["Reference"] = [
        "claims",
        "glossary",
        "Index of names <genindex>",
        "contributing",
        *ADDING,
        "changelog",
    ]
    trees = []
    for caption, lines in parts.items():
        listed = "\n".join(lines)
        trees += [f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```"] if lines else []
    return "\n\n".join(trees)


def reading_path(notebooks: dict[str, list[dict]], root: Path = ROOT) -> str:
    "The reading path with minutes and seconds, from the front page's table and the notebooks' own boxes."
    learn = {}
    for row in rows(section(front(root), "Reading path")):
        for stem in re.findall(r"\[(\w+)\]\(\w+\.ipynb\)", row[1]):
            learn[stem] = row[2]
    lines, minutes = [], {"core": 0, "bonus": 0, "beyond": 0}
    for stem, notebook in notebooks.items():
        time = re.match(r"about (\d+) minutes to read; runs in about (\d+) s", box(notebook, "Time"))
        if time and order(stem)[0] < 20:
            kind = kind_of(notebook)
            minutes[kind] += int(time[1])
            name = f"[{number(stem)} {title_of(notebook)}]({stem}.ipynb)"
            name = f"**{name}**" if kind == "core" else name
            lines.append(f"| {kind} | {name} | {learn.get(stem, '')} | {time[1]} | {time[2]} |")
    hours = {kind: f"{total / 60:.0f} hours" for kind, total in minutes.items()}
    return f"""# Reading path

> Which rooms there are, what each teaches, and how long it takes.

The **core** path is the paper's method: read it in this order, about {hours["core"]}. *Bonus* rooms are
for engineers ({hours["bonus"]}); the others go beyond the paper ({hours["beyond"]}). Every room stands on
those above it, and its box says on which.

| path | notebook | you learn | minutes to read | seconds to run |
| --- | --- | --- | ---: | ---: |
{chr(10).join(lines)}

Then come the experiments: each asks one question, says beforehand what would count as an answer, and ends
with what we learn. Their pages here are executed copies. [Results](40_results.ipynb) gathers every table and
figure; [Claims](claims.md) holds every verdict.
"""


def claims_page(root: Path = ROOT) -> str:
    "Every claim with its verdict."
    from cinn_nb.claims import claims_table, stale_line

    return f"""# Claims

> Every number that this study states about itself or about the paper, with the rule's verdict.

A verdict comes from a rule in [claims.yaml](claims.yaml), not from us looking at the number: *holds*,
*fails*, *not decided* between the two, or *measured* where there is no rule. How that works:
[14c_claims](14c_claims.ipynb). The chain of records behind a claim: `cinn-run why ID`.

{claims_table(root)}

*{stale_line(root)} [Results](40_results.ipynb) names each commit.*
"""


def glossary(root: Path = ROOT) -> str:
    "Notation and terms of the front page; each term can be linked to."
    terms = []
    for term, meaning, met in rows(section(front(root), "Glossary")):
        terms.append(f"{term}\n  {meaning}. First met in {met}.")
    body = "\n\n".join(terms)
    return f"""# Notation and glossary

> One letter and one word for one thing.

## Notation

{section(front(root), "Notation")}

## Glossary

```{{glossary}}
{body}
```
"""


def notice(stem: str, path: Path, notebook: list[dict], root: Path = ROOT) -> str:
    "Where a page comes from: the module that it exports, or the run whose outputs it shows."
    source = f"`nbs/{stem}.ipynb`"
    if is_session(stem):
        how = "Placeholders run and are wrong; `make course` writes your copy, and the teacher's."
        return f"```{{note}}\nThe students' copy of a session, without outputs. {how}\n```"
    if order(stem)[0] < 20 or order(stem)[0] >= 50:
        return ""
    if path.parent.name == "nbs":
        words = "This experiment has no committed run yet: code without outputs."
    else:
        record = json.loads((path.parent / "provenance.json").read_text(encoding="utf-8"))
        commit, when = record.get("git", {}).get("commit") or "?", record.get("started") or "?"
        words = f"Executed copy: profile {record['profile']}, {when[:10]}, commit `{commit[:10]}`."
    return f"```{{note}}\n{words} Nothing was run for this page. Source: {source}.\n```"
