"""What a connection is made of, for when something is slow, old or missing: ``cexkit doctor``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cexkit import errors
from cexkit.client.market import connect
from cexkit.config import settings, unknown_variables
from cexkit.errors import CexkitError, InvalidInputError
from cexkit.warehouse.store.cache import FileCache
from cexkit.warehouse.store.data_files import file_problem, value_problem
from cexkit.warehouse.store.keys import broken_keys
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.locations import Folder, folder_of
from cexkit.warehouse.store.verify import record
from cexkit.warehouse.store.verify import verify as verify_files
from cexkit.warehouse.store.warehouse import Warehouse
from cexkit.warehouse.store.wording import size_text

#: Packages whose versions decide whether things work together.
PACKAGES = ("cexkit", "duckdb", "ibis-framework", "sqlglot", "polars", "pandas", "pyarrow", "huggingface_hub")


@dataclass(slots=True)
class Diagnosis:
    """What was found: ``problems`` names what does not work, ``checked`` and ``unchecked`` what was and was not tried.

    Sizes are bytes, times are milliseconds. ``verified`` counts the files that were hashed, with equal and with other
    results.
    """

    versions: dict[str, str]
    cache: dict[str, Any]
    location: str = ""
    revision: str = ""
    updated: str = ""
    mode: dict[str, str] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    latency_ms: float | None = None
    query_ms: float | None = None
    verified: dict[str, int] | None = None
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def _advice(self) -> list[str]:
        """What to do about files of a warehouse that are missing or changed."""
        kinds = {problem.partition("/")[0] for problem in self.problems}
        found = []
        if kinds & {"tables", "keys"}:
            found.append(
                "make these tables again from Bronze with `cexkit rebuild`, or restore the files from a backup"
            )
        if "bronze" in kinds:
            found.append("restore Bronze files from a backup; `cexkit bronze retire` keeps the rows of removed ones")
        return found

    def as_dict(self) -> dict[str, Any]:
        """As JSON wants it."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"location   {self.location or 'not found'}",
            f"revision   {self.revision or '-'}, updated {self.updated or '-'}",
            f"latency    {_ms(self.latency_ms, 'a small request')}, {_ms(self.query_ms, 'a small query')}",
            f"cache      {format_cache_usage(self.cache)}",
            *(f"hashed     {count:,} {kind.replace('_', ' ')}" for kind, count in (self.verified or {}).items()),
            f"versions   {', '.join(f'{name} {found}' for name, found in self.versions.items())}",
            *(f"problem    {_without_class(problem)}" for problem in self.problems),
            *(f"advice     {text}" for text in self._advice),
            "tables",
            *(f"  {name:<22}{size_text(size):>12}  {self.mode[name]}" for name, size in self.bytes.items()),
            f"checked    {'; '.join(self.checked) or 'nothing'}",
            *([f"unchecked  {'; '.join(self.unchecked)}"] if self.unchecked else []),
        ]
        return "\n".join(lines if self.problems else [*lines, "no problem found"])


def diagnose(source: str | Path | None = None, *, verify: bool = False, **options: Any) -> Diagnosis:
    """Open a dataset and measure what that takes; problems are reported, not raised.

    Parameters
    ----------
    source : str or Path, optional
        As for ``connect``.
    verify : bool, default False
        True to hash every data file and every Bronze file of a folder, and compare it with what was recorded. The
        ledgers then record which Bronze files have other content.
    **options
        As for ``connect``: ``mode``, ``cache``, ``offline``.

    Returns
    -------
    Diagnosis

    Examples
    --------
    >>> found = diagnose("sample")
    >>> found.location, found.problems, found.mode["funding_rates"]
    ('the embedded sample', [], 'local files')
    """
    import duckdb

    found = Diagnosis({name: version(name) for name in PACKAGES}, cache_info(), problems=unknown_variables())
    try:
        _examine(found, source, options, verify=verify)
    except (CexkitError, duckdb.Error) as error:
        found.problems.append(f"{type(error).__name__}: {error}")
    return found


def source_of(data: str | None, warehouse: Path | None, *, verify: bool) -> str | Path | None:
    """Return what ``cexkit doctor`` opens: with ``verify``, the warehouse of the settings if it exists.

    Raises
    ------
    InvalidInputError
        If both are given.
    """
    if data is not None and warehouse is not None:
        raise InvalidInputError(f"one of --data and --warehouse must be given, got {data} and {warehouse}")
    found = data if warehouse is None else warehouse
    default = settings().warehouse
    return default if found is None and verify and (default / MANIFEST).exists() else found


