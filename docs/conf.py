"""The documentation site: scripts/site.sh builds it. The pages are the Markdown that GitHub shows, too."""

from pygments.lexer import DelegatingLexer
from pygments.lexers.sql import PostgresLexer
from pygments.lexers.templates import DjangoLexer

project = "pgtrickle-ci"
author = "the authors of pgtrickle-ci"
html_title = "pgtrickle-ci"
html_baseurl = "https://trickle-labs.github.io/pgtrickle-action/"

# CommonMark with GitHub's tables and anchors. A link without a target is a warning, and scripts/site.sh fails on warnings.
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
mermaid_version = "11.17.2"
mermaid_fullscreen = False

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


class ModelLexer(DelegatingLexer):
    """SQL as dbt's models have it: PostgreSQL's, with Jinja."""

    def __init__(self, **options):
        super().__init__(PostgresLexer, DjangoLexer, **options)


def setup(app):
    app.add_lexer("sql", ModelLexer)
