"""Sphinx builds the site: ``pip install ".[docs]" && make docs``. Needs no network."""

import fused_rankloss

project = "fused_rankloss"
copyright = "the fused_rankloss authors"
release = version = fused_rankloss.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",  # else formulas need a network to be seen
]
exclude_patterns = []
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(torch|nn|numbers)\..*|Tensor|optional")]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the descriptions say it with shapes and dtypes
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape"]

html_theme = "furo"
html_title = "fused_rankloss"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
