"""Paper and ink: the colours of both themes, and the making of a picture.

Most pictures are SVG with the page's own letters, drawn once: for dark paper its colours are
exchanged one by one. A map of a large network is PNG, drawn twice, since ten thousand dots of SVG
are slow to show.
"""

from __future__ import annotations

import io
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from PIL import Image  # matplotlib needs it too

#: More curves than this get no legend.
LEGEND_MAX = 8
_PIXELS_PER_INCH = 96


@dataclass(frozen=True)
class Theme:
    """The colours of one kind of paper.

    :ivar heat: of five steps of time, from the first to the last.
    :ivar series: of results that are compared.
    """

    ink: str
    muted: str
    grid: str
    paper: str
    ground: str
    alarm: str
    heat: tuple[str, ...]
    series: tuple[str, ...]


LIGHT = Theme(
    ink="#26303a",
    muted="#66717c",
    grid="#e6e2da",
    paper="#ffffff",
    ground="#f4f1ea",
    alarm="#b8331f",
    heat=("#b8331f", "#e0763a", "#d8a83c", "#4f9f8b", "#2b6690"),
    series=(
        "#17787a",
        "#c65a2e",
        "#6a5aa8",
        "#b08a1e",
        "#3f7fbf",
        "#a8456f",
        "#5f8f3a",
        "#7d7d7d",
    ),
)
DARK = Theme(
    ink="#e4e8eb",
    muted="#9aa6b0",
    grid="#303941",
    paper="#1b2127",
    ground="#232b32",
    alarm="#ff7d61",
    heat=("#ff7d61", "#ffab6b", "#f0d27c", "#76cfb2", "#74b4e0"),
    series=(
        "#4fc3b9",
        "#f0956a",
        "#a99bea",
        "#e0bf5a",
        "#7fb8f0",
        "#e58bb2",
        "#a3cf7c",
        "#b4b4b4",
    ),
)


def _colours(theme: Theme) -> list[bytes]:
    named = (theme.ink, theme.muted, theme.grid, theme.paper, theme.ground, theme.alarm)
    return [colour.encode() for colour in (*named, *theme.heat, *theme.series)]


_DARK_OF = dict(zip(_colours(LIGHT), _colours(DARK), strict=True))


@dataclass(frozen=True)
class Picture:
    """:ivar light, dark: the same picture as data URIs, for the two kinds of paper.
    :ivar alt: what it shows, in words.
    :ivar size: width and height in CSS pixels.
    """

    light: str
    dark: str
    alt: str
    size: tuple[int, int]


def picture_of(
    draw: Callable[[Figure, Theme], None],
    inches: tuple[float, float],
    alt: str,
    is_svg: bool = True,
) -> Picture:
    light = _render(draw, inches, LIGHT, is_svg)
    dark = _darkened(light) if is_svg else _render(draw, inches, DARK, is_svg)
    width, height = (round(side * _PIXELS_PER_INCH) for side in inches)
    kind = "svg+xml" if is_svg else "png"
    uris = [f"data:image/{kind};base64,{b64encode(image).decode()}" for image in (light, dark)]
    return Picture(uris[0], uris[1], alt, (width, height))


def _darkened(svg: bytes) -> bytes:
    """Each colour of the light theme as the dark one has it."""
    return re.sub(rb"#[0-9a-f]{6}", lambda found: _DARK_OF.get(found[0], found[0]), svg)


def _render(
    draw: Callable[[Figure, Theme], None], inches: tuple[float, float], theme: Theme, is_svg: bool
) -> bytes:
    with matplotlib.rc_context(_style(theme)):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure, theme)
        drawn = io.BytesIO()
        if is_svg:
            metadata = {"Date": None, "Creator": None}
            figure.savefig(drawn, format="svg", transparent=True, metadata=metadata)
        else:
            figure.savefig(drawn, format="png", transparent=True, dpi=144)
            return _with_few_colours(drawn)
    return drawn.getvalue()


def _with_few_colours(png: io.BytesIO) -> bytes:
    """The same with a palette: a third of the bytes, and nobody sees it."""
    small = io.BytesIO()
    Image.open(png).quantize(96, Image.Quantize.FASTOCTREE).save(small, "png", optimize=True)
    return small.getvalue()


def _style(theme: Theme) -> Any:  # the stubs list all names of settings
    return {
        "svg.hashsalt": "p2pboard",
        "svg.fonttype": "none",
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans", "system-ui", "sans-serif"],
        "font.size": 10.5,
        "text.color": theme.ink,
        "axes.labelcolor": theme.muted,
        "axes.edgecolor": theme.grid,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titlecolor": theme.ink,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "legend.frameon": False,
        "legend.labelcolor": theme.ink,
        "legend.fontsize": 9.5,
    }
