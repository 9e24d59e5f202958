"""How Sphinx builds the book from what make.py wrote: nothing executed, nothing from another host."""

import os
import shutil
import sys
from importlib.metadata import files
from pathlib import Path

BOOK = Path(__file__).resolve().parent
sys.path.insert(0, str(BOOK))

from sources import settings

cfg = settings()
project = "CINN"
author = cfg["author"]
copyright = cfg["copyright"]
version = release = cfg["version"]
language = "en"

slides = "CINN_SLIDES" in os.environ  # the same settings for the decks of slides.py
extensions = ["myst_nb", "sphinx_revealjs"] if slides else ["myst_nb", "sphinx_copybutton", "names"]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "gfm"  # tables in outputs
nb_number_source_lines = False
exclude_patterns = ["LICENSE*"]

html_theme = "furo"
html_title = "CINN"
html_static_path = ["static", "../_docs/mathjax"]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_domain_indices = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
copybutton_exclude = ".linenos, .gp, .go"
templates_path = []

revealjs_style_theme = "white"
revealjs_static_path = html_static_path
revealjs_css_files = ["slides.css"]
revealjs_script_conf = {"hash": True, "slideNumber": True, "width": 1280, "height": 720, "margin": 0.06}

# One file of MathJax, drawn as SVG: it needs no fonts and no other host.
mathjax_path = "tex-svg.js"
mathjax3_config = {"svg": {"fontCache": "local"}, "options": {"enableMenu": False}}
OFFLINE = BOOK.parent / "_docs" / "mathjax"
OFFLINE.mkdir(parents=True, exist_ok=True)
for entry in files("sphinx-mathjax-offline") or []:
    if entry.name == "tex-svg.js" and "mathjax" in entry.parts:
        shutil.copy(entry.locate(), OFFLINE / "tex-svg.js")
