"""Components of the page: figures, tables, and sections. Each states when it has no data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.client.tearsheet.data import DAY, TearsheetData
from cexkit.client.tearsheet.formatting import UNKNOWN, format_date
from cexkit.client.tearsheet.svg import render_svg
from cexkit.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot and its description, or the reason for a missing plot."""

    title: str
    note: str
    svg: str | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class DataTable:
    """A table: column names, and rows whose first cell is the row name; ``half`` fits next to a figure."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    missing: str = "No data."
    half: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    key: str
    title: str
    lead: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[DataTable] = field(default_factory=list)


def render_figure(
    data: TearsheetData,
    name: str,
    title: str,
    note: str,
    draw: Callable[[Axes], Any],
    *,
    rows: pl.DataFrame,
    of: str,
    window: bool = True,
) -> Figure:
    """Render a plot over the window of the sheet, or state why it cannot be drawn.

    ``of`` names the content of ``rows``.
    """
    if not rows.height:
        return Figure(title, note, missing=no_data(of))

    def within(axes: Axes) -> None:
        draw(axes)
        if window:
            axes.set_xlim(data.start.replace(tzinfo=None), data.end.replace(tzinfo=None))

    note += _since(rows, data.start) if window else ""
    try:
        return Figure(title, note, svg=render_svg(name, f"{title}. {note}", within))
    except InvalidInputError as problem:
        return Figure(title, note, missing=f"Not drawn: {problem}.")


def _since(rows: pl.DataFrame, start: datetime) -> str:
    first = rows["timestamp"].min()
    return f" First data: {format_date(first)}." if first - start > 1.5 * DAY else ""


def no_data(of: str) -> str:
    """Return the text shown in place of a figure or table without rows."""
    return f"No data: the dataset has no {of} in this window."


def cells(table: pl.DataFrame, column: str, words: Callable[[Any], str]) -> list[str]:
    """Return a column as formatted text, one cell per row."""
    return [UNKNOWN if value is None else words(value) for value in table[column]]


def heads(data: TearsheetData) -> list[str]:
    """Return the names of the main perpetuals."""
    return [f"{row['exchange']} {row['symbol']}" for row in data.main_perps.rows(named=True)]
