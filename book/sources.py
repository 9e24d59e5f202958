"""From notebooks to pages of the book: directives, links, alternative texts, definitions. Runs nothing."""

import ast
import json
import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


MOVED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md#glossary": "glossary.md",
}


class BookError(ValueError):
    "What stops the build: one line for each fault."


def settings(root: Path = ROOT) -> dict[str, str]:
    "What settings.ini says."
    ini = ConfigParser(delimiters=["="])
    ini.read(root / "settings.ini", encoding="utf-8")
    return dict(ini["DEFAULT"])


def cells(path: Path) -> list[dict]:
    "A notebook's cells, each with its source as one text; of a session of the course what students get."
    content = json.loads(path.read_text(encoding="utf-8"))
    found = [cell | {"source": "".join(cell["source"])} for cell in content["cells"]]
    return students(found) if is_session(path.stem) else found


def tags(cell: dict) -> list[str]:
    "The tags of a cell."
    return cell.get("metadata", {}).get("tags", [])


def is_session(stem: str) -> bool:
    "Whether a notebook is a session of the course, 91 to 96."
    return 91 <= order(stem)[0] <= 96


def students(notebook: list[dict]) -> list[dict]:
    "A session as handed out: holes instead of solutions, no outputs, nothing for the teacher."
    from cinn_nb.handout import filled

    kept = [dict(cell) for cell in notebook if "instructor" not in tags(cell)]
    for cell in kept:
        if cell["cell_type"] == "code":
            cell |= {"source": filled(cell["source"], "student"), "outputs": []}
    return kept


def order(stem: str) -> tuple[int, str]:
    "A notebook's place: number, then letter. The front page comes first."
    found = re.match(r"(\d\d)([a-z]?)_", stem)
    return (int(found[1]), found[2]) if found else (-1, "")


def pages(root: Path = ROOT) -> dict[str, Path]:
    "Name of each page -> the notebook behind it; the executed copy of an experiment where there is one."
    found = {path.stem: path for path in (root / "nbs").glob("*.ipynb")}
    for stem in found:
        executed = root / "data" / "results" / stem / f"{stem}.ipynb"
        if executed.is_file() and int(order(stem)[0]) in range(20, 50):
            found[stem] = executed
    return dict(sorted(found.items(), key=lambda item: order(item[0])))


# --- directives ---


def directives(source: str) -> tuple[set[str], str]:
    "nbdev's directives at the top of a cell, as `export` or `echo:true`, and the code below them."
    lines, flags = source.split("\n"), set()
    while lines and (lines[0].startswith("#|") or (flags and not lines[0].strip())):
        flags.add(re.sub(r"\s*:\s*", ":", lines.pop(0)[2:].strip()))
    return flags - {""}, "\n".join(lines).strip("\n")


