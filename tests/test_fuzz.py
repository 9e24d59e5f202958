"""A few damaged files for every command; `python tests/fuzz.py --files 10000` tries many more."""

import random

import fuzz
import pytest


def test_a_whole_file_is_read_and_a_damaged_one_is_another():
    whole = fuzz.pictures()
    draw = random.Random(0)
    assert sum(fuzz.damaged(data, draw) != data for data, _ in whole.values()) >= len(whole) - 1


def test_faults_are_seen(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"no image")
    assert fuzz.faults(path, "extract", False) == []

    def noisy(argv, key=None):
        print("one\ntwo", file=fuzz.sys.stderr)
        print("garbage")
        (tmp_path / "left.png").touch()
        return 2 if argv[0] == "embed" else 0

    monkeypatch.setattr("cinn_nb.cli.main", noisy)
    said = " ".join(fuzz.faults(path, "embed", False))
    assert "2 lines" in said and "left.png" in said and "printed 'garbage" in said
    assert "wrote ['left.png']" in " ".join(fuzz.faults(path, "capacity", True))
    (tmp_path / "left.png").touch()
    assert "read 'garbage" in " ".join(fuzz.faults(path, "extract", True))
    assert "says (0, 'garbage" in " ".join(fuzz.unlike(path, b"8"))
    monkeypatch.setattr("cinn_nb.cli.main", lambda argv: 1 / 0)
    assert "ZeroDivisionError" in fuzz.faults(path, "extract", False)[0]
    monkeypatch.setattr(fuzz, "LIMIT", 1)
    monkeypatch.setattr("cinn_nb.cli.main", lambda argv: [None for _ in iter(int, 1)])
    assert "no end" in fuzz.faults(path, "extract", False)[0]


def test_a_batch_whose_report_is_wrong_is_seen(tmp_path, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no image")
    assert fuzz.batch_faults(folder, out) == []
    (out / "more.png").touch()
    monkeypatch.setattr("cinn_nb.batch._marked", lambda *_: dict(status=2, refusal=""))
    said = " ".join(fuzz.batch_faults(folder, out))
    assert "without a word" in said and "wrote ['more.png']" in said


@pytest.mark.parametrize("seed", (1, 2))
def test_no_damaged_file_upsets_a_command(seed):
    whole = fuzz.whole_files(True)
    assert sum(marked for _, marked in whole.values()) > 10 and "marked.dcm" in whole
    calls, found = fuzz.run(len(whole), seed=1000 * seed, folders=seed)
    assert calls == 5 * len(whole) + 1 and not found
