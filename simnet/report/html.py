"""Pieces of HTML that sections are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from simnet.findings import as_seconds

if TYPE_CHECKING:
    from simnet.pictures import Picture


_NARROW, _DARK = "(max-width: 40rem)", "(prefers-color-scheme: dark)"


def section_of(title: str, hint: str, *content: str) -> str:
    """A section, unless there is nothing in it."""
    inside = "\n".join(part for part in content if part)
    if not inside:
        return ""
    hint = f'<p class="hint">{hint}</p>' if hint else ""
    return f"<section>\n<h2>{title}</h2>\n{hint}\n{inside}\n</section>"


def figure_of(
    picture: Picture, caption: str = "", title: str = "", narrow: Picture | None = None
) -> str:
    """A picture on its paper.

    :param narrow: the same for phones, where a wide one would be too small to read.
    """
    width, height = picture.size
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    sources = [(f"{_NARROW} and {_DARK}", narrow.dark), (_NARROW, narrow.light)] if narrow else []
    sources.append((_DARK, picture.dark))
    return (
        f"<figure>{heading}<picture>"
        + "".join(f'<source media="{media}" srcset="{uri}">' for media, uri in sources)
        + f'<img src="{picture.light}" alt="{escape(picture.alt)}" '
        f'width="{width}" height="{height}" style="max-width:{width * 5 // 4}px"></picture>'
        f"{below}</figure>"
    )


def side_by_side(figures: Iterable[str], kind: str = "") -> str:
    """Figures beside each other, as many as fit into a row; nothing where there is none."""
    inside = "\n".join(figures)
    return f'<div class="pictures {kind}">\n{inside}\n</div>' if inside else ""


def table_of(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "figures") -> str:
    """A table that scrolls by itself where it is too wide; cells are HTML.

    :param kind: "figures" stand to the right, "words" to the left.
    """
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "\n".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
    if not body:
        return ""
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}"><thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def folded(summary: str, content: str) -> str:
    """Content that is shown when somebody asks; nothing where there is none."""
    return f"<details><summary>{summary}</summary>{content}</details>" if content else ""


def duration(seconds: float | None) -> str:
    """Seconds in words, or a dash."""
    return "–" if seconds is None else as_seconds(seconds)
