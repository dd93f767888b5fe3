"""Plots as inline SVG: text stays text, and its color follows the page on light, dark, or paper backgrounds."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Width and height in inches: two plots fit side by side on a screen and on paper, one on a phone. The type is legible
#: on all of them.
SIZE = (4.9, 3.0)

#: A color that no plot uses, replaced by the color of the page's text.
INK = "#010203"

SHEET = {
    "font.size": 10,
    "svg.fonttype": "none",
    # Derive element names from their content, not at random.
    "svg.hashsalt": "cexkit",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def render_svg(name: str, label: str, draw: Callable[[Axes], Any]) -> str:
    """Draw on separate axes and return the SVG element; ``name`` makes its ids unique on the page.

    matplotlib uses the settings of the sheet while it draws, then the caller's again.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context(["default", SHEET], after_reset=False):
        figure = Figure(figsize=SIZE, layout="constrained")
        # Compute the layout once, on a canvas that measures text fast.
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        draw(axes)
        # The heading on the page is the title of the plot.
        axes.set_title("", loc="left")
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine(None)
        text = io.BytesIO()
        figure.savefig(text, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return inline(text.getvalue(), name, label)


def inline(svg: bytes, name: str, label: str) -> str:
    """Convert an SVG file to an element of a page."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            # Remove file metadata, and style rules that would apply to the whole page.
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    used = {name for element in root.iter() for value in element.attrib.values() for name in _REFERENCE.findall(value)}
    for element in root.iter():
        element.tag = _local(element.tag)
        found = {_local(key): value for key, value in element.attrib.items()}
        if found.get("id") not in used:
            found.pop("id", None)
        element.attrib = {key: _value(key, value, name) for key, value in found.items()}
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": label, "class": "plot"}
    return ElementTree.tostring(root, encoding="unicode")


#: Reference from one element of a plot to another.
_REFERENCE = re.compile(r"(?:^|url\()#(m?[\w.-]+)")


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _value(key: str, value: str, name: str) -> str:
    """Make ids and references unique to the plot; use the color and font of the page."""
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if key == "style":
        kept = [part for part in value.split("; ") if not part.startswith("font-family")]
        value = "; ".join(kept).replace(INK, "currentColor")
    return value.replace("url(#", f"url(#{name}-")
