"""Failures of DuckDB as errors of cexkit: a damaged file, a source that does not respond, an invalid query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from cexkit.errors import DatasetError
from cexkit.warehouse.store.damage import damaged, sha256
from cexkit.warehouse.store.manifest import DataFile

#: What Arrow makes of a failure of DuckDB while batches are read; it keeps the text.
ARROW_FAILURES = (pa.ArrowException, OSError)
#: Raised for the content of a file; a query that is itself invalid has other classes.
_OF_FILES = (duckdb.InvalidInputException, duckdb.SerializationException, duckdb.InternalException, *ARROW_FAILURES)
_OF_ACCESS = (duckdb.IOException, duckdb.PermissionException)
_REFRESH = "if the dataset was rewritten after you connected, call market.refresh() to use the latest revision"


def dataset_failure(error: Exception, address: str, opened: Mapping[str, DataFile]) -> DatasetError | None:
    """Return the error for a failure that the files of a dataset caused; None if the query caused it.

    Parameters
    ----------
    error : duckdb.Error or one of ARROW_FAILURES
        The failure.
    address : str
        Location of the dataset, as displayed.
    opened : mapping of str to DataFile
        Files that were opened, by the address that DuckDB opens.
    """
    # What DuckDB's Parquet reader finds in a file has no class below `Error`.
    if type(error) is not duckdb.Error and not isinstance(error, (*_OF_FILES, *_OF_ACCESS)):
        return None
    text = str(error)
    named = [(path, file) for path, file in opened.items() if Path(file.path).name in text]
    named.sort(key=lambda each: text.index(Path(each[1].path).name))
    if isinstance(error, _OF_ACCESS):
        known = f"a file of {named[0][1].table} cannot be read" if named else "a file cannot be read"
        is_ours = named or isinstance(error, duckdb.IOException)
        return DatasetError(f"{address}: {known}: {_first_line(text)}; {_REFRESH}") if is_ours else None
    # A text that compares two files names the intact one too.
    file = _first_damaged(named or opened.items()) or (named[0][1] if named else None)
    if file is None:
        return None if isinstance(error, _OF_FILES) else DatasetError(f"{address} cannot be read: {_first_line(text)}")
    return damaged(f"{address}: {file.path}", text)


def _first_damaged(opened: Iterable[tuple[str, DataFile]]) -> DataFile | None:
    """Return the first file on this machine whose content is not the one of the manifest."""
    return next((file for path, file in opened if _is_damaged(Path(path), file)), None)


def _is_damaged(path: Path, file: DataFile) -> bool:
    try:
        return path.stat().st_size != file.bytes or sha256(path) != file.sha256
    except OSError:
        return False


def _first_line(text: str) -> str:
    return text.partition("\n")[0].rstrip(".")
