"""A Sphinx extension: names in code lead to their definitions."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

NAME = re.compile(
    r'(?P<before><span class="o">\.</span>)?'
    r'<span class="(?P<kind>n|nn)">(?P<name>[\w.]+)</span>'
    r'(?P<after>\s*<span class="o">=</span>)?(?P<call>(?=<span class="p">\())?'
)
INLINE = re.compile(
    r'(<code class="docutils literal notranslate">)<span class="pre">(\w+)(\(\))?</span>(</code>)'
)


def link_names(body: str, links: dict[str, str]) -> str:
    """HTML of a page with its names linked. Not an attribute (`table.psnr`), not what is assigned (`psnr=1`).

    `links`: name -> address; a module stands in it as `cinn_nb.jpeg`; `psnr(` is linked in calls only."""

    def in_code(found: re.Match) -> str:
        name = unescape(found["name"])
        place = links.get(name) or (links.get(f"{name}(") if found["call"] is not None else None)
        if not place or found["before"] or found["after"]:
            return found[0]
        return f'<a class="name" href="{place}">{found[0]}</a>'

    def in_text(found: re.Match) -> str:
        place = links.get(found[2]) or (links.get(f"{found[2]}(") if found[3] else None)
        whole = found[0]
        return f'<a class="name" href="{place}">{whole}</a>' if place else whole

    parts = re.split(r"(<a [^>]*>.*?</a>)", NAME.sub(in_code, body), flags=re.DOTALL)
    return "".join(part if part.startswith("<a ") else INLINE.sub(in_text, part) for part in parts)


def on_page(app: Any, pagename: str, templatename: str, context: dict, doctree: Any) -> None:
    "Sphinx calls this before it writes a page."
    links = app.config.cinn_names.get(pagename, {})
    if links and "body" in context:
        context["body"] = link_names(context["body"], links)


def setup(app: Any) -> dict[str, bool]:
    "Register with Sphinx."
    names = Path(app.srcdir) / "names.json"
    app.add_config_value("cinn_names", json.loads(names.read_text(encoding="utf-8")), "html")
    app.connect("html-page-context", on_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
