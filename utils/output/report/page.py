"""A page of HTML: one file without scripts, fonts or pictures from elsewhere.

Every function escapes the text that it is given and returns HTML:

    page("Noise of a camera", [heading("Settings"), table(["ISO"], [["100"], ["200"]])])
"""

import html
from collections.abc import Iterable, Sequence
from typing import Literal

from cycleisp.utils.words import printable

Mark = Literal["", "good", "bad"]
MADE_BY = '<meta name="generator" content="CycleISP">'  # in every page, which tells them from other people's

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 70rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p { max-width: 46rem; }
pre { background: #f4f4f4; padding: .6rem .8rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: left; border-bottom: 1px solid #ddd; vertical-align: top; }
td { overflow-wrap: anywhere; }
th { border-bottom: 2px solid #888; }
tr.good td:first-child { border-left: 4px solid #009e73; }
tr.bad td:first-child { border-left: 4px solid #d55e00; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; max-width: 36rem; color: #444; }
svg { max-width: 100%; height: auto; }
.beside { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.beside > * { flex: 1 1 28rem; max-width: 36rem; margin: 1rem 0; }
.row { display: flex; flex-wrap: wrap; gap: .6rem; align-items: flex-start; margin: .6rem 0 1.4rem; }
.row figure { margin: 0; width: 264px; } .row img { display: block; max-width: 100%; height: auto; }
.row figcaption { font-size: .8rem; line-height: 1.3; padding-top: .2rem; overflow-wrap: anywhere; }
img.pixels { image-rendering: pixelated; }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Returns a whole file of HTML.

    Args:
        title: the first heading, and the name of the browser's window.
        parts: HTML in its order, as the other functions return it.
    """
    words = escaped(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MADE_BY}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{words}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{words}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def escaped(text: object) -> str:
    """Returns a text as HTML shows it letter by letter, with escapes for what is no letter."""
    return html.escape(printable(text, keep="\n"))


def heading(text: str) -> str:
    """Returns the heading of a section."""
    return f"<h2>{escaped(text)}</h2>"


def paragraph(text: str) -> str:
    """Returns a paragraph."""
    return f"<p>{escaped(text)}</p>"


def code(text: str) -> str:
    """Returns a command or other text whose line breaks stay."""
    return f"<pre>{escaped(text)}</pre>"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], marks: Sequence[Mark] = ()) -> str:
    """Returns a table.

    Args:
        heads: of the columns.
        rows: each with a cell for every column.
        marks: one for each row: "good" or "bad" draws a line in that colour beside the row. Empty
            marks no row.

    Raises:
        ValueError: a row or `marks` has another length.
    """
    rows = list(rows)
    lines = []
    for row, mark in zip(rows, marks or [""] * len(rows), strict=True):
        cells = "".join(f"<td>{escaped(cell)}</td>" for _, cell in zip(heads, row, strict=True))
        kind = f' class="{escaped(mark)}"' if mark else ""
        lines.append(f"<tr{kind}>{cells}</tr>")
    top = "".join(f"<th>{escaped(head)}</th>" for head in heads)
    body = "\n".join(lines)
    return f'<div class="wide"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def beside(*parts: str) -> str:
    """Returns parts beside each other, where the window is wide enough."""
    return f'<div class="beside">{"".join(parts)}</div>'
