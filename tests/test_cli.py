"""The command `cinn`: what it does, what it refuses, and what it leaves on the disk."""

import configparser
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cinn_nb.images import read_image, write_image
from cinn_nb.network import NetworkMark
from cinn_nb.search import PromisedMark
from cinn_nb.sturdy import SturdyMark
from cinn_nb.watermark import FAMILY_WORDS, Certificate, Sampled
from conftest import BIN, MANY, ROOT, cinn_here, command

TEXT = "PID 4711/é"  # 11 bytes of UTF-8: all that 256x256 pixels carry
ONE = "import sys; from cinn_nb.cli import main; sys.exit(main())"


def python(code: str, *args: str, cwd: Path) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=cwd,
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def cinn(*args: str, cwd: Path) -> subprocess.CompletedProcess:
    return python(ONE, *args, cwd=cwd)


def contents(folder: Path) -> dict[str, str]:
    "Every file of a folder, hidden ones too, with its hash."
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def refused(status: int, out: str, err: str, *fragments: str, expected: int = 2) -> None:
    "One line on standard error that says what is wrong, nothing else, and the right exit status."
    assert (status, out) == (expected, ""), (out, err)
    assert re.fullmatch(r"cinn: [^\n]+\n", err), err
    for fragment in fragments:
        assert fragment in err, err


