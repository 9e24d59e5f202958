"""The runner and the Snakefile as commands, parameters, places of runs, and the hash over reachable code."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from cinn_nb.provenance import code_of
from cinn_nb.study import check_parameters, main, parameters_of, variant_of
from conftest import BIN, ROOT, command, tiny_notebook


def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path):
    nb = tiny_notebook(
        tmp_path / "50_x.ipynb",
        f"open({str(tmp_path / 'ran')!r}, 'w')",
        parameters="epochs: int = 1  # passes over the data",
    )
    done = command("cinn-run", nb, tmp_path / "out" / "x.ipynb", "-p", "epoch", 3)
    assert done.returncode == 2
    assert done.stderr == "Error: 50_x.ipynb: no parameter 'epoch' (did you mean 'epochs'?); it has epochs\n"
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


def test_a_failing_notebook_is_kept_and_fails_the_command(tmp_path):
    nb = tiny_notebook(
        tmp_path / "50_x.ipynb",
        "print('so far, so good', flush=True)",
        "raise RuntimeError('no crops')",
        "print('never')",
    )
    done = command("cinn-run", nb, tmp_path / "out" / "x.ipynb")
    assert done.returncode == 1
    assert "so far, so good" in done.stdout
    assert (
        "RuntimeError: no crops" in done.stderr and "cell [2]" in done.stderr and "never" not in done.stdout
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.failed.ipynb"]


def test_a_run_passes_values_and_leaves_no_machine_path(tmp_path):
    nb = tiny_notebook(
        tmp_path / "50_x.ipynb",
        "from pathlib import Path",
        "print(Path.cwd(), Path.home() / 'scan.png', n)",
        parameters="n: int = 1  # how many",
    )
    done = command("cinn-run", nb, tmp_path / "out" / "x.ipynb", "-p", "n", 7)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "x.ipynb").read_text()
    assert "~/scan.png 7" in text
    assert (
        str(ROOT) not in text
        and str(tmp_path) not in text
        and "papermill" not in json.loads(text)["metadata"]
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.ipynb"]


def snakemake(tree, *args):
    triggers = ["--rerun-triggers", "mtime", "params", "input"]
    options = ["--cores", 1, *triggers, "--quiet", "host"]
    return command("snakemake", *options, *args, cwd=tree, PYTHONPATH=str(tree))


def planned(done) -> set[str]:
    return set(re.findall(r"^(?:local)?rule (\d\w+):", done.stdout + done.stderr, re.MULTILINE))


EXPERIMENT = """
from cinn_nb.study import begin
report = begin({name!r}, globals())
(report.folder / 'metrics.csv').write_text(f'{text},{{n}}\\n')
report.finish()
"""


def test_only_what_changed_runs_again(tmp_path):
    """The real Snakefile over two tiny experiments.

    Prose, time stamps and trials run nothing; code does, and so does what reads its result."""
    tree = tmp_path / "tree"
    (tree / "cinn_nb" / "weights").mkdir(parents=True)
    weights = tree / "cinn_nb" / "weights" / "a.safetensors"
    weights.write_bytes(b"a")
    shutil.copy(ROOT / "settings.ini", tree / "settings.ini")
    for name in ("__init__", "core", "provenance", "study"):
        shutil.copy(ROOT / "cinn_nb" / f"{name}.py", tree / "cinn_nb" / f"{name}.py")
    needs = 'needs=[], reads=["cinn_nb/weights"], writes=["metrics.csv"], figures=[]'
    table = f'EXPERIMENTS = {{"20_a": dict({needs}),\n'
    table += '"40_b": dict(needs=["20_a"], reads=[], writes=[], figures=[])}\n'
    head, _, tail = (ROOT / "Snakefile").read_text().partition("EXPERIMENTS = {")
    (tree / "Snakefile").write_text(head + table + tail.partition("\n}\n")[2])
    parameters = "profile: str = 'quick'  # size\nn: int = 1  # how many [1..9]"
    a, b = (EXPERIMENT.format(name=name, text="x") for name in ("20_a", "40_b"))
    tiny_notebook(tree / "nbs" / "20_a.ipynb", a, parameters=parameters)
    tiny_notebook(tree / "nbs" / "40_b.ipynb", b, parameters=parameters)
    first = snakemake(tree)
    assert first.returncode == 0, first.stdout + first.stderr
    made = sorted(path.name for path in (tree / "runs" / "quick" / "20_a").iterdir())
    assert [re.sub("-[0-9a-f]{12}$", "", name) for name in made] == [
        "20_a.ipynb",
        "done",
        "metrics.csv",
        "provenance.json",
    ]

    tiny_notebook(tree / "nbs" / "20_a.ipynb", a, parameters=parameters, prose="A better question.")
    weights.touch()
    trial = command("cinn-run", "nbs/20_a.ipynb", "-p", "n", 2, cwd=tree, PYTHONPATH=str(tree))
    assert trial.returncode == 0, trial.stderr
    assert (tree / "runs" / "quick" / "20_a@n=2" / "metrics.csv").read_text() == "x,2\n"
    assert (tree / "runs" / "quick" / "20_a" / "metrics.csv").read_text() == "x,1\n"
    again = snakemake(tree, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr

    tiny_notebook(tree / "nbs" / "40_b.ipynb", b.replace("x,", "y,"), parameters=parameters)
    changed = snakemake(tree, "-n")
    assert planned(changed) == {"40_b"}, changed.stdout + changed.stderr

    weights.write_bytes(b"b")
    changed = snakemake(tree, "-n")
    assert planned(changed) == {"20_a", "40_b"}, changed.stdout + changed.stderr


def test_every_rule_wants_the_seal_and_one_thread():
    "The seal, with the fingerprint in its name, stands among the outputs of each rule."
    text = (ROOT / "Snakefile").read_text()
    assert (
        "SEAL[name]" in text.partition("output:")[2] and "list(SEAL.values())" in text.partition("output:")[0]
    )
    assert "threads: 1\n" in text and "workflow.cores" not in text


# --- parameters ---

PARAMETERS = """profile: str = "quick"  # size
device: str = "auto"  # where
step: int = 5  # step of a grid [1..90]
strength: float = 1.0  # a factor [> 0]
model: str = "cinn"  # a name
names: list = ["a"]  # some names
grid: list = [50]  # qualities [1..100]
quiet: bool = False  # say less"""

