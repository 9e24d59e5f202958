"""The course: one source for two copies; checks fail before and pass after; sources are committed bare."""

import re

import nbformat
import pytest
from nbclient.exceptions import DeadKernelError

from conftest import ROOT, cells, notebooks, order, tiny_notebook
from cinn_nb import handout
from cinn_nb.handout import HOLE, copy_of, failures, sessions, verify

SESSIONS = sessions(ROOT / "nbs")
BRIEF = {
    "92"
}  # the shortest, run in full here; of the others, what leads to the first check (`make course` runs all)
TAGS = {"check", "predict", "instructor", "slide"}
DONE = "public checks passed"


def name(nb) -> str:
    return nb.name


def tagged(nb, tag: str) -> list[str]:
    return ["".join(c["source"]) for c in cells(nb) if tag in c["metadata"].get("tags", [])]


def test_the_generator_on_a_tiny_notebook(tmp_path):
    "From file to file: holes filled, tags obeyed, and a check that passes too early is found."
    hole = "### BEGIN SOLUTION\nx = 1\n### INSTEAD: x = 0\n### END SOLUTION"
    nb = nbformat.read(
        tiny_notebook(tmp_path / "99_tiny.ipynb", hole, "assert x == 1", "'for the teacher'"), 4
    )
    nb.cells[2].metadata["tags"], nb.cells[3].metadata["tags"] = ["check"], ["instructor"]
    student, solutions = copy_of(nb, "student"), copy_of(nb, "solutions")
    assert [cell.source for cell in student.cells[1:]] == ["# TODO: yours\nx = 0", "assert x == 1"]
    assert [cell.source for cell in solutions.cells[1:]] == ["x = 1", "assert x == 1", "'for the teacher'"]
    verify(student, solutions, tmp_path)
    nb.cells[2].source = "assert x < 2"
    with pytest.raises(AssertionError, match="student.*passes"):
        verify(copy_of(nb, "student"), copy_of(nb, "solutions"), tmp_path)


def test_what_a_closing_kernel_prints_stays_away_unless_it_died(tmp_path, capfd):
    say = "lambda: print('a last word', file=sys.__stderr__, flush=True)"
    path = tiny_notebook(tmp_path / "99_tiny.ipynb", f"import atexit, sys\natexit.register({say})")
    assert failures(nbformat.read(path, 4), tmp_path) == {}
    assert "last word" not in "".join(capfd.readouterr())
    path = tiny_notebook(tmp_path / "99_tiny.ipynb", f"import os, sys\n({say})()\nos.kill(os.getpid(), 9)")
    with pytest.raises(DeadKernelError, match="a last word"):
        failures(nbformat.read(path, 4), tmp_path)


def test_make_course_writes_all_copies_and_keeps_work(tmp_path, monkeypatch, capsys):
    hole = "### BEGIN SOLUTION\nx = 1\n### INSTEAD: x = 0\n### END SOLUTION"
    path = tiny_notebook(tmp_path / "nbs" / "91_tiny.ipynb", hole, "assert x == 1")
    source = nbformat.read(path, 4)
    source.cells[2].metadata["tags"] = ["check"]
    nbformat.write(source, path)
    monkeypatch.setattr(handout, "sessions", lambda: [path])
    monkeypatch.setattr(handout, "repo_root", lambda: tmp_path)
    handout.main(["--nbgrader"])
    made = sorted(
        p.relative_to(tmp_path / "course").as_posix() for p in (tmp_path / "course").rglob("*.ipynb")
    )
    rest = ["solutions/91_tiny.ipynb", "student/91_tiny.ipynb"]
    assert made == ["nbgrader/source/91_tiny/91_tiny.ipynb", *rest]
    assert "91_tiny.ipynb: its checks fail before and pass after" in capsys.readouterr().out
    graded = nbformat.read(tmp_path / "course" / made[0], 4).cells
    assert graded[1].source == "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"
    assert [cell.metadata.get("nbgrader", {}).get("grade") for cell in graded] == [None, False, True]
    mine = nbformat.read(tmp_path / "course" / "student" / path.name, 4)
    mine.cells[1].source = "x = 2  # my try"
    nbformat.write(mine, tmp_path / "course" / "student" / path.name)
    handout.main()
    kept = nbformat.read(tmp_path / "course" / "student" / "91_tiny.mine.ipynb", 4)
    assert kept.cells[1].source == "x = 2  # my try"


