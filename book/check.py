"""What a built site must keep: links that lead somewhere, nothing from another host, pictures with a text."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that make a browser fetch something by itself.
FETCHED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}


class Page(HTMLParser):
    "The anchors, links, fetched addresses and silent pictures of one page."

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.silent: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        "Take note of one tag."
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "shortcut icon"):
            self.fetched.append(given.get("href", ""))
        if tag in FETCHED and given.get(FETCHED[tag]):
            self.fetched.append(given[FETCHED[tag]])
        if tag == "img" and not given.get("alt", "").strip():
            self.silent.append(given.get("src", "")[:60])


def elsewhere(address: str) -> bool:
    "Whether an address leads to another host."
    return bool(re.match(r"(https?:)?//", address))


def broken(site: Path, page: Path, address: str, anchors: dict[Path, set[str]]) -> bool:
    "Whether a link inside the site leads nowhere."
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return True
    known = target in anchors and parts.fragment not in ("", "top")
    return known and unquote(parts.fragment) not in anchors[target]


def faults(site: Path) -> list[str]:
    "What is wrong with a built site, one line each."
    site = site.resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    anchors = {path: page.anchors for path, page in pages.items()}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [
            f"{name}: {a!r} leads nowhere" for a in sorted(set(page.links)) if broken(site, path, a, anchors)
        ]
        here = [a for a in page.fetched if not elsewhere(a) and not a.startswith("data:")]
        found += [f"{name}: {a!r} is not there" for a in sorted(set(here)) if broken(site, path, a, anchors)]
        found += [f"{name}: fetches {a!r}" for a in sorted(set(page.fetched)) if elsewhere(a)]
        found += [f"{name}: no text for picture {src!r}" for src in page.silent]
    for style in sorted(site.rglob("*.css")):
        asked = re.findall(r"""(?:url\(\s*|@import\s+)["']?([^"')\s]+)""", style.read_text(encoding="utf-8"))
        found += [f"{style.relative_to(site)}: fetches {a!r}" for a in sorted(set(asked)) if elsewhere(a)]
    return found