WRONG = [
    ("step", "five"),
    ("step", "0"),
    ("step", "91"),
    ("step", "5.0"),
    ("step", "True"),
    ("step", "None"),
    ("step", "[5]"),
    ("step", "nan"),
    ("strength", "0"),
    ("strength", "inf"),
    ("strength", "1e999"),
    ("strength", "nan"),
    ("strength", "true"),
    ("model", "5"),
    ("model", "[1, 2]"),
    ("model", "None"),
    ("names", "a"),
    ("names", "(1, 2)"),
    ("grid", "[50, 0]"),
    ("grid", "['50']"),
    ("quiet", "1"),
    ("quiet", "yes"),
    ("profile", "quik"),
    ("profil", "quick"),
    ("device", "gpu"),
]


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    return tiny_notebook(tmp_path_factory.mktemp("nb") / "50_many.ipynb", "1", parameters=PARAMETERS)


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda text: text)
def test_a_wrong_value_ends_in_one_line_before_a_kernel_starts(many, capsys, name, value):
    with pytest.raises(SystemExit) as ended:
        main([str(many), "-p", name, value])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert re.fullmatch(r"Error: 50_many\.ipynb: .*\n", said.err) and name in said.err and said.out == ""


FILES = {
    "step: five": "step is 'five'",
    "strength: .nan": "strength is nan",
    "quiet: 1": "quiet is 1",
    "stp: 5": "no parameter 'stp' (did you mean 'step'?)",
    "1: 5": "no parameter 1",
    "step: 5\nstep: 6": "step is given twice",
    "[step, 5]": "one mapping",
    "": "one mapping",
    "step: [": "no YAML or JSON file",
}


