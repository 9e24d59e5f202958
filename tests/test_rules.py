"""Rules of the house: order and links of the notebooks, size of their cells, words, annotations, layout."""

import ast
import re
import shutil
import subprocess

import pytest

from conftest import BIN, ROOT, cells, module_of, notebooks, order

METHOD = sorted([nb for nb in notebooks() if re.match(r"[01]\d[a-z]?_", nb.name)], key=order)
NUMBERED = sorted([nb for nb in notebooks() if nb.name[:2].isdigit()], key=order)
# Written in parts, so that a search of the tree for them does not end here.
FORBIDDEN = [
    "the user's door",
    "brought them home",
    "in full's clothes",
    "dearest",
    "in_vain",
    "every JPEG file",
]


def name(nb) -> str:
    return nb.name


def sources(nb, kind: str) -> list[tuple[int, str]]:
    "(number, source) of a notebook's cells of one kind, `code` or `markdown`."
    return [(i, "".join(c["source"])) for i, c in enumerate(cells(nb)) if c["cell_type"] == kind]


def code_lines(source: str) -> int:
    "Lines that hold something, without nbdev's directives."
    return sum(bool(line.strip()) and not line.startswith("#|") for line in source.split("\n"))


def imported(source: str) -> set[str]:
    "Tails of the modules of `cinn_nb` that import statements of a cell name."
    lines = [line for line in source.split("\n") if not line.startswith(("%", "!"))]
    found = set()
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.ImportFrom):
            full = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        else:
            continue
        found |= {path.split(".")[1] for path in full if path.startswith("cinn_nb.")}
    return found


@pytest.mark.parametrize("nb", NUMBERED, ids=name)
def test_imports_come_from_lower_notebooks(nb):
    "A letter comes after its number. A module that is looked up by a string is no import."
    places = {module_of(other): order(other) for other in METHOD}
    wrong = []
    for i, source in sources(nb, "code"):
        for module in imported(source) & set(places):
            if places[module] >= order(nb):
                wrong.append(f"cell {i} imports {module}, which comes later")
    assert wrong == []


def test_the_rule_for_imports_finds_what_it_should():
    assert imported("from cinn_nb import core, nothing") == {"core", "nothing"}
    assert imported("def f():\n    import cinn_nb.dct as d") == {"dct"}
    assert imported("'cinn_nb.jpeg'\nimport cinn_nb_else.x") == set()
    places = [order(ROOT / f"{stem}.ipynb") for stem in ("04_jpeg", "04b_jpeg_fast", "05_coupling", "index")]
    assert places == sorted(places) and len(set(places)) == 4


def test_modules_that_are_looked_up_have_their_full_name_in_a_string():
    "The fingerprint follows `cinn_nb.name` in a string; a name that is put together at run time escapes it."
    modules = sorted((ROOT / "cinn_nb").glob("*.py"))
    put_together = re.compile(r"import_module\(\s*f[\"']|__import__\(\s*f[\"']")
    assert [module.name for module in modules if put_together.search(module.read_text())] == []


@pytest.mark.parametrize("nb", METHOD, ids=name)
def test_cells_are_short(nb):
    "Exported cells at most 30 lines, others at most 40; at most 90 cells."
    long = []
    for i, source in sources(nb, "code"):
        limit = 30 if re.search(r"^#\| *export", source, re.MULTILINE) else 40
        if code_lines(source) > limit:
            first = next(line for line in source.split("\n") if line.strip() and not line.startswith("#|"))
            long.append(f"cell {i} has {code_lines(source)} lines, {limit} at most: {first[:60]}")
    assert long == []
    assert len(cells(nb)) <= 90


@pytest.mark.parametrize("nb", METHOD[:-1], ids=name)
def test_next_leads_to_the_next_notebook(nb):
    follower = METHOD[METHOD.index(nb) + 1]
    found = [
        m for _, text in sources(nb, "markdown") for m in re.findall(r"^Next:.*?\(([^)]+)\)", text, re.M)
    ]
    assert found[-1:] == [follower.name], f"the link behind 'Next:' must lead to {follower.name}"


@pytest.mark.parametrize("nb", notebooks(), ids=name)
def test_words_and_lines_that_must_not_stand_in_a_notebook(nb):
    found = []
    for kind in ("markdown", "code"):
        for i, text in sources(nb, kind):
            found += [f"cell {i}: {words!r}" for words in FORBIDDEN if words.lower() in text.lower()]
    for i, text in sources(nb, "markdown"):
        outside_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        if re.search(r"^---+\s*$", outside_code, re.MULTILINE):
            found.append(f"cell {i}: a line of dashes alone, which nbdev takes for front matter")
    assert found == []


def ruff(*args: str) -> list[str]:
    "What ruff finds, one line each."
    tool = shutil.which("ruff", path=str(BIN))
    if tool is None:
        pytest.fail("ruff is not installed beside this Python; it is one of the development requirements")
    command = [tool, "check", "--no-cache", "--output-format", "concise", "--quiet", *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("nb", notebooks(), ids=name)
def test_layout_of_a_notebook(nb):
    assert ruff(f"nbs/{nb.name}") == []


def test_layout_of_the_tests():
    assert ruff("tests") == []


def test_public_functions_are_annotated():
    "Arguments and return of all that is public in `cinn_nb`; private functions and nested ones are free."
    missing = []
    for path in sorted((ROOT / "cinn_nb").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for owner in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
            prefix = "" if owner is tree else f"{owner.name}."
            if prefix.startswith("_"):
                continue
            for function in owner.body:
                if isinstance(function, ast.FunctionDef):
                    missing += [f"{path.name}: {prefix}{text}" for text in bare(function)]
    assert missing == []


def bare(function: ast.FunctionDef) -> list[str]:
    "What is not annotated in a public function or method; nothing for a private one."
    special = re.fullmatch(r"__\w+__", function.name)
    if function.name.startswith("_") and not special:
        return []
    taken = function.args
    plain = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]
    named = [arg for arg in plain if arg is not None and arg.arg not in ("self", "cls", "_")]
    lacking = [f"{function.name}({arg.arg})" for arg in named if arg.annotation is None]
    if function.returns is None and function.name != "__init__":
        lacking.append(f"{function.name}() -> ?")
    return lacking


def test_the_rule_for_annotations_finds_what_it_should():
    tree = ast.parse("def f(a, *b: int, c: str = '') -> int: ...\ndef _g(a): ...\ndef __len__(self): ...")
    assert [bare(function) for function in tree.body] == [["f(a)"], [], ["__len__() -> ?"]]


@pytest.mark.parametrize("nb", METHOD, ids=name)
def test_every_method_notebook_opens_alike(nb):
    "What you learn, what you need, how long, and the path; the same path as in the front page's table."
    opening = "\n".join(source for _, source in sources(nb, "markdown")[:6])
    found = re.findall(r"^> - \*\*(You will learn|You need|Time|Path)\*\* (.+)$", opening, re.MULTILINE)
    assert [label for label, _ in found] == ["You will learn", "You need", "Time", "Path"]
    assert re.match(r"about \d+ minutes to read; runs in about \d+ s on a CPU", dict(found)["Time"])
    row = re.search(
        rf"\| (\w+) \| \[{nb.stem}\]",
        "\n".join(s for _, s in sources(ROOT / "nbs" / "index.ipynb", "markdown")),
    )
    assert row and dict(found)["Path"].startswith(row[1])
