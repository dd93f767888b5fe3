"""Output of commands: a table on the screen, lines of JSON, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cexkit.cli.terminal import say, say_text
from cexkit.errors import InvalidInputError
from cexkit.text import printable_json

if TYPE_CHECKING:
    import pandas as pd

#: Exit code: finished, but something is missing and was reported.
INCOMPLETE = 3
#: Exit code: interrupted by Ctrl-C, as shells report it.
INTERRUPTED = 130
#: Rows that fit on a screen.
SCREEN_ROWS = 40


def emit_rows(rows: pd.DataFrame, as_json: bool, output: Path | None) -> None:
    """Write rows to a file, or print them as lines of JSON or as a table."""
    if output is not None:
        _write(rows, output)
        say(f"{len(rows)} rows in {output}", err=True)
    elif as_json:
        print(_to_json_lines(rows), end="")
    else:
        say_text(
            rows.to_string(index=False, max_rows=SCREEN_ROWS) if len(rows) else f"no rows; columns: {[*rows.columns]}"
        )


def _to_json_lines(rows: pd.DataFrame) -> str:
    """Return one JSON object per row: times as ISO text, bytes as hex digits."""
    import polars as pl
    from polars import selectors as cs

    # pandas' own JSON ends at 15 decimal places, which leaves small numbers few digits
    texts = cs.datetime().dt.to_string("iso:strict"), cs.binary().bin.encode("hex")
    return printable_json(pl.from_pandas(rows).with_columns(*texts).write_ndjson())


def _write(rows: pd.DataFrame, path: Path) -> None:
    from cexkit.warehouse.store.parquet import write_atomic

    writers = {
        ".parquet": lambda file: rows.to_parquet(file, index=False),
        ".csv": lambda file: rows.to_csv(file, index=False),
        ".json": lambda file: file.write_text(_to_json_lines(rows), encoding="utf-8"),
    }
    if path.suffix not in writers:
        raise InvalidInputError(f"cannot write {path.name!r}: the name must end in {', '.join(writers)}")
    write_atomic(path, writers[path.suffix])