def _examine(found: Diagnosis, source: str | Path | None, options: dict[str, Any], *, verify: bool) -> None:
    market = connect(source, **options)
    snapshot = market._snapshot
    found.location, found.revision = market.location, market.revision
    found.updated = market.updated.isoformat(timespec="seconds")
    found.bytes = {name: info.bytes for name, info in market.tables.items()}
    found.mode = {name: _way(snapshot, name) for name in found.bytes}
    found.checked.append("manifest")
    if isinstance(snapshot.location, Folder):
        _check_folder(found, snapshot, hashed=verify)
    else:
        found.unchecked.append("content of the data files; the cache verifies each file that it downloads")
    if not snapshot.offline:
        found.latency_ms = _timed(snapshot.location.ping)
        found.checked.append("one request")
    if verify:
        _verify(found, snapshot.location)
    smallest = min(found.bytes, key=lambda name: found.bytes[name], default=None)
    if smallest is None:
        found.problems.append("the dataset holds no tables")
    else:
        market.table(smallest).count().execute()  # the first one also imports Ibis and starts DuckDB
        found.query_ms = _timed(lambda: market.table(smallest).count().execute())
        found.checked.append(f"one query of {smallest}")


def _check_folder(found: Diagnosis, snapshot: Any, *, hashed: bool) -> None:
    """Check that all files of a folder are there, as the manifest states them, and that key digests are intact."""
    root, files = snapshot.location.root, snapshot.manifest.files
    if not hashed:
        compared = ((file, file_problem(root, file, hashed=False) or value_problem(root, file)) for file in files)
        found.problems += [f"{file.path} {problem}" for file, problem in compared if problem]
        found.checked.append(f"sizes, rows, times, and periods of {len(files):,} data files")
        found.unchecked.append("content of the data files and of Bronze (`--verify` hashes them)")
    found.problems += broken_keys(root, snapshot.manifest)
    found.checked.append("key digests")


def _verify(found: Diagnosis, location: Any) -> None:
    if not isinstance(location, Folder):
        raise InvalidInputError(f"verify must be used with a folder, got {location.address}; name one with --warehouse")
    warehouse = Warehouse(location.root)
    result = verify_files(warehouse)
    record(warehouse, result)
    found.verified = {"data_files": result.data_files, "bronze_files": result.bronze_files}
    found.problems += result.problems
    found.checked.append("content of all files that the manifest and the ledgers record")


def _way(snapshot: Any, table: str) -> str:
    if not snapshot.location.remote:
        return "local files"
    return "read in place" if snapshot.direct(table) else "through the cache"


def _timed(do: Callable[[], object]) -> float:
    begin = time.perf_counter()
    do()
    return round((time.perf_counter() - begin) * 1e3, 1)


def _ms(value: float | None, what: str) -> str:
    return f"{what} was not measured" if value is None else f"{value:,.1f} ms for {what}"


def _without_class(problem: str) -> str:
    """Return the text of a problem without the name of an error of cexkit before it."""
    name, _, text = problem.partition(": ")
    return text if hasattr(errors, name) else problem


def default_cache() -> FileCache:
    """The cache that the settings name."""
    found = settings()
    return FileCache(folder_of(found.cache_dir), found.cache_max_bytes)


def cache_info() -> dict[str, Any]:
    """What the cache holds: ``folder``, ``files``, ``bytes``, ``max_bytes`` and the ``locations`` it knows.

    Examples
    --------
    >>> sorted(cache_info())
    ['bytes', 'files', 'folder', 'locations', 'max_bytes']
    """
    cache = default_cache()
    return {"folder": str(cache.root), **asdict(cache.usage())}


def format_cache_usage(cache: dict[str, Any]) -> str:
    """What :func:`cache_info` found, in a line.

    Examples
    --------
    >>> format_cache_usage({"folder": "cache", "files": 2, "bytes": 1_500_000, "max_bytes": 20_000_000_000})
    'cache: 2 files, 1.5 MB of at most 20,000 MB'
    """
    size = f"{cache['bytes'] / 1e6:,.1f} MB of at most {cache['max_bytes'] / 1e6:,.0f} MB"
    return f"{cache['folder']}: {cache['files']} files, {size}"
