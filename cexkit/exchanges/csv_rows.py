"""Rows of CSV files in archives: cells as text by column, and the numbers and times read from them.

A cell is read as text first, so that a bad one costs only its row, and nothing at all in a row that nobody keeps.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cexkit.errors import PayloadError
from cexkit.exchanges.archives import unzipped
from cexkit.exchanges.rows import Flaw, Rows

if TYPE_CHECKING:
    import polars as pl

#: Numbers in the first range are milliseconds since 1970, in the second microseconds; both are from 2001 to 2286.
_MILLISECONDS, _MICROSECONDS = (10**12, 10**13), (10**15, 10**16)


def read_csv(
    endpoint: str, body: bytes, columns: Sequence[str], *, filler: str | None = None
) -> tuple[pl.DataFrame, Rows]:
    """Return the cells of the one CSV in a zip, with or without a header line, as text in the declared columns.

    Lines with more or fewer cells than the others are quarantined. A header line may name further columns, which are
    not read, and may have the columns in any order. Without a header, the place identifies a column, and further
    ones are accepted only behind a ``filler``.

    Parameters
    ----------
    endpoint : str
        For messages.
    body : bytes
        The zip.
    columns : sequence of str
        Columns that are read, in the order of files without a header.
    filler : str, optional
        Last of the columns, if it holds zeros: in a file without a header, it shows that further columns were added
        behind it and not between others.

    Raises
    ------
    PayloadError
        If the body is not a zip of one CSV, or lacks a declared column.
    """
    import polars as pl

    text = unzipped(endpoint, body).decode("utf-8", errors="replace").removeprefix("\ufeff").replace('"', "")
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[0]:
        del lines[0]
    if not lines:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), Rows(endpoint, [], ())
    cells = [cell.strip() for cell in lines[0].split(",")]
    names = _header(endpoint, cells, columns)
    if names is not None:
        del lines[0]
    elif len(cells) < len(columns):
        raise PayloadError(endpoint, f"{len(columns)} columns expected, the first line is {lines[0]!r:.120}")
    frame, rows = _cells(endpoint, lines, len(cells))
    found = names or [*columns, *(f"column {place + 1}" for place in range(len(columns), len(cells)))]
    frame.columns = found
    if further := [name for name in found if name not in columns]:
        if names is None and (filler is None or not (frame[filler] == "0").all()):
            raise PayloadError(endpoint, f"{len(columns)} columns expected, there are {len(cells)} and no header")
        rows.added = f"new in its files, and not read: {', '.join(further)}"[:200]
    return frame.select(columns), rows


def _header(endpoint: str, cells: Sequence[str], columns: Sequence[str]) -> list[str] | None:
    """Return the names in a header line; None if the line holds a row, whose cells are mostly numbers."""
    words = sum(any(character.isalpha() for character in cell) for cell in cells)
    if words <= len(cells) / 2 or len(cells) < len(columns) / 2:
        return None
    names = [cell.lower() for cell in cells]
    lacking = [name for name in columns if name not in names]
    if lacking or len(set(names)) < len(names):
        expected = f"a header that names {', '.join(lacking)}" if lacking else "a header that names each column once"
        raise PayloadError(endpoint, f"{expected} is expected, got {', '.join(cells)!r:.200}")
    return names


def _cells(endpoint: str, lines: Sequence[str], width: int) -> tuple[pl.DataFrame, Rows]:
    """Return the trimmed cells of the lines that have a number of them; skip blank lines."""
    import polars as pl

    counts = [line.count(",") + 1 if line else 0 for line in lines]
    even = [place for place, count in enumerate(counts) if count == width]
    rows = Rows(endpoint, [], even, ordered=False)
    rows.flaws = [
        Flaw(place, None, f"{width} columns expected, there are {count}")
        for place, count in enumerate(counts)
        if count not in (0, width)
    ]
    names = [str(place) for place in range(width)]
    if not even:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String)), rows
    source = io.BytesIO("\n".join(lines[place] for place in even).encode())
    cells = pl.read_csv(source, has_header=False, new_columns=names, infer_schema=False, quote_char=None)
    return cells.select(pl.all().fill_null("").str.strip_chars()), rows


def number(cells: pl.DataFrame, rows: Rows, name: str, dtype: Any = None) -> pl.Series:
    """Return the numbers of a column, floats unless ``dtype`` says otherwise; rows without one are marked as bad."""
    import polars as pl

    column = cells[name]
    values = column.cast(dtype or pl.Float64, strict=False)
    good = (values.is_finite() if dtype is None else values.is_not_null()).fill_null(value=False)
    rows.mark((~good).to_arrow(), name, lambda place: f"no number: {column[place]!r:.80}")
    return values


def time(cells: pl.DataFrame, rows: Rows, name: str) -> pl.Series:
    """Return the times of a column in milliseconds or microseconds, with or without fractions; others are marked."""
    import polars as pl

    column, value = cells[name], pl.col(name)
    found, fractions = (
        _microseconds(cells.select(value.cast(kind, strict=False)), name) for kind in (pl.Int64, pl.Float64)
    )
    found = found.zip_with(found.is_not_null(), fractions)
    rows.mark(
        found.is_null().to_arrow(), name, lambda place: f"neither milliseconds nor microseconds: {column[place]!r:.60}"
    )
    return found.cast(pl.Datetime("us", "UTC"))


def _microseconds(numbers: pl.DataFrame, name: str) -> pl.Series:
    """Return numbers that are milliseconds or microseconds as microseconds; null for others."""
    import polars as pl

    value = pl.col(name)
    scaled = (
        pl.when(value.is_between(*_MILLISECONDS, closed="left"))
        .then(value * 1000)
        .when(value.is_between(*_MICROSECONDS, closed="left"))
        .then(value)
    )
    return numbers.select(scaled.round().cast(pl.Int64)).to_series()