def bare_dashes(text: str) -> bool:
    "Whether prose holds a line of dashes alone, which nbdev and MyST take for front matter or a rule."
    outside = re.sub(r"^(```+|~~~+).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.search(r"^---+\s*$", outside, re.MULTILINE) is not None


def relink(text: str) -> str:
    "Links as they lead inside the book, where all pages lie in one folder and the files beside them."
    text = re.sub(r"\]\((?:\.\./)*data/results/\w+/(\w+\.ipynb)", r"](\1", text)
    text = re.sub(r"\]\((?:\.\./)*nbs/(\w+\.ipynb)", r"](\1", text)
    text = re.sub(r"\]\((?:\.\./)*book/adding/(\w+)\.md", r"](adding_\1.md", text)
    text = re.sub(r"""(\]\(|src=["']|href=["'])(?:\.\./)+""", r"\1", text)
    for old, new in MOVED.items():
        text = text.replace(f"]({old}", f"]({new}")
    return text


# --- definitions and the names that lead to them ---


def parsed(source: str) -> ast.Module:
    "A cell's code; lines for the shell and for IPython do not count."
    return ast.parse("\n".join("" if re.match(r"\s*[%!]", line) else line for line in source.split("\n")))


def definitions(code: str) -> list[tuple[str, str]]:
    "(kind in Sphinx's Python domain, name) of each public function, class, method and constant of a cell."
    found = []
    for node in parsed(code).body:
        if isinstance(node, ast.FunctionDef):
            found.append(("function", node.name))
        elif isinstance(node, ast.ClassDef):
            found.append(("class", node.name))
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            found += [("method", f"{node.name}.{name}") for name in methods]
        elif isinstance(node, ast.Assign):
            found += [("data", target.id) for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append(("data", node.target.id))
    return [(kind, name) for kind, name in found if not re.search(r"(^|\.)_", name)]


def imports(code: str) -> dict[str, tuple[str, str]]:
    "Name here -> (module of `cinn_nb`, name there), for what a cell imports."
    found = {}
    for node in ast.walk(parsed(code)):
        if not isinstance(node, ast.ImportFrom):
            continue
        module = re.fullmatch(r"(?:cinn_nb\.)?(\w+)", node.module or "")
        if module and (node.level == 1 or (node.module or "").startswith("cinn_nb.")):
            found |= {alias.asname or alias.name: (module[1], alias.name) for alias in node.names}
    return found


def local_names(code: str) -> set[str]:
    "Arguments, and names that a cell gives a value: there, a name may mean something else than elsewhere."
    nodes = list(ast.walk(parsed(code)))
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.arg for node in nodes if isinstance(node, ast.arg)}


def module_of(notebook: list[dict]) -> str:
    "The module that a notebook exports, or nothing."
    for cell in notebook:
        for flag in directives(cell["source"])[0]:
            if flag.startswith("default_exp"):
                return flag.split()[-1]
    return ""


def exported(flags: set[str]) -> bool:
    "Whether a cell goes into the package."
    return any(re.match(r"exporti?\b", flag) for flag in flags)


def name_links(notebooks: dict[str, list[dict]]) -> dict[str, dict[str, str]]:
    """Page -> {name: page and anchor of its definition}, for the names that a page defines or imports.

    A name that also stands for a variable on that page has a bracket behind it: only its calls are linked."""
    defined, imported, own, home, local = {}, {}, {}, {}, {}
    for stem, notebook in notebooks.items():
        module = module_of(notebook)
        home |= {module: stem} if module else {}
        own[stem], imported[stem], local[stem] = {}, {}, set()
        for cell in notebook:
            if cell["cell_type"] != "code":
                continue
            flags, code = directives(cell["source"])
            imported[stem] |= imports(code)
            local[stem] |= local_names(code)
            if module and exported(flags):
                names = [name for kind, name in definitions(code) if kind != "method"]
                defined |= {(module, name): f"{stem}.html#cinn_nb.{module}.{name}" for name in names}
                own[stem] |= {name: (module, name) for name in names}
                local[stem] -= {name for kind, name in definitions(code) if kind == "data"}

    def target(place: tuple[str, str], depth: int = 0) -> str:
        "Where something is defined: here, or where the module itself took it from."
        module, name = place
        onward = imported.get(home.get(module, ""), {}).get(name)
        if place in defined or onward is None or depth > 5:
            return defined.get(place, "")
        return target(onward, depth + 1)

    links = {}
    for stem in notebooks:
        found = {name: target(place) for name, place in (imported[stem] | own[stem]).items()}
        called = {name: "(" * (name in local[stem] and not name.isupper()) for name in found}
        links[stem] = {name + called[name]: place for name, place in found.items() if place}
        links[stem] |= {f"cinn_nb.{module}": f"{page}.html" for module, page in home.items()}
    return links


# --- pictures and their alternative texts ---


def is_picture(output: dict) -> bool:
    "Whether an output shows a picture."
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def figure_key(cell: dict) -> str:
    "What the table of alternative texts calls a cell: the name under which it reports its figure, or its id."
    names = re.findall(r"""\bfigure\(\w+, ["'](\w+)["']""", cell["source"])
    return names[-1] if names else cell["id"]


def read_alt(root: Path = ROOT) -> dict[str, dict[str, str | list[str]]]:
    "Notebook -> {key of a cell: its text, or one text a picture}, from book/alt/*.yaml."
    import yaml

    files = sorted((root / "book" / "alt").glob("*.yaml"))
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in files}


def alt_texts(cell: dict, table: dict[str, str | list[str]]) -> list[str]:
    """The texts of a cell's pictures: from `#| fig-alt: ...` in it, else from the table; "" for none."""
    count = sum(map(is_picture, cell.get("outputs", [])))
    here = [flag[8:].strip(" \"'") for flag in directives(cell["source"])[0] if flag.startswith("fig-alt:")]
    given = here or table.get(figure_key(cell), table.get(cell["id"], []))
    texts = [given] if isinstance(given, str) else list(given)
    return [" ".join(text.split()) for text in texts[:count]] + [""] * (count - len(texts))


# --- faults of a notebook, and its page ---


