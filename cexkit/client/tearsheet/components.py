"""What a page is made of. A picture or table that has no data says so; none is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.client.tearsheet.data import DAY, Facts
from cexkit.client.tearsheet.formatting import UNKNOWN, day
from cexkit.client.tearsheet.svg import picture
from cexkit.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot with what it shows; without one, why there is none."""

    title: str
    note: str
    svg: str | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: names of columns, and rows whose first cell names them; ``half`` fits beside a picture."""

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
    pictures: list[Picture] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)


def drawn(
    facts: Facts,
    name: str,
    title: str,
    note: str,
    draw: Callable[[Axes], Any],
    *,
    rows: pl.DataFrame,
    of: str,
    window: bool = True,
) -> Picture:
    """The plot, as wide as the window of the sheet; or why it cannot be drawn. ``of`` names what ``rows`` are of."""
    if not rows.height:
        return Picture(title, note, missing=no_data(of))

    def within(axes: Axes) -> None:
        draw(axes)
        if window:
            axes.set_xlim(facts.start.replace(tzinfo=None), facts.end.replace(tzinfo=None))

    note += _since(rows, facts.start) if window else ""
    try:
        return Picture(title, note, svg=picture(name, f"{title}. {note}", within))
    except InvalidInputError as problem:
        return Picture(title, note, missing=f"Not drawn: {problem}.")


def _since(rows: pl.DataFrame, start: datetime) -> str:
    first = rows["timestamp"].min()
    return f" First data: {day(first)}." if first - start > 1.5 * DAY else ""


def no_data(of: str) -> str:
    """What stands for a table without rows."""
    return f"No data: the dataset has no {of} in this window."


def cells(table: pl.DataFrame, column: str, words: Callable[[Any], str]) -> list[str]:
    """A column as words, one cell a row."""
    return [UNKNOWN if value is None else words(value) for value in table[column]]


def heads(facts: Facts) -> list[str]:
    """The main perpetuals by name."""
    return [f"{row['exchange']} {row['symbol']}" for row in facts.mains.rows(named=True)]
