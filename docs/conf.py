"""The documentation site: scripts/site.sh builds it. The pages are the Markdown that GitHub shows, too."""

project = "pgtrickle-ci"
author = "the authors of pgtrickle-ci"
html_title = "pgtrickle-ci"
html_baseurl = "https://trickle-labs.github.io/pgtrickle-action/"

# CommonMark with GitHub's tables and anchors. A link without a target is a warning, and scripts/site.sh fails on warnings.
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
mermaid_version = "11.17.2"
# Pygments' SQL knows neither PostgreSQL's casts nor Jinja; only colours suffer.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_theme_options = {
    "source_repository": "https://github.com/trickle-labs/pgtrickle-action/",
    "source_branch": "main",
    "source_directory": "docs/",
}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
