"""Nothing of anybody's machine stands in the repository."""

import re

from conftest import ROOT, source_files

# Written in parts, so that this file does not match itself.
FOLDERS = ["work/main", "work/shared", r"root/\w", r"tmp/\w", r"home/\w", r"Users/\w", r"private/var/"]
FOLDERS += ["opt/pypi", "opt/wheels"]
PATTERN = re.compile(rf"(?<![\w.~$-])/(?:{'|'.join(FOLDERS)})|[A-Z]:\\{'Users'}".encode())
HOSTS = [r"extra-index" + r"-url\s*=\s*\S", "art" + "ifactory", "dev" + "pi", r"pypi\.(?!org)[\w-]+\.\w+"]
HOSTS += [r"mirrors?\." + r"[\w-]+\.\w+", r"file:" + r"///"]
MIRROR = re.compile("|".join(HOSTS).encode(), re.IGNORECASE)


def found(pattern, data: bytes) -> list[str]:
    return [
        data[max(0, m.start() - 20) : m.end() + 20].decode(errors="replace") for m in pattern.finditer(data)
    ]


BAD_PATHS = [
    "/root" + "/x",
    '"/tmp' + "/a",
    "in /home" + "/ada/x",
    "/work" + "/main/nbs",
    "C:\\" + "Users\\ada",
]
GOOD_PATHS = ["https://x.org/tmp/a", "./tmp/x", "~/x", "/proc/cpuinfo", "network/main", "$TMP/x"]
BAD_HOSTS = ["https://pypi." + "example.com/simple", "file:" + "///srv/wheels"]
GOOD_HOSTS = ["https://pypi.org/simple", "https://download.pytorch.org/whl/cpu"]


def test_the_patterns_find_what_they_should():
    assert [text for text in BAD_PATHS if not found(PATTERN, text.encode())] == []
    assert [text for text in GOOD_PATHS if found(PATTERN, text.encode())] == []
    assert [text for text in BAD_HOSTS if not found(MIRROR, text.encode())] == []
    assert [text for text in GOOD_HOSTS if found(MIRROR, text.encode())] == []


def test_no_machine_paths_and_no_mirror_hosts():
    hits = {}
    for path in source_files():
        data = path.read_bytes()
        lines = found(PATTERN, data) + found(MIRROR, data)
        if lines:
            hits[path.relative_to(ROOT).as_posix()] = lines[:3]
    assert hits == {}


def test_no_file_is_large():
    assert [path.name for path in source_files() if path.stat().st_size > 20_000_000] == []
