"""Verification of a warehouse: every data file and every Bronze file has the content that was recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.data_files import file_problem, value_problem
from cexkit.warehouse.store.ledgers import read_ledgers
from cexkit.warehouse.store.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of :func:`verify`.

    Attributes
    ----------
    data_files, bronze_files : int
        Number of files that were hashed; missing ones do not count.
    problems : tuple of str
        One line per file that is missing or has other content.
    bronze : mapping of str to str or None
        What is wrong with each Bronze file; None if nothing is.
    """

    data_files: int
    bronze_files: int
    problems: tuple[str, ...]
    bronze: Mapping[str, str | None] = field(default_factory=dict)


def verify(warehouse: Warehouse) -> Verification:
    """Hash every file of a warehouse and compare it with what was recorded.

    Data files are compared with the manifest, by the hash of the file, and by its rows, times, and period. Bronze files
    are compared with the ledgers, by size and by the hash of each response body; other columns have no recorded hash.
    Bronze files that were retired, or that no ledger names yet, are left out. Those that no build has read yet must be
    readable.

    Parameters
    ----------
    warehouse : Warehouse
        Warehouse to read; it is not changed.

    Examples
    --------
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> verify(Warehouse(SAMPLE_ROOT)).problems
    ()
    """
    files, bronze = warehouse.manifest.files, _recorded_bronze(warehouse.root)
    root = warehouse.root
    of_files = ((file, file_problem(root, file) or value_problem(root, file)) for file in files)
    problems = [f"{file.path} {problem}" for file, problem in of_files if problem]
    found = {path: _bronze_problem(root / path, size, hashes) for path, (size, hashes) in bronze.items()}
    problems += [f"{path} {problem}" for path, problem in found.items() if problem]
    hashed = [sum((warehouse.root / path).is_file() for path in paths) for paths in ((f.path for f in files), bronze)]
    return Verification(*hashed, tuple(problems), found)


def record(warehouse: Warehouse, verification: Verification) -> int:
    """Record in the ledgers which Bronze files have other content, so that nothing is published until they are back.

    The next build reads these files again, and those that were recorded before and are the same now.

    Returns
    -------
    int
        Number of entries that changed.

    Examples
    --------
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> record(Warehouse(SAMPLE_ROOT), verify(Warehouse(SAMPLE_ROOT)))
    0
    """
    found = {
        path: problem and f"{path} {problem}"
        for path, problem in verification.bronze.items()
        if (warehouse.root / path).is_file()  # each run finds out which ones are missing
    }
    return sum(ledger.record_content(found) for ledger in read_ledgers(warehouse.root))


def _recorded_bronze(root: Path) -> dict[str, tuple[int, frozenset[str]]]:
    """Return the recorded size of each Bronze file, and the hashes of its responses in all ledgers.

    An archive file is named by the hash of its content.
    """
    sizes: dict[str, int] = {}
    hashes: dict[str, set[str]] = {}
    for ledger in read_ledgers(root):
        kept = ledger.files.filter(pl.col("state") != "other", ~pl.col("retired"))
        sizes |= dict(kept.select("path", "bytes").iter_rows())
        for day in ledger.response_days:
            for path, digest in ledger.responses(day).select("path", "sha256").iter_rows():
                hashes.setdefault(path, set()).add(digest)
    archives = {path: {Path(path).stem} for path in sizes if not path.endswith(".parquet")}
    return {path: (size, frozenset((hashes | archives).get(path, ()))) for path, size in sorted(sizes.items())}


def _bronze_problem(path: Path, size: int, hashes: frozenset[str]) -> str | None:
    """Return how a Bronze file differs from what the ledgers recorded; None if it is the same, by its hashes."""
    try:
        if (found := path.stat().st_size) != size:
            return f"has {found:,} bytes, {size:,} when it was parsed"
        missing = hashes - set(_body_hashes(path))
    except FileNotFoundError:
        return "is missing"
    except (OSError, pa.ArrowException, KeyError) as error:
        return f"cannot be read: {error}"
    if not missing:
        return None
    return f"lacks {len(missing):,} of {len(hashes):,} responses that were parsed (sha256): its content was changed"


def _body_hashes(path: Path) -> Iterator[str]:
    """Yield the hash of each response in a file of responses; the hash of the file if it is an archive file."""
    if path.suffix != ".parquet":
        yield sha256(path)
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=64, columns=["body", "file", "sha256"]):
            for row in batch.to_pylist():  # the body of an archive file is in a file of its own
                yield row["sha256"] if row["file"] else hashlib.sha256(row["body"]).hexdigest()
