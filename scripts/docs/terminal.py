"""Draws what a terminal shows."""

import io

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

# As rich draws it, without fonts from elsewhere: a page that shows a picture loads none.
FORMAT = """\
<svg viewBox="0 0 {terminal_width} {terminal_height}" width="{terminal_width}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
{styles}
</style>
<defs>{lines}</defs>
<rect width="{terminal_width}" height="{terminal_height}" rx="8" fill="#292929"/>
<g transform="translate(16, 14) scale(0.965)">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def picture(name, text):
    """The text, which may have colors, as an SVG whose classes begin with the name."""
    text = Text.from_ansi(text)
    width = max(map(len, text.plain.splitlines())) + 1
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(text, soft_wrap=True)
    return console.export_svg(theme=SVG_EXPORT_THEME, code_format=FORMAT, unique_id=name)