@pytest.fixture
def folder(tmp_path) -> Path:
    "A folder with one good image and several that must be refused."
    y, x = np.mgrid[:256, :256]
    scan = 120 + 60 * np.sin(x / 23) * np.cos(y / 31) + np.random.default_rng(0).normal(0, 5, x.shape)
    scan = np.clip(scan, 0, 255).astype(np.uint8)
    Image.fromarray(scan).save(tmp_path / "scan.png")
    Image.fromarray(scan[:128, :128]).save(tmp_path / "part.png")
    Image.fromarray(scan[:64, :64]).save(tmp_path / "small.png")
    Image.fromarray(np.stack([scan, scan // 2, scan], 2)).save(tmp_path / "rgb.png")
    Image.fromarray(np.stack([scan] * 3, 2)).save(tmp_path / "threefold.png")
    Image.fromarray(scan.astype(np.uint16) * 16).save(tmp_path / "deep.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "scan.png").read_bytes()[:20000])
    (tmp_path / "note.txt").write_text("no image")
    (tmp_path / "there.png").write_bytes(b"somebody's work")
    return tmp_path


def test_embed_attack_extract(folder):
    before = contents(folder)
    done = cinn("embed", "scan.png", "marked.png", "--text", TEXT, cwd=folder)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    said = re.fullmatch(r"marked\.png: 11 of at most 11 bytes embedded, PSNR ([\d.]+) dB\n", done.stdout)
    cover, stego = Image.open(folder / "scan.png"), Image.open(folder / "marked.png")
    assert (stego.mode, stego.size, stego.format) == ("L", (256, 256), "PNG")
    error = np.mean((np.asarray(stego, float) - np.asarray(cover)) ** 2)
    assert error > 0 and abs(float(said[1]) - 10 * np.log10(255**2 / error)) < 0.06 and float(said[1]) > 33
    done = cinn("attack", "marked.png", "sent.jpg", "--quality", "90", cwd=folder)
    assert done.returncode == 0 and Image.open(folder / "sent.jpg").format == "JPEG", done.stderr
    done = cinn("extract", "sent.jpg", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, TEXT + "\n", "")
    after = contents(folder)
    assert {name: after.pop(name) for name in ("marked.png", "sent.jpg")} and after == before


def test_files_bytes_and_other_formats(folder):
    message = bytes([0, 27, 255, 128, 10])
    (folder / "message").write_bytes(message)
    answers = cinn_here(
        ["embed", "scan.png", "a.tif", "--file", "message", "--strength", "1.5"],
        ["extract", "a.tif", "--out", "copy"],
        ["extract", "a.tif", "--hex"],
        ["extract", "a.tif"],
        ["extract", "a.tif", "--out", "copy"],
        ["attack", "a.tif", "b.png", "--quality", "95"],
        ["attack", "a.tif", "b.jpg", "--quality", "95"],
        ["extract", "b.png", "--out", "copy", "--force"],
        ["embed", "scan.png", "there.png", "--text", "A", "--force"],
        ["extract", "there.png"],
        ["capacity", "scan.png"],
        ["capacity", "small.png"],
        cwd=folder,
    )
    refused(*answers.pop(3), "5 bytes", "--hex", "--out")
    refused(*answers.pop(3), "copy exists", "--force")
    assert [(status, err) for status, _, err in answers] == [(0, "")] * 10
    said = [out for _, out, _ in answers]
    assert (
        said[2] == message.hex() + "\n"
        and said[7] == "A\n"
        and "up to 11 bytes" in said[8]
        and "up to 0 bytes" in said[9]
    )
    assert (folder / "copy").read_bytes() == message
    assert np.array_equal(np.asarray(Image.open(folder / "b.png")), np.asarray(Image.open(folder / "b.jpg")))


def test_a_promise_is_kept_by_real_files(folder):
    answers = cinn_here(
        [
            "embed",
            "part.png",
            "sure.png",
            "--text",
            TEXT + ", longer",
            "--survive",
            "50",
            "--channels",
            "turbo",
        ],
        ["certify", "sure.png"],
        *(["attack", "sure.png", f"{q}.jpg", "--quality", str(q)] for q in (50, 57, 100)),
        *(["extract", f"{q}.jpg"] for q in (50, 57, 100)),
        ["certify", "part.png"],
        cwd=folder,
    )
    assert [status for status, *_ in answers] == [0] * 8 + [1]
    said = re.search(
        r"19 of at most 31 bytes embedded; certificate: PSNR ([\d.]+) dB; .* every quality (\d+)\.\.100",
        answers[0][1],
    )
    assert said and float(said[1]) > 52 and int(said[2]) <= 50 and f"{said[2]}..100" in answers[1][1]
    assert [out for _, out, _ in answers[5:8]] == [TEXT + ", longer\n"] * 3


def test_a_marked_image_is_refused_or_its_message_replaced(folder):
    answers = cinn_here(
        ["embed", "part.png", "one.png", "--text", "first", "--survive", "30", "--channels", "turbo"],
        ["embed", "one.png", "two.png", "--text", "2"],
        ["embed", "one.png", "two.png", "--text", "second", "--survive", "70"],
        ["embed", "one.png", "two.png", "--text", "second", "--survive", "70", "--replace"],
        ["extract", "two.png", "--all"],
        ["attack", "two.png", "two.jpg", "--quality", "30"],
        ["extract", "two.jpg"],
        cwd=folder,
    )
    for answer in answers[1:3]:
        refused(*answer, "one.png: the image already carries a message of 5 byte", "--replace")
    assert [status for status, *_ in answers[3:6]] == [0, 0, 0]
    assert answers[4][1] == "sturdy: second\n"  # the default promise is that of the sturdy mark
    assert answers[6][0] == 1 or answers[6][1] == "second\n"


def test_colour_and_gray_in_disguise(folder):
    answers = cinn_here(
        ["embed", "rgb.png", "colour.png", "--text", "A", "--survive", "50", "--channels", "turbo"],
        ["attack", "colour.png", "colour.jpg", "--quality", "50"],
        ["extract", "colour.jpg"],
        ["extract", "colour.png", "--json"],
        ["embed", "threefold.png", "gray.png", "--text", "B"],
        ["extract", "gray.png"],
        ["embed", "scan.png", "a.png", "--text", "A", "--window", "full"],
        cwd=folder,
    )
    assert [status for status, *_ in answers] == [0] * 6 + [2], answers
    assert (answers[2][1], answers[5][1]) == ("A\n", "B\n")
    assert (
        json.loads(answers[3][1])["messages"][0]["text"] == "A"
        and "for DICOM and NIfTI files" in answers[6][2]
    )
    before, after = (np.asarray(Image.open(folder / name), int) for name in ("rgb.png", "colour.png"))
    change = after - before
    assert change.any() and (change == change[..., :1]).all()  # hue stays
    sent = Image.open(folder / "colour.jpg")
    assert (sent.mode, sent.layer[0][1:3]) == ("RGB", (2, 2))  # 4:2:0
    assert Image.open(folder / "gray.png").mode == "L"


def test_facts_as_json_and_one_line_for_a_message_that_goes_to_a_file(folder):
    plain, sure, one, both = cinn_here(
        ["embed", "scan.png", "a.png", "--text", "A", "--json"],
        ["embed", "scan.png", "b.png", "--text", "A", "--survive", "70", "--channels", "turbo", "--json"],
        ["extract", "a.png", "--out", "message"],
        ["extract", "a.png", "--out", "message", "--force", "--json"],
        cwd=folder,
    )
    assert (plain[0], sure[0], *one) == (0, 0, 0, "message: 1 bytes\n", "")
    cover, stego = (np.asarray(Image.open(folder / name), float) for name in ("scan.png", "a.png"))
    facts = json.loads(plain[1])
    assert abs(facts["psnr"] - 10 * np.log10(255**2 / np.mean((cover - stego) ** 2))) < 0.01
    assert (facts["peak"], facts["certificate"], facts["bytes"]) == (255, None, 1)
    assert "turbo: read back" in json.loads(sure[1])["certificate"]
    assert json.loads(both[1])["messages"][0]["hex"] == "41"


def test_an_unmarked_picture_is_read_once(folder, monkeypatch, capsys):
    import cinn_nb.cli as cli

    calls, plain = [], cli.read
    monkeypatch.setattr(cli, "read", lambda image: calls.append(image.shape) or plain(image))
    for reader in ("extract", "certify"):
        assert cli.main([reader, str(folder / "scan.png")]) == 1
        assert re.fullmatch(
            r"cinn: \S+scan\.png: no watermark can be read: [^\n]+\n", capsys.readouterr().err
        )
    assert calls == [(256, 256)] * 2


def test_two_messages_are_not_passed_over_in_silence(folder):
    "Two promises; a network's message beside a promise is told to who asks for all."
    cover, second = read_image(folder / "scan.png"), b"second"
    twice = PromisedMark(70).find(NetworkMark("cinn").write(cover, b"first"), second)
    pair = PromisedMark(70).find(SturdyMark(70, "jpeg").find(cover, b"first"), second)
    write_image(folder / "twice.png", twice)
    write_image(folder / "pair.png", pair)
    one, every, out, quick, asked = cinn_here(
        ["extract", "pair.png"],
        ["extract", "pair.png", "--all"],
        ["extract", "pair.png", "--out", "message"],
        ["extract", "twice.png"],
        ["extract", "twice.png", "--all"],
        cwd=folder,
    )
    assert list(one[:2]) == [0, "first\n"]
    assert re.fullmatch(r"cinn: warning: pair\.png [^\n]+ promise[^\n]+ --all [^\n]+\n", one[2]), one[2]
    assert (every[0], every[1], every[2]) == (0, "sturdy: first\npromise: second\n", "")
    assert out[0] == 0 and "warning" in out[2] and (folder / "message").read_bytes() == b"first"
    assert (quick[0], quick[1], quick[2]) == (0, "second\n", "")
    assert (asked[0], asked[1], asked[2]) == (0, "promise: second\ncinn: first\n", "")


def test_a_network_is_chosen_by_name(folder):
    named, said, no_such, promised = cinn_here(
        ["embed", "scan.png", "quiet.png", "--text", "A", "--model", "pointwise_channels"],
        ["extract", "quiet.png", "--all"],
        ["embed", "scan.png", "other.png", "--text", "A", "--model", "nonesuch"],
        ["embed", "scan.png", "other.png", "--text", "A", "--model", "cinn", "--survive", "50"],
        cwd=folder,
    )
    assert (named[0], list(said)) == (0, [0, "pointwise_channels: A\n", ""])
    assert no_such[0] == 2 and "nonesuch" in no_such[2]
    assert promised[0] == 2 and "--model names a network" in promised[2]
    assert not (folder / "other.png").exists()


@pytest.mark.parametrize(
    "quality, payload, said",
    [(71, b"A", "at 71 only"), (70, b"B", "another payload"), (100, b"A", "not read in all of a sample")],
)
def test_a_certificate_of_something_else_is_a_failure(folder, quality, payload, said, monkeypatch):
    families = (Sampled("shared", quality, 1, 0, ()),) if quality < 100 else ()
    proof = Certificate(payload, quality, 0, None, "a test", families)
    monkeypatch.setattr("cinn_nb.cli.certify", lambda image, cover=None: proof)
    before = contents(folder)
    answers = cinn_here(["embed", "part.png", "new.png", "--text", "A", "--survive", "70"], cwd=folder)
    refused(*answers[0], said, "nothing is written")
    assert contents(folder) == before


EMBED = ["embed", "scan.png", "new.png", "--text", "A"]
WRONG_USE = {
    "wrong path": (["embed", "nowhere.png", *EMBED[2:]], "no file nowhere.png"),
    "wrong path to read": (["extract", "nowhere.png"], "no file nowhere.png"),
    "wrong path of the message": ([*EMBED[:3], "--file", "nowhere.txt"], "no file nowhere.txt"),
    "IN is a folder": (["extract", "."], "is a folder"),
    "OUT exists": (["embed", "scan.png", "there.png", "--text", "A"], "there.png exists", "--force"),
    "OUT exists, attack": (
        ["attack", "scan.png", "there.png", "--quality", "50"],
        "there.png exists",
        "--force",
    ),
    "OUT is lossy": (
        ["embed", "scan.png", "new.jpg", "--text", "A"],
        "new.jpg must end in .png, .tif, .tiff",
    ),
    "OUT has no suffix": (["embed", "scan.png", "new", "--text", "A"], "new must end in .png"),
    "OUT is WebP, attack": (
        ["attack", "scan.png", "new.webp", "--quality", "50"],
        "must end in .jpg, .jpeg, .png",
    ),
    "no folder for OUT": (["embed", "scan.png", "none/new.png", "--text", "A"], "no folder none"),
    "IN is OUT": (["embed", "scan.png", "./scan.png", "--text", "A", "--force"], "is the input itself"),
    "message is OUT": (
        ["embed", "scan.png", "there.png", "--file", "there.png", "--force"],
        "is the input itself",
    ),
    "key is OUT": (
        ["extract", "scan.png", "--out", "note.txt", "--force", "--key-file", "note.txt"],
        "is the input itself",
    ),
    "quality 0": (
        ["attack", "scan.png", "new.jpg", "--quality", "0"],
        "'0' is not a whole number from 1 to 100",
    ),
    "quality 101": (["attack", "scan.png", "new.jpg", "--quality", "101"], "from 1 to 100"),
    "no quality": (["attack", "scan.png", "new.jpg"], "--quality"),
    "no strength": ([*EMBED, "--strength", "nan"], "'nan' is not a positive number"),
    "no such promise": ([*EMBED, "--survive", "51"], "--survive", "51"),
    "promise and strength": ([*EMBED, "--survive", "50", "--strength", "2"], "not allowed with"),
    "no message": (EMBED[:3], "--text", "--file"),
    "two messages": ([*EMBED, "--file", "note.txt"], "not allowed with"),
    "no command": ([], "COMMAND"),
    "unknown command": (["hide", "scan.png"], "'hide'"),
}


if sys.version_info < (3, 13):  # from then on it is the message "--"
    WRONG_USE["message that argparse loses"] = ([*EMBED[:3], "--text=--"], "--text says nothing")


def test_wrong_use_is_refused_before_torch_is_loaded(folder):
    "The lines in one process; `torch` must not be among its modules at the end."
    before = contents(folder)
    code = MANY + "assert 'torch' not in sys.modules, 'torch has been loaded'\n"
    done = python(code, json.dumps([line for line, *_ in WRONG_USE.values()]), cwd=folder)
    assert done.returncode == 0, done.stderr
    for (name, (_, *fragments)), answer in zip(WRONG_USE.items(), json.loads(done.stdout), strict=True):
        print(name)  # shown by pytest if the next line fails
        refused(*answer, *fragments)
    assert contents(folder) == before


WRONG_IMAGES = {
    "payload too long": (
        ["embed", "scan.png", "new.png", "--text", TEXT + "!"],
        "scan.png: the payload has 12 bytes",
        "256x256 image carries at most 11",
    ),
    "payload empty": (["embed", "scan.png", "new.png", "--text", ""], "payload is empty"),
    "image too small": (
        ["embed", "small.png", "new.png", "--text", "A"],
        "64x64 image is too small",
        "128x128",
    ),
    "truncated PNG": (["embed", "cut.png", "new.png", "--text", "A"], "cut.png cannot be read", "runcated"),
    "truncated PNG to read": (["extract", "cut.png"], "cut.png cannot be read"),
    "no image": (["embed", "note.txt", "new.png", "--text", "A"], "note.txt cannot be read as an image"),
    "16 bits": (
        ["embed", "deep.png", "new.png", "--text", "A"],
        "deep.png: ",
        "uint16",
        "needs 8 bits",
        "window",
    ),
    "16 bits to attack": (["attack", "deep.png", "new.jpg", "--quality", "50"], "needs 8 bits"),
    "no mark": (["extract", "scan.png"], "scan.png: no watermark"),
    "no mark to write": (["extract", "scan.png", "--out", "new.txt"], "scan.png: no watermark"),
    "too small for a mark": (["extract", "small.png"], "small.png: no watermark", "too small"),
}


def test_wrong_images_are_refused_and_leave_nothing(folder):
    before = contents(folder)
    answers = cinn_here(*(line for line, *_ in WRONG_IMAGES.values()), cwd=folder)
    for (name, (_, *fragments)), answer in zip(WRONG_IMAGES.items(), answers, strict=True):
        print(name)
        refused(*answer, *fragments, expected=1 if "no watermark" in fragments[0] else 2)
    assert contents(folder) == before


@pytest.mark.parametrize(
    "line, status",
    [(["extract", "scan.png"], 1), (["embed", "cut.png", "new.png", "--text", "A"], 2), (["extract"], 2)],
)
def test_exit_status_reaches_the_shell(folder, line, status):
    done = cinn(*line, cwd=folder)
    refused(done.returncode, done.stdout, done.stderr, expected=status)


def test_help_and_readme_say_what_is_promised_in_the_same_words(folder):
    said = " ".join(cinn("embed", "--help", cwd=folder).stdout.split())
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    for family, words in FAMILY_WORDS.items():
        assert f"{family}: {words}" in said
        assert f"- `{family}`: {words}" in shown
    assert "The default is shared" in said and "`shared` is the default" in shown
    assert "every JPEG file" not in said + shown


def test_version_and_capacity_need_no_torch(folder):
    code = "import contextlib, sys\nfrom cinn_nb.cli import main\nimport cinn_nb.watermark\n"
    code += "with contextlib.suppress(SystemExit): main(['--version'])\n"  # it ends the process otherwise
    code += "status = main(['capacity', 'scan.png'])\n"
    code += "assert status == 0 and 'torch' not in sys.modules, (status, 'torch' in sys.modules)\n"
    done = python(code, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "up to 11 bytes; with --survive 139 (shared)" in done.stdout


def test_version_and_the_installed_command(folder):
    settings = configparser.ConfigParser(delimiters=["="])
    settings.read(ROOT / "settings.ini")
    version = f"cinn {settings['DEFAULT']['version']}\n"
    assert cinn("--version", cwd=folder).stdout == version
    assert "cinn=cinn_nb.cli:main" in settings["DEFAULT"]["console_scripts"].split()
    if not (BIN / "cinn").exists():
        pytest.skip("the package is on the path but not installed here: no `cinn` beside python")
    assert command("cinn", "--version", cwd=folder).stdout == version
    done = command("cinn", "extract", "nowhere.png", cwd=folder)
    refused(done.returncode, done.stdout, done.stderr, "no file nowhere.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_neither_read_nor_replaced(folder):
    os.mkfifo(folder / "pipe.png")
    lines = (
        ["extract", "pipe.png"],
        ["embed", "scan.png", "pipe.png", "--text", "A", "--force"],
        ["extract", "scan.png", "--out", "pipe.png", "--force"],
    )
    for answer in cinn_here(*lines, cwd=folder):
        refused(*answer, "pipe.png is a pipe or a device")
    assert (folder / "pipe.png").is_fifo()


def test_a_name_that_cannot_be_printed_is_printed_as_numbers(folder):
    code = "import sys; sys.stdout.reconfigure(encoding='ascii'); " + ONE
    done = python(code, "attack", "scan.png", "\u0394.png", "--quality", "50", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("\\u0394.png: JPEG")
    assert (folder / "\u0394.png").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_what_cannot_be_printed_is_a_failure_in_one_line(folder):
    env = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    line = [sys.executable, "-c", ONE, "capacity", "scan.png"]
    with open("/dev/full", "w") as full:
        env |= {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(line, cwd=folder, env=env, stdout=full, stderr=subprocess.PIPE, text=True)
    refused(done.returncode, "", done.stderr, "No space left")
