"Keys: a sealed payload through the Python interface and the command, and both without `cryptography`."

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from cinn_nb.images import write_image
from cinn_nb.jpeg import jpeg_file
from cinn_nb.mark import EmbedError, NoWatermarkError
from cinn_nb.phantoms import phantom
from cinn_nb.search import PromisedMark
from conftest import MANY, ROOT, cinn_here

keys = pytest.importorskip("cinn_nb.keys")
pytest.importorskip("cryptography")
from cinn_nb.cli import main  # noqa: E402
from cinn_nb.watermark import embed, extract, read  # noqa: E402

WORDS, OTHERS = "seven odd yellow birds sing", "some other words"
COVER = phantom("chest", 128, 0)
HOW = dict(survive=70, channels="turbo")
WITHOUT = "import sys; sys.modules['cryptography'] = None\n"


def cinn_without(*lines, cwd, **variables):
    "Command lines in a process that finds no `cryptography`."
    paths = os.pathsep.join([str(ROOT), *sys.path])
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **variables}
    call = [sys.executable, "-c", WITHOUT + MANY, json.dumps([line.split() for line in lines])]
    done = subprocess.run(call, cwd=cwd, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def stego():
    return embed(COVER, b"ward 3", key=WORDS, **HOW)


def test_the_key_reads_from_a_file_and_nobody_else_does(stego):
    received = jpeg_file(stego, 75)
    assert extract(received, key=WORDS) == b"ward 3"
    for key, words in ((OTHERS, "no payload for this key"), (None, "encrypted payload of 6 bytes")):
        with pytest.raises(keys.SealedError, match=words):
            extract(received, key=key)
    assert issubclass(keys.SealedError, NoWatermarkError)
    assert b"ward" not in read(received).payload


def test_a_key_takes_nothing_that_was_not_sealed():
    plain = embed(COVER, b"forged", **HOW)
    assert extract(plain) == b"forged"
    with pytest.raises(keys.SealedError, match="not sealed"):
        extract(plain, key=WORDS)


def test_a_plain_mark_beside_the_sealed_one_does_not_hide_it(stego):
    from cinn_nb.network import NetworkMark

    first = NetworkMark("lattice").write(phantom("chest", 384, 0), keys.seal(b"ours", WORDS))
    both = PromisedMark(70).find(first, b"theirs")
    assert read(both).payload == b"theirs"  # a promise is asked first
    assert extract(both, key=WORDS) == b"ours"


def test_a_sealed_payload_needs_room_and_a_plain_one_must_not_look_sealed():
    with pytest.raises(EmbedError, match="a key takes 18 bytes"):
        embed(phantom("chest", 256, 0), b"PID 47", key=WORDS)
    with pytest.raises(EmbedError, match="as a sealed one does"):
        embed(COVER, keys.seal(b"A", WORDS), **HOW)
    assert extract(embed(COVER, b"\xff\x02" + bytes(20), **HOW)) == b"\xff\x02" + bytes(20)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 121])
def test_every_length_comes_back_and_no_flipped_bit_opens(length):
    key = keys.Key(bytes(range(64)))
    payload = np.random.default_rng(length).bytes(length)
    sealed = keys.seal(payload, key)
    assert keys.unseal(sealed, key) == payload and len(sealed) == length + keys.OVERHEAD
    whole = int.from_bytes(sealed, "big")
    for bit in range(8 * len(sealed)):
        with pytest.raises(keys.SealedError, match="no payload for this key"):
            keys.unseal((whole ^ (1 << bit)).to_bytes(len(sealed), "big"), key)


def test_the_format_stays_readable():
    "Marks outlive versions: this seal was written when version 1 was."
    key = keys.derive_key(WORDS)
    assert key.secret.hex()[:16] == "654a0671778988ab"
    assert keys.seal(b"ward 3", key).hex() == "ff014c7f1c7dc16bbca3bba83dbb9be075cf9f91ef86e946"
    assert keys.unseal(bytes.fromhex("ff014c7f1c7dc16bbca3bba83dbb9be075cf9f91ef86e946"), key) == b"ward 3"


def test_the_command_with_keys(tmp_path, monkeypatch):
    for name, words in {"CINN_KEY": WORDS, "CINN_OTHER": OTHERS, "CINN_SHORT": "secret"}.items():
        monkeypatch.setenv(name, words)
    write_image(tmp_path / "scan.png", COVER)
    (tmp_path / "key").write_bytes(WORDS.encode() + b"\r\n")
    promise = "--survive 70 --channels turbo"
    lines = (
        f"embed scan.png a.png --text ward3 {promise} --passphrase-env CINN_KEY",
        "extract a.png --key-file key",
        "extract a.png --passphrase-env CINN_KEY --all",
        "extract a.png",
        "extract a.png --hex --out got",
        "extract a.png --passphrase-env CINN_OTHER",
        "certify a.png",
        "extract a.png --key-file nowhere",
        "extract a.png --passphrase-env CINN_NONE",
        "extract a.png --key-file key --ask-passphrase",
        f"embed scan.png b.png --text ward3 {promise} --passphrase-env CINN_SHORT",
    )
    answers = cinn_here(*map(str.split, lines), cwd=tmp_path)
    assert [status for status, *_ in answers] == [0, 0, 0, 1, 1, 1, 0, 2, 2, 2, 2]
    assert answers[0][1].startswith("a.png: 5 of at most 13 bytes embedded")
    assert (answers[1][1], answers[2][1]) == ("ward3\n", "promise: ward3\n")
    assert "encrypted payload of 5 bytes" in answers[3][2] and "--key-file" in answers[3][2]
    assert "no payload for this key" in answers[5][2]
    assert all(answer[1] == "" and answer[2].count("\n") == 1 for answer in answers[3:6] + answers[7:])
    assert not any(WORDS in text or OTHERS in text for _, out, err in answers for text in (out, err))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "key", "scan.png"]


def test_without_the_package_there_is_one_line_and_all_else_works(tmp_path):
    write_image(tmp_path / "scan.png", COVER)
    promise = "--survive 70 --channels turbo"
    answers = cinn_without(
        f"embed scan.png a.png --text ward3 {promise} --passphrase-env CINN_KEY",
        f"embed scan.png a.png --text ward3 {promise}",
        "extract a.png",
        cwd=tmp_path,
        CINN_KEY=WORDS,
    )
    assert [status for status, *_ in answers] == [2, 0, 0]
    assert "pip install 'cryptography" in answers[0][2] and answers[0][2].count("\n") == 1
    assert answers[2][1] == "ward3\n"


def test_nobody_there_to_type_is_one_line(tmp_path, monkeypatch, capsys):
    def nobody(prompt):
        raise EOFError

    write_image(tmp_path / "scan.png", COVER)
    monkeypatch.setattr("getpass.getpass", nobody)
    line = ["embed", str(tmp_path / "scan.png"), str(tmp_path / "a.png"), "--text", "w", "--ask-passphrase"]
    assert main(line) == 2
    said, err = capsys.readouterr()
    assert said == "" and err.count("\n") == 1 and "use --passphrase-env or --key-file" in err
    assert not (tmp_path / "a.png").exists()
