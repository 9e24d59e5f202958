"""A batch that is killed twice; `python tests/kill_batch.py` kills it twenty times."""

import kill_batch


def test_a_killed_batch_goes_on():
    said = kill_batch.run(kills=2, images=12, longest=8.0)
    assert not said["faults"]


def test_faults_are_seen(tmp_path):
    kill_batch.make_images(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0.png").write_bytes((tmp_path / "in" / "0.png").read_bytes())
    (tmp_path / "out" / "1.png.part").touch()
    said = " ".join(kill_batch.faults(tmp_path / "in", tmp_path / "out", []))
    assert "1.png" in said and "0.png says []" in said and "left behind" in said and "report" in said
