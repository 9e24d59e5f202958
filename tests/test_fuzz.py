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

    def noisy(argv):
        print("one\ntwo", file=fuzz.sys.stderr)
        print("garbage")
        (tmp_path / "left.png").touch()
        return 2 if argv[0] == "embed" else 0

    monkeypatch.setattr("cinn_nb.cli.main", noisy)
    said = " ".join(fuzz.faults(path, "embed", False))
    assert "2 lines" in said and "left.png" in said
    assert "read 'garbage" in " ".join(fuzz.faults(path, "extract", True))
    monkeypatch.setattr("cinn_nb.cli.main", lambda argv: 1 / 0)
    assert "ZeroDivisionError" in fuzz.faults(path, "extract", False)[0]
    monkeypatch.setattr(fuzz, "LIMIT", 1)
    monkeypatch.setattr("cinn_nb.cli.main", lambda argv: [None for _ in iter(int, 1)])
    assert "no end" in fuzz.faults(path, "extract", False)[0]


@pytest.mark.parametrize("seed", (1, 2))
def test_no_damaged_file_upsets_a_command(seed):
    calls, found = fuzz.run(20, seed=1000 * seed)
    assert calls == 100 and not found
