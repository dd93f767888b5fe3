"""Output of commands: a table on the screen, lines of JSON, or a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cexkit.cli.terminal import say, say_text
from cexkit.errors import CexkitError, InvalidInputError
from cexkit.text import printable, printable_json

if TYPE_CHECKING:
    import pyarrow as pa

#: Exit code: finished, but something is missing and was reported.
INCOMPLETE = 3
#: Exit code: interrupted by Ctrl-C, as shells report it.
INTERRUPTED = 130
#: Rows that fit on a screen.
SCREEN_ROWS = 40
#: Decimal places of numbers on a screen.
_DECIMALS = 6


def emit_rows(rows: pa.Table, as_json: bool, output: Path | None) -> None:
    """Write rows to a file, or print them as lines of JSON or as a table.

    Raises
    ------
    InvalidInputError
        If the output has no form for a value, such as an interval in JSON, or an infinite time on the screen.
    """
    import pyarrow as pa

    try:
        _emit(rows, as_json, output)
    except CexkitError:
        raise
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise InvalidInputError(
            f"the output has no form for some of these values ({error}); convert their column, as in CAST(x AS VARCHAR)"
        ) from error


def _emit(rows: pa.Table, as_json: bool, output: Path | None) -> None:
    if output is not None:
        _write(rows, output)
        say(f"{len(rows)} rows in {output}", err=True)
    elif as_json:
        print(_to_json_lines(rows), end="")
    elif len(rows):
        say_text(_to_text(rows))
    else:
        say_text(f"no rows; columns: {rows.column_names}")


def format_columns(columns: Mapping[str, Sequence[str]]) -> str:
    """Return columns of text side by side, each aligned at its right end; control characters are escaped."""
    aligned = []
    for cells in ([printable(cell) for cell in (name, *values)] for name, values in columns.items()):
        width = max(map(len, cells))
        aligned.append([cell.rjust(width) for cell in cells])
    return "\n".join(map(" ".join, zip(*aligned, strict=True)))


def _to_text(rows: pa.Table) -> str:
    """Return the rows as pandas prints them, which takes longer to import than a short query to run.

    Of more than ``SCREEN_ROWS`` rows, those in the middle are left out.
    """
    half, cut = SCREEN_ROWS // 2, len(rows) > SCREEN_ROWS
    columns = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        chunks = [*column[:half].chunks, *column[-half:].chunks] if cut else column.chunks
        cells = _to_cells(column.type, [value for chunk in chunks for value in _to_values(chunk)])
        columns[name] = [*cells[:half], "...", *cells[half:]] if cut else cells
    return format_columns(columns)


def _to_values(column: pa.Array) -> list:
    import pyarrow as pa

    # Arrow imports pandas for times with a zone, which is UTC in every result, and for those in nanoseconds.
    if pa.types.is_timestamp(column.type):
        if column.type.unit == "ns":
            return column.cast("string").to_pylist()
        zone = UTC if column.type.tz else None
        times = column.view(pa.timestamp(column.type.unit)).to_pylist()
        return [time and time.replace(tzinfo=zone) for time in times]
    return column.to_pylist()


def _to_cells(kind: pa.DataType, values: list) -> list[str]:
    import pyarrow as pa

    if pa.types.is_floating(kind):
        return _format_numbers([math.nan if value is None else value for value in values])
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        values = _format_times(values)
    missing = "NaT" if pa.types.is_timestamp(kind) else "NaN" if pa.types.is_integer(kind) else "None"
    return [missing if value is None else str(value) for value in values]


def _format_numbers(values: list[float]) -> list[str]:
    """Return numbers with as many decimal places as one of them needs, or in scientific notation if one is tiny."""
    numbers = [abs(value) for value in values if math.isfinite(value)]
    needed = max((len(f"{value:.{_DECIMALS}f}".rstrip("0").partition(".")[2]) for value in numbers), default=1)
    texts = [f"{value:.{max(needed, 1)}f}" for value in values]
    too_long = max(map(len, texts)) > 2 * _DECIMALS and max(numbers, default=0) > 10**_DECIMALS
    if too_long or any(0 < value < 10**-_DECIMALS for value in numbers):
        texts = [f"{value:.{_DECIMALS}e}" for value in values]
    return [text.replace("nan", "NaN") for text in texts]


def _format_times(values: list[datetime | None]) -> list[str | None]:
    """Return times with as many digits of a second as one of them needs."""
    fractions = {value.microsecond for value in values if value is not None}
    digits = "microseconds" if any(each % 1000 for each in fractions) else "milliseconds"
    return [value and value.isoformat(" ", digits if any(fractions) else "seconds") for value in values]


def _to_json_lines(rows: pa.Table) -> str:
    """Return one JSON object per row: times as ISO text, bytes as hex digits."""
    import polars as pl
    from polars import selectors as cs

    texts = cs.datetime().dt.to_string("iso:strict"), cs.binary().bin.encode("hex")
    try:
        return printable_json(pl.DataFrame(rows).with_columns(*texts).write_ndjson())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise OverflowError(str(error).partition(".")[0]) from error


def _write(rows: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    from cexkit.warehouse.store.parquet import write_atomic

    writers = {
        ".parquet": lambda file: pq.write_table(rows, file),
        ".csv": lambda file: rows.to_pandas().to_csv(file, index=False),
        ".json": lambda file: file.write_text(_to_json_lines(rows), encoding="utf-8"),
    }
    if path.suffix not in writers:
        raise InvalidInputError(f"cannot write {path.name!r}: the name must end in {', '.join(writers)}")
    write_atomic(path, writers[path.suffix])