def shown(cell: dict) -> bool:
    "Whether a code cell appears in the book."
    flags, code = directives(cell["source"])
    return "hide" not in flags and (bool(code) or bool(cell.get("outputs")))


def faults(stem: str, notebook: list[dict], table: dict[str, str | list[str]]) -> list[str]:
    "What must be mended before a notebook can become a page."
    found = []
    for i, cell in enumerate(notebook):
        where = f"{stem}, cell {i} ({cell.get('id', '?')})"
        if cell["cell_type"] == "markdown":
            if bare_dashes(cell["source"]):
                found.append(f"{where}: a line of dashes alone")
            if re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=[\"'][^\"'])", cell["source"]):
                found.append(f"{where}: a picture without an alternative text")
        elif cell["cell_type"] == "code" and shown(cell):
            lacking = alt_texts(cell, table).count("")
            if lacking:
                key = figure_key(cell)
                found.append(
                    f"{where}: no alternative text for {lacking} picture(s): book/alt/{stem}.yaml, {key}"
                )
    return found


def targets(code: str, module: str, seen: set[str]) -> str:
    "Invisible targets for what a cell defines, in Sphinx's Python domain; nothing for what has one already."
    first = f"```{{py:module}} cinn_nb.{module}\n:no-typesetting:\n```" if not seen else ""
    lines = [first or f"```{{py:currentmodule}} cinn_nb.{module}\n```"]
    for kind, name in definitions(code):
        if name not in seen:
            seen.add(name)
            call = "()" if kind in ("function", "method") else ""
            lines.append(f"```{{py:{kind}}} {name}{call}\n:no-typesetting:\n```")
    return "\n\n".join(lines) if len(lines) > 1 else ""


def code_cells(cell: dict, texts: list[str]) -> list[dict]:
    "A code cell of the book; one with several pictures becomes several cells, for each has its own text."
    flags, code = directives(cell["source"])
    tags = ["exported"] * exported(flags) + ["remove-input"] * (not code or "echo:false" in flags)
    tags += ["remove-output"] * ("output:false" in flags)
    parts, made = [[]], []
    for output in cell["outputs"]:
        if is_picture(output) and any(map(is_picture, parts[-1])):
            parts.append([])
        parts[-1].append(linked(output))
    for i, outputs in enumerate(parts):
        meta = {"tags": tags if i == 0 else ["remove-input"]}
        if any(map(is_picture, outputs)):
            meta["mystnb"] = {"image": {"alt": texts[i]}}
        made.append(
            {**cell, "source": code, "metadata": meta, "outputs": outputs, "id": f"{cell['id']}{i or ''}"}
        )
    return made


def linked(output: dict) -> dict:
    "An output; links in its Markdown lead to pages, for Sphinx resolves none in outputs."
    data = output.get("data", {})
    if "text/markdown" not in data:
        return output
    text = re.sub(r"\]\((\w+)\.ipynb", r"](\1.html", relink("".join(data["text/markdown"])))
    return {**output, "data": {**data, "text/markdown": text}}


def front_cells(cell: dict) -> list[dict]:
    "A code cell of the front page: only what it says, as prose, so that its headings count."
    texts = ["".join(output.get("data", {}).get("text/markdown", "")) for output in cell["outputs"]]
    return [prose(relink(text), f"{cell['id']}{i}") for i, text in enumerate(texts) if text]


def page(stem: str, notebook: list[dict], table: dict[str, str | list[str]], notice: str = "") -> dict:
    "The notebook that Sphinx reads: what a reader of the book sees, with a notice below the title."
    module, made, seen = module_of(notebook), [], set()
    for cell in notebook:
        if cell["cell_type"] == "markdown":
            if cell["source"].strip() != "## Export -":
                made.append({**cell, "source": relink(cell["source"]), "metadata": {}})
        elif cell["cell_type"] == "code" and shown(cell):
            flags, code = directives(cell["source"])
            if module and exported(flags) and (marks := targets(code, module, seen)):
                made.append(prose(marks, f"t-{cell['id']}"))
            made += front_cells(cell) if stem == "index" else code_cells(cell, alt_texts(cell, table))
    if notice:
        made.insert(1, prose(notice, "notice"))
    return {"cells": made, "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}


KERNEL = {"name": "python3", "display_name": "python3", "language": "python"}


def prose(text: str, cell_id: str) -> dict:
    "A Markdown cell."
    return {"cell_type": "markdown", "id": cell_id, "metadata": {}, "source": text}