@pytest.mark.parametrize("nb", SESSIONS, ids=name)
def test_a_session_is_complete(nb):
    "Three to five tasks with a check each, guesses, notes for the teacher, slides, a discussion; no outputs."
    content = cells(nb)
    assert [i for i, cell in enumerate(content) if cell.get("outputs")] == [], "sessions are committed bare"
    assert {tag for cell in content for tag in cell["metadata"].get("tags", [])} <= TAGS
    checks, holes = tagged(nb, "check"), [c for c in content if HOLE.search("".join(c["source"]))]
    assert 3 <= len(checks) <= 5 and len(holes) >= len(checks)
    assert [check[:40] for check in checks if check.rstrip().split("\n")[-1] != f'print("{DONE}")'] == []
    assert len(tagged(nb, "predict")) >= 2 and tagged(nb, "instructor") and len(tagged(nb, "slide")) >= 4
    text = "\n".join("".join(c["source"]) for c in content if c["cell_type"] == "markdown")
    assert text.startswith(f"# Session {nb.name[1]}: ") and "## To discuss" in text
    assert len(content) <= 90 and nb.stat().st_size < 400_000


@pytest.mark.parametrize("nb", SESSIONS, ids=name)
def test_the_students_copy_holds_no_solution(nb):
    "No mark, no placeholder that lacks, no cell of the teacher's; and what replaces a hole compiles."
    source = nbformat.read(nb, 4)
    student = copy_of(source, "student", [other.name for other in SESSIONS])
    text = "\n".join(cell.source for cell in student.cells)
    assert not re.search(r"### (BEGIN|END|INSTEAD)", text)
    for cell in source.cells:
        if "instructor" in cell.metadata.get("tags", ()):
            assert cell.source not in text
        for hole in HOLE.finditer(cell.source):
            assert "### INSTEAD" in hole[2], f"no placeholder: {cell.source[:60]}"
    for cell in student.cells:
        if cell.cell_type == "code":
            compile(re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE), nb.name, "exec")


@pytest.mark.parametrize("nb", SESSIONS, ids=name)
def test_links_of_the_copies_lead_somewhere(nb):
    names = [other.name for other in SESSIONS]
    for cell in copy_of(nbformat.read(nb, 4), "student", names).cells:
        links = re.findall(r"\]\(([^)#]+)[^)]*\)", cell.source) if cell.cell_type == "markdown" else []
        far = [link for link in links if not link.startswith("http") and link not in names]
        assert [link for link in far if not (ROOT / "course" / "student" / link).resolve().exists()] == []


@pytest.mark.parametrize("nb", SESSIONS, ids=name)
def test_checks_fail_before_and_pass_after(nb, monkeypatch):
    """As handed out, the checks of a session fail and nothing else; solved, all pass.

    The sources are the solutions, and `nbdev_test` runs them; so here most students' copies run alone."""
    monkeypatch.setenv("IN_TEST", "1")
    source = nbformat.read(nb, 4)
    student = copy_of(source, "student")
    if nb.name[:2] in BRIEF:
        verify(student, copy_of(source, "solutions"), nb.parent)
        return
    first = next(cell.id for cell in student.cells if "check" in cell.metadata.get("tags", ()))
    assert failures(student, nb.parent, 1) == {first: "AssertionError"}


def test_every_exercise_has_its_solution():
    number = r"^(?:\*\*)?(\d+)\."
    for nb in [nb for nb in notebooks() if nb.name[0] in "01"]:
        text = "\n".join("".join(c["source"]) for c in cells(nb) if c["cell_type"] == "markdown")
        parts = {part.split("\n")[0]: part for part in re.split(r"^## ", text, flags=re.MULTILINE)}
        asked, solved = (re.findall(number, parts[h], re.MULTILINE) for h in ("Exercises", "Solutions"))
        assert asked and asked == solved, nb.name


def test_the_sessions_are_numbered():
    assert [nb.name[:2] for nb in SESSIONS] == [f"{number}" for number in range(91, 91 + len(SESSIONS))]
    assert sorted(SESSIONS, key=order) == SESSIONS
