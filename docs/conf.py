"""Configuration of the documentation site: `make docs` builds it in build/site.

The source folder is the root of the repository, so that links between pages are the same on the site and in a
checkout.
"""

from __future__ import annotations

import os
import re

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from bnn2hw.version import __version__

project = "bnn2hw"
author = "the bnn2hw developers"
copyright = "the bnn2hw developers"  # noqa: A001  (Sphinx reads this name)
version = release = __version__

root_doc = "docs/index"
include_patterns = ["docs/**", "benchmarks/*.md", "examples/README.md", "ARCHITECTURE.md", "CHANGELOG.md"]
exclude_patterns = [".*", "build", "bnn2hw", "templates", "sim", "tests"]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
default_role = "code"

# Blocks without a language are commands, not Python.
highlight_language = "none"
html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "bnn2hw"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_root"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1d5fae", "color-brand-content": "#1d5fae"},
    "dark_css_variables": {"color-brand-primary": "#7fb2ee", "color-brand-content": "#7fb2ee"},
}
copybutton_exclude = ".linenos, .gp, .go"


def keep_stars_and_bars(
    app: object, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Keep the stars of shapes such as (frames, *shape), and the bars of |x|: reStructuredText has other uses."""
    lines[:] = [re.sub(r"(?<=[ (])\*(?=[a-z])|\|", r"\\\g<0>", line) for line in lines]


def no_hidden_arguments(app: Sphinx, context: object, lines: list[str]) -> None:
    """Leave out arguments without a name, which are old spellings."""
    text = re.sub(r"^\.\. option:: *\n(?:[ \t]+.*\n|\n)*", "", "\n".join([*lines, ""]), flags=re.MULTILINE)
    lines[:] = text.split("\n")


def no_empty_rubrics(app: Sphinx, doctree: nodes.document) -> None:
    """Leave out the heading of arguments where none is left below it."""
    for rubric in list(doctree.findall(nodes.rubric)):
        below = rubric.next_node(descend=False, siblings=True)
        if rubric.astext() == "Arguments" and not isinstance(below, (addnodes.index, addnodes.desc)):
            rubric.parent.remove(rubric)


def setup(app: Sphinx) -> None:
    """Connect the hooks."""
    app.connect("doctree-read", no_empty_rubrics)
    app.connect("autodoc-process-docstring", keep_stars_and_bars)
    app.connect("sphinx-click-process-arguments", no_hidden_arguments)