@pytest.mark.parametrize("text", FILES, ids=repr)
def test_a_wrong_file_of_parameters_ends_in_one_line(many, capsys, tmp_path, text):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(SystemExit) as ended:
        main([str(many), "-f", str(tmp_path / "p.yaml")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"Error: .*\n", said) and FILES[text] in said


def test_a_parameter_given_twice_and_a_missing_file_are_refused(many, capsys, tmp_path):
    for args in (["-p", "step", "5", "-p", "step", "5"], ["-f", str(tmp_path / "none.yaml")]):
        with pytest.raises(SystemExit) as ended:
            main([str(many), *args])
        assert ended.value.code == 2
        assert re.fullmatch(r"Error: .*(twice|no file).*\n", capsys.readouterr().err)


def test_right_values_are_taken(many):
    right = dict(
        profile="medium", device="cpu", step=90, strength=2, model="x/y.safetensors", names=[], quiet=True
    )
    check_parameters(many, right)
    assert (
        variant_of(many, dict(strength=2, device="cpu"))
        == variant_of(many, dict(strength=2.0))
        == "strength=2"
    )


def test_parameters_of_the_experiments_can_be_read():
    for nb in sorted((ROOT / "nbs").glob("[2-4]*.ipynb")):
        known = parameters_of(nb)
        check_parameters(nb, {name: p.default for name, p in known.items()})
        assert known["profile"].default == "quick" and all(p.help for p in known.values()), nb.name


def test_without_papermill_one_line_says_what_to_install(many):
    "As after `pip install cinn-nb` alone: the packages of the extras are not to be found."
    hide = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in ('papermill', 'ipykernel') else find(name, *a)
from cinn_nb.study import main
main(sys.argv[1:])"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", hide, str(many)], cwd=ROOT, capture_output=True, text=True, env=env
    )
    assert done.returncode == 1
    assert re.fullmatch(r"Error: papermill is missing; .*pip install 'cinn-nb\[study\]'\n", done.stderr)


# --- places ---


