"""``spec.json``: what a published dataset holds, for programs: sizes, spans, venues, symbols, quality."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from importlib.metadata import version
from typing import Any

import polars as pl

from cexkit.schema import TABLES, Table
from cexkit.text import printable_json
from cexkit.warehouse.quality import blocking_failures
from cexkit.warehouse.store.manifest import DataFile, Extent
from cexkit.warehouse.store.parquet import reading, scan_table
from cexkit.warehouse.store.warehouse import Warehouse

SPEC = "spec.json"
#: Names are listed up to this many; beyond, only their number is given.
NAMES_LISTED = 200
#: Columns whose values are told, and what they are called there.
_NAMES = {"exchange": "venues", "symbol": "symbols", "base": "bases", "coverage": "coverage"}


def describe(warehouse: Warehouse, quality: pl.DataFrame) -> dict[str, Any]:
    """All that ``spec.json`` says.

    Nothing in it depends on when or where it is made: the same data gives the same text.

    Parameters
    ----------
    warehouse : Warehouse
        The dataset.
    quality : polars.DataFrame
        What the checks found, table ``data_quality``.

    Returns
    -------
    dict
        JSON values. Times are UTC in ISO 8601; ``end`` is the time of the last row; sizes are bytes.

    Examples
    --------
    >>> from cexkit.warehouse.quality import run_checks
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> sample = Warehouse(SAMPLE_ROOT)
    >>> found = describe(sample, run_checks(sample, ["funding_rates"], now=sample.manifest.updated_at))
    >>> found["simulated"], found["tables"]["funding_rates"]["venues"]
    (True, ['binance', 'bybit', 'coinbase', 'okx'])
    """
    manifest = warehouse.manifest
    tables = {name: _table(warehouse, table, quality) for name, table in TABLES.items() if manifest.select(name)}
    return {
        "updated_at": manifest.updated_at.isoformat(),
        "schema_version": manifest.schema_version,
        "cexkit_version": version("cexkit"),
        "simulated": manifest.simulated,
        "description": manifest.description,
        "rows": sum(table["rows"] for table in tables.values()),
        "bytes": sum(table["bytes"] for table in tables.values()),
        "tables": tables,
    }


def with_tables(spec: dict[str, Any], files: Iterable[DataFile]) -> dict[str, Any]:
    """Return a spec with the tables of other files, of which only their manifest is known."""
    by_table: dict[str, list[DataFile]] = defaultdict(list)
    for file in files:
        by_table[file.table].append(file)
    others = {
        name: _facts(TABLES[name], each) | {"venues": list(Extent.of(each).exchanges)}
        for name, each in by_table.items()
        if name in TABLES
    }
    both = spec["tables"] | others
    tables = {name: both[name] for name in TABLES if name in both}
    totals = {name: sum(table[name] for table in tables.values()) for name in ("rows", "bytes")}
    return spec | totals | {"tables": tables}


def to_json(spec: dict[str, Any]) -> str:
    """The text of the file."""
    return printable_json(json.dumps(spec, indent=1, ensure_ascii=False)) + "\n"


def _table(warehouse: Warehouse, table: Table, quality: pl.DataFrame) -> dict[str, Any]:
    files = warehouse.manifest.select(table.name)
    facts = _facts(table, files)
    for name, values in _distinct(warehouse, table, files, [c for c in _NAMES if c in table.columns]).items():
        facts[_NAMES[name]] = values if name == "exchange" else _counted(values)
    return facts | ({"quality": _quality(table, quality)} if table.layer == "silver" else {})


def _facts(table: Table, files: Collection[DataFile]) -> dict[str, Any]:
    """Return what the manifest says of a table."""
    extent = Extent.of(files)
    return {
        "meaning": table.meaning,
        "layer": table.layer,
        "files": extent.files,
        "rows": extent.rows,
        "bytes": extent.bytes,
        "start": extent.start.isoformat() if extent.start else None,
        "end": extent.end.isoformat() if extent.end else None,
    }


def _distinct(
    warehouse: Warehouse, table: Table, files: tuple[DataFile, ...], columns: list[str]
) -> dict[str, list[str]]:
    """The values of columns, one file after the other: memory does not grow with the table."""
    found: dict[str, set[str]] = {column: set() for column in columns}
    for file in files:
        path = warehouse.root / file.path
        with reading(path):
            rows = scan_table([path], table).select(columns).unique().collect(engine="streaming")
        for column in columns:
            found[column] |= set(rows[column].drop_nulls())
    return {column: sorted(values) for column, values in found.items()}


def _counted(names: list[str]) -> dict[str, Any]:
    return {"count": len(names)} | ({"names": names} if len(names) <= NAMES_LISTED else {})


def _quality(table: Table, quality: pl.DataFrame) -> dict[str, Any]:
    """Rows checked and failed, per check; how many blocking checks failed, and how many others."""
    found = quality.filter(table_name=table.name)
    counts = found.group_by("check_name", "blocking").agg(pl.sum("rows_checked"), pl.sum("rows_failed"))
    checks = {row.pop("check_name"): row for row in counts.sort("check_name").iter_rows(named=True)}
    warned = [check for check in checks.values() if check["rows_failed"] and not check["blocking"]]
    return {"blocking_failures": blocking_failures(found).height, "warnings": len(warned), "checks": checks}
