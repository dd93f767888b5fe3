"""Plots as SVG inside the page: text stays text, ink takes the color of the page, light or dark or paper."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Width and height in inches: two beside each other on a screen and on paper, one on a phone, at type of a size that
#: can be read on all of them.
SIZE = (4.9, 3.0)

#: A color that no plot uses, for what takes the color of the page's text.
INK = "#010203"

SHEET = {
    "font.size": 10,
    "svg.fonttype": "none",
    # names of elements come from their content, not from chance
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
    """Draw on axes of their own and give the SVG element; ``name`` sets its parts apart from those of other pictures.

    matplotlib's settings are those of the sheet while it draws, and the caller's again after that.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context(["default", SHEET], after_reset=False):
        figure = Figure(figsize=SIZE, layout="constrained")
        # laid out once, by type that is measured fast
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        draw(axes)
        # the heading of the page says what it is of
        axes.set_title("", loc="left")
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine(None)
        text = io.BytesIO()
        figure.savefig(text, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return inline(text.getvalue(), name, label)


def inline(svg: bytes, name: str, label: str) -> str:
    """An SVG file as an element of a page."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            # descriptions of the file, and rules that would be those of the whole page
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


#: How one element of a picture names another.
_REFERENCE = re.compile(r"(?:^|url\()#(m?[\w.-]+)")


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _value(key: str, value: str, name: str) -> str:
    """OneOrMany made the picture's own; ink and type those of the page."""
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if key == "style":
        kept = [part for part in value.split("; ") if not part.startswith("font-family")]
        value = "; ".join(kept).replace(INK, "currentColor")
    return value.replace("url(#", f"url(#{name}-")