def test_two_runs_at_once_and_a_killed_one(tmp_path):
    "The second is refused and deletes nothing; after kill -9 the place is free."
    (tmp_path / "settings.ini").write_text("[DEFAULT]\nrequirements = numpy\n")
    wait = "import time\nopen('begun', 'w')\nwhile not __import__('os').path.exists('go'): time.sleep(0.05)"
    tiny_notebook(
        tmp_path / "nbs" / "50_x.ipynb",
        wait,
        EXPERIMENT.format(name="50_x", text="x"),
        parameters="n: int = 1",
    )
    start = [str(BIN / "cinn-run"), "nbs/50_x.ipynb"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(start, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until(lambda: (tmp_path / "begun").exists())
    second = command("cinn-run", "nbs/50_x.ipynb", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert second.returncode == 1 and re.fullmatch(r"Error: 50_x is running already.*\n", second.stderr)
    first.kill()
    first.wait()
    (tmp_path / "go").touch()
    third = command("cinn-run", "nbs/50_x.ipynb", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert third.returncode == 0, third.stderr
    assert (tmp_path / "runs" / "quick" / "50_x" / "metrics.csv").read_text() == "x,1\n"


def until(what, seconds: float = 120) -> None:
    end = time.time() + seconds
    while not what():
        assert time.time() < end, "waited too long"
        time.sleep(0.05)


def test_papermill_and_other_runners_get_the_place_of_trials(tmp_path):
    (tmp_path / "settings.ini").write_text("[DEFAULT]\nrequirements = numpy\n")
    tiny_notebook(
        tmp_path / "nbs" / "50_x.ipynb", EXPERIMENT.format(name="50_x", text="x"), parameters="n: int = 1"
    )
    for n, place in ((1, "50_x@trial"), (2, "50_x@n=2")):
        bare = ["nbs/50_x.ipynb", "o.ipynb", "-p", "n", n, "--cwd", ".", "--no-progress-bar"]
        done = command("papermill", *bare, cwd=tmp_path, PYTHONPATH=str(ROOT))
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "runs" / "quick" / place / "metrics.csv").read_text() == f"x,{n}\n"
    assert not (tmp_path / "runs" / "quick" / "50_x").exists()


# --- code_of ---

LOW = "STEP = 2\nOTHER = 3\n\ndef scaled(x):\n    return STEP * x\n\ndef unused(x):\n    return OTHER * x\n"
# what: (source of the module `top`, what is changed in `low`, is it noticed)
REACHED = {
    "from-import": ("from cinn_nb.low import scaled\ndef f(x): return scaled(x)", "STEP = 2", True),
    "relative import": ("from .low import scaled as s\ndef f(x): return s(x)", "STEP = 2", True),
    "another definition": ("from cinn_nb.low import scaled\ndef f(x): return scaled(x)", "OTHER = 3", False),
    "imported, not used": ("from cinn_nb.low import scaled\ndef f(x): return x", "STEP = 2", False),
    "import inside": ("def f(x):\n    from .low import scaled\n    return scaled(x)", "STEP = 2", True),
    "module inside": ("def f(x):\n    from . import low\n    return low.scaled(x)", "STEP = 2", True),
    "module inside, other": (
        "def f(x):\n    from . import low\n    return low.scaled(x)",
        "OTHER = 3",
        False,
    ),
    "attribute of a module": ("import cinn_nb.low as m\ndef f(x): return m.scaled(x)", "STEP = 2", True),
    "attribute, other": ("import cinn_nb.low as m\ndef f(x): return m.scaled(x)", "OTHER = 3", False),
    "full name": ("import cinn_nb.low\ndef f(x): return cinn_nb.low.scaled(x)", "STEP = 2", True),
    "module as an object": ("from cinn_nb import low\ndef f(x): return getattr(low, x)", "OTHER = 3", True),
    "string": ("def f(x): return import_module('cinn_nb.low')", "OTHER = 3", True),
    "sentence": ("def f(x): return 'cinn_nb.low is a module'", "OTHER = 3", False),
    "star": ("from .low import *\ndef f(x): return scaled(x)", "STEP = 2", True),
    "decorator": ("from .low import scaled\n@scaled\ndef f(x): return x", "STEP = 2", True),
    "decorator's argument": ("from .low import STEP\n@wrap(STEP)\ndef f(x): return x", "STEP = 2", True),
    "default": ("from .low import STEP\ndef f(x=STEP): return x", "STEP = 2", True),
    "class body": ("from .low import STEP\nclass f:\n    n = STEP", "STEP = 2", True),
    "base class": ("from .low import scaled\nclass g: n = scaled(1)\nclass f(g): pass", "STEP = 2", True),
    "method": ("from .low import scaled\nclass f:\n    def go(self): return scaled(1)", "STEP = 2", True),
    "constant": ("from .low import STEP\nN = STEP + 1\ndef f(x): return N", "STEP = 2", True),
    "unpacked": ("from .low import STEP\nA, (N, *B) = g(STEP)\ndef f(x): return B", "STEP = 2", True),
    "annotated": ("from .low import STEP\nN: int = STEP\ndef f(x): return N", "STEP = 2", True),
    "filled table": (
        "from .low import scaled\nT = {}\nT['a'] = scaled\ndef f(x): return T[x]",
        "STEP = 2",
        True,
    ),
    "update": (
        "from .low import scaled\nT = {}\nT.update(a=scaled)\ndef f(x): return T[x]",
        "STEP = 2",
        True,
    ),
    "loop": (
        "from .low import STEP\nT = {}\nfor i in (1, STEP):\n    T[i] = i\ndef f(x): return T",
        "STEP = 2",
        True,
    ),
    "condition": ("from .low import STEP\nif STEP > 1:\n    N = 1\ndef f(x): return N", "STEP = 2", True),
    "attribute set": ("from .low import STEP\ndef f(x): return f.n\nf.n = STEP", "STEP = 2", True),
    "setattr": ("from .low import STEP\nclass f: pass\nsetattr(f, 'n', STEP)", "STEP = 2", True),
    "lone call": ("from .low import scaled\nscaled(1)\ndef f(x): return x", "STEP = 2", True),
    "try": (
        "try:\n    from .low import scaled as s\nexcept ImportError:\n    s = 1\ndef f(x): return s",
        "STEP = 2",
        True,
    ),
    "argument's name": (
        "from .low import unused\ndef f(unused): return unused",
        "OTHER = 3",
        True,
    ),  # too much
    "keyword's name": ("from .low import unused\ndef f(x): return dict(unused=1)", "OTHER = 3", False),
    "registered": (
        (
            "from .low import unused\nT = {}\ndef register(g):\n    T[g.__name__] = g\n    return g\n"
            "@register\ndef other(x): return unused(x)\n@register\ndef f(x): return x"
        ),
        "OTHER = 3",
        False,
    ),
    "another table": (
        "from .low import scaled\nT = {}\nU = {}\nT.update(a=scaled)\ndef f(x): return U",
        "STEP = 2",
        False,
    ),
    "another's call": (
        "from .low import scaled\ndef g(x): pass\ng(scaled)\ndef f(x): return x",
        "STEP = 2",
        False,
    ),
    "import in a class": ("class f:\n    from .low import STEP", "STEP = 2", True),
    "table of registered": (
        (
            "from .low import unused\nT = {}\ndef register(g):\n    T[g.__name__] = g\n    return g\n"
            "@register\ndef other(x): return unused(x)\ndef f(x): return T[x]"
        ),
        "OTHER = 3",
        False,
    ),
}


def in_package(folder: Path, **modules: str) -> Path:
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    return folder


@pytest.mark.parametrize("what", REACHED)
def test_code_of_follows_names(tmp_path, what):
    top, changed, wanted = REACHED[what]
    before = code_of("cinn_nb.top:f", package=in_package(tmp_path, low=LOW, top=top))
    assert changed in LOW
    in_package(tmp_path, low=LOW.replace(changed, changed + "1"))
    after = code_of("cinn_nb.top:f", package=tmp_path)
    assert (before != after) == wanted
    assert not wanted or {home for home in after if before.get(home) != after[home]} == {"low"}


def test_code_of_is_blind_to_layout_and_sees_what_an_import_means(tmp_path):
    top = (
        "import numpy as np\nfrom math import floor as cut\ndef f(x):\n    return cut(np.sum(x))\nLAST = 1\n"
    )
    before = code_of("cinn_nb.top:f", package=in_package(tmp_path, top=top))
    body = 'def f(x):  # f\n    "F."\n    return cut( np.sum(x) )\n'
    same = f'"A module."\nLAST = 1\nimport numpy as np\nfrom math import floor as cut\n\n\n{body}'
    assert code_of("cinn_nb.top:f", package=in_package(tmp_path, top=same)) == before
    other = top.replace("floor as cut", "ceil as cut")
    assert code_of("cinn_nb.top:f", package=in_package(tmp_path, top=other)) != before


def test_code_of_objects():
    from cinn_nb import jpeg, reed_solomon

    code = code_of(reed_solomon.RSCode)
    assert set(code) == {"reed_solomon"} and re.fullmatch("[0-9a-f]{12}", code["reed_solomon"])
    coder = reed_solomon.RSCode(32, 16)
    assert code_of(coder) == code_of(coder.encode) == code_of(functools.partial(coder.encode, b"")) == code
    assert set(code_of([coder, {"a": jpeg.jpeg_file}])) >= {"jpeg", "dct", "reed_solomon"}
    assert code_of(len, 5, "".join, json) == {}
    with pytest.raises(ValueError, match="there is no 'cinn_nb.jpeg:nothing'"):
        code_of("cinn_nb.jpeg:nothing")


def test_code_of_functions_in_a_notebook(monkeypatch):
    source = (
        "from cinn_nb.reed_solomon import RSCode\nN = 32\n\ndef coded(x):\n    return RSCode(N,"
        " 16).encode(x)\n\ndef picture(x):\n    return x\n\nprint(picture(3))\nrows = [picture(i) for i in"
        " range(3)]\n"
    )
    module = types.ModuleType("notebook_21")
    module.__file__, module.__cinn_source__ = str(ROOT / "nbs" / "50_probe.ipynb"), source
    monkeypatch.setitem(sys.modules, "notebook_21", module)
    exec(source, module.__dict__)
    before = code_of(module.coded)
    assert set(before) == {"50_probe", "reed_solomon"}
    module.__cinn_source__ = source.replace("return x\n\nprint", "return 2 * x\n\nprint")
    assert code_of(module.coded) == before != code_of(module)
    module.__cinn_source__ = source.replace("N = 32", "N = 24")
    assert code_of(module.coded)["50_probe"] != before["50_probe"]


def test_code_of_a_nameless_function_is_all_of_its_module(monkeypatch):
    source = "N = 32\nUNUSED = 1\nTABLE = {'f': lambda x: N * x}\n"
    module = types.ModuleType("notebook_22")
    module.__file__, module.__cinn_source__ = "50_probe.ipynb", source
    monkeypatch.setitem(sys.modules, "notebook_22", module)
    exec(source, module.__dict__)
    before = code_of(module.TABLE["f"])
    module.__cinn_source__ = source.replace("UNUSED = 1", "UNUSED = 2")
    assert code_of(module.TABLE["f"]) != before


def test_code_of_refuses_what_has_no_saved_source():
    def here(x):
        return x

    here.__module__ = "__main__"
    with pytest.raises(ValueError, match="defined in this session"):
        code_of(here)
