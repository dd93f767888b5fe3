"""The dataset card, ``README.md``: generated from the schema, the venues' descriptors, and ``spec.json``."""

from __future__ import annotations

from typing import Any

from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.schema.render import to_markdown
from cexkit.text import printable
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.layout import TABLES as FOLDER

CARD = "README.md"
#: The table that readers get if they name none.
DEFAULT_TABLE = "funding_rates"
_SIZES = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_TAGS = ["crypto", "finance", "time-series", "perpetual-swaps", "funding-rates", "open-interest", "liquidations"]

_LOAD_ANYWHERE = """## How to load it

With cexkit, which reads only the files that a query needs:

```python
import cexkit

market = cexkit.connect("{place}")
market.table("{table}"{window}).to_pandas()
```
"""
_LOAD_FROM_HUB = """With `datasets`, where each table is a configuration:

```python
from datasets import load_dataset

load_dataset("{repo}", "{table}", split="train")
```

With Polars:

```python
import polars as pl

pl.scan_parquet("{place}/{folder}/{table}/**/*.parquet", hive_partitioning=False)
```

With pandas (`partitioning=None`, because the files also contain the columns in the folder names):

```python
import pandas as pd

pd.read_parquet("{place}/{folder}/{table}", partitioning=None)
```

With DuckDB:

```sql
SELECT * FROM read_parquet('{place}/{folder}/{table}/**/*.parquet', hive_partitioning = false);
```
"""
_LOAD_FACTS = """`{manifest}` lists every file with its rows, times, and sha256; `spec.json` summarizes them. Files are
named by their content and never change. To read the same data again, give a tag or a commit as revision.
"""


def card(spec: dict[str, Any], *, name: str | None = None, license: str | None = None) -> str:
    """Return the card of a dataset.

    Parameters
    ----------
    spec : dict
        Result of :func:`cexkit.warehouse.publish.spec.describe`.
    name : str, optional
        Name for readers, ``hf://datasets/owner/name``; None for a folder.
    license : str, optional
        License of the data by its name on Hugging Face. Default: ``mit`` if all data is simulated, else ``other``.

    Returns
    -------
    str
        Markdown below a YAML header, in which every table is a configuration of the viewer.

    Examples
    --------
    >>> empty = {"tables": {}, "rows": 0, "simulated": False, "description": "", "updated_at": "2026-01-01"}
    >>> print(card(empty | {"schema_version": 1, "cexkit_version": "0.1.0", "bytes": 0}).splitlines()[1])
    license: other
    """
    parts = [
        f"---\n{_head(spec, license)}\n---",
        "# Derivatives of centralized crypto exchanges",
        _about(spec),
        _overview(spec),
        *([_load(spec, name)] if spec["tables"] else []),
        _limits(spec),
        _license(spec),
        _dictionary(spec),
    ]
    return printable("\n\n".join(part.strip() for part in parts if part), "\n") + "\n"


def _head(spec: dict[str, Any], license: str | None) -> str:
    from huggingface_hub import DatasetCardData

    default = _default(spec)
    configs = [
        {
            "config_name": name,
            # Only files of the current manifest are published, so the pattern matches the table.
            "data_files": [{"split": "train", "path": f"{FOLDER}/{name}/**/*.parquet"}],
            **({"default": True} if name == default else {}),
        }
        for name in spec["tables"]
    ]
    return DatasetCardData(
        license=license or ("mit" if spec["simulated"] else "other"),
        pretty_name="Derivatives of centralized crypto exchanges" + (" (simulated)" if spec["simulated"] else ""),
        tags=[*_TAGS, *(["simulated"] if spec["simulated"] else [])],
        size_categories=[_size_category(spec["rows"])],
        configs=configs,
    ).to_yaml()


def _size_category(rows: int) -> str:
    """Return the hub's name of a size.

    Examples
    --------
    >>> _size_category(0), _size_category(70_000), _size_category(1_000_000), _size_category(10**12)
    ('n<1K', '10K<n<100K', '1M<n<10M', 'n>1T')
    """
    if rows < 1_000:
        return "n<1K"
    if rows >= 10**12:
        return "n>1T"
    power = 10 ** (len(str(rows)) - 1)
    return f"{_short(power)}<n<{_short(power * 10)}"


def _short(number: int) -> str:
    letter, unit = max(((letter, unit) for letter, unit in _SIZES.items() if unit <= number), key=lambda pair: pair[1])
    return f"{number // unit}{letter}"


def _about(spec: dict[str, Any]) -> str:
    simulated = (
        "**All numbers are simulated**: real names, made-up numbers. They say nothing about real prices.\n\n"
        if spec["simulated"]
        else ""
    )
    description = f"{spec['description']}\n\n" if spec["description"] else ""
    return (
        f"{simulated}{description}Updated {printable(spec['updated_at'][:16]).replace('T', ' ')} UTC. Schema version "
        f"{spec['schema_version']}, made by cexkit {printable(spec['cexkit_version'])}. Times are UTC and windows "
        "half-open; rates are fractions, not percent. The data dictionary below states each column's unit."
    )


def _overview(spec: dict[str, Any]) -> str:
    head = "| table | rows | MB | from | to | venues | symbols | quality |\n|---|---|---|---|---|---|---|---|"
    rows = [
        f"| [`{name}`](#{name}) | {table['rows']:,} | {table['bytes'] / 1e6:,.2f} | {_moment(table['start'])} | "
        f"{_moment(table['end'])} | {_cell(', '.join(table.get('venues', ['–'])))} | "
        f"{table.get('symbols', table.get('bases', {})).get('count', '–')} | {_verdict(table)} |"
        for name, table in spec["tables"].items()
    ]
    note = (
        "Blocking checks (schema, unique keys, price order, ranges) all passed: a dataset that fails one is not "
        "published. Warnings (gaps, age, outliers between venues, quarantined rows) are counted in `spec.json`"
        + (" and, by day, in the table `data_quality`." if "data_quality" in spec["tables"] else ".")
    )
    return "\n\n".join(["## Tables", "\n".join([head, *rows]), note])


def _cell(text: str) -> str:
    """Return a text that stays in its cell of a table."""
    return printable(text).replace("|", "\\|")


def _moment(time: str | None) -> str:
    return _cell(time[:16]).replace("T", " ") if time else "–"


def _verdict(table: dict[str, Any]) -> str:
    if table["layer"] == "gold":
        return "derived from the tables above"
    if "quality" not in table:
        return "an earlier state"
    warned = [name for name, check in table["quality"]["checks"].items() if check["rows_failed"]]
    return f"warnings: {_cell(', '.join(warned))}" if warned else "no warnings"


def _load(spec: dict[str, Any], name: str | None) -> str:
    table = _default(spec)
    start = spec["tables"][table]["start"]
    parts = [_LOAD_ANYWHERE, *([_LOAD_FROM_HUB] if name else []), _LOAD_FACTS]
    return "\n".join(parts).format(
        table=table,
        window=f', start="{printable(start[:10])}"' if start else "",
        place=printable(name or "path/to/this/folder"),
        repo=printable(name or "").removeprefix("hf://datasets/"),
        folder=FOLDER,
        manifest=MANIFEST,
    )


def _default(spec: dict[str, Any]) -> str | None:
    return DEFAULT_TABLE if DEFAULT_TABLE in spec["tables"] else next(iter(spec["tables"]), None)


def _limits(spec: dict[str, Any]) -> str:
    """Return the limits of the dataset, per venue."""
    venues = sorted({venue for table in spec["tables"].values() for venue in table.get("venues", [])})
    lines = [f"- **{venue}**: {text}" for venue in venues if venue in EXCHANGES for text in _not_offered(venue)]
    shown = spec["tables"].get("liquidations", {}).get("coverage", {}).get("names")
    liquidations = (
        "Liquidations are what venues publish, see column `coverage`: `full` (every event), `throttled` (at most one "
        "order per symbol and second, as Binance and OKX stream them: **totals are lower bounds, most of all in "
        "cascades**) or `absent` (no collector was running). "
        + (
            f"Here: {', '.join(f'`{_cell(name)}`' for name in shown)}."
            if shown
            else "This dataset has no liquidations."
        )
    )
    gaps = "A time without rows is a gap, not a zero. Unfinished candles are not included."
    return "\n\n".join(["## What is not in here", liquidations, gaps, *(["\n".join(lines)] if lines else [])])


def _not_offered(venue: str) -> list[str]:
    """Return the reasons why a venue offers no data, each with its tables and instrument types."""
    by_reason: dict[str, dict[str, list[str]]] = {}
    for (table, kind), reason in EXCHANGES[venue].not_offered.items():
        by_reason.setdefault(reason, {}).setdefault(table, []).append(kind)
    return [
        f"{'; '.join(f'`{table}` of {kinds}' for table, kinds in _joined(tables))}: {reason}."
        for reason, tables in by_reason.items()
    ]


def _joined(tables: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(table, ", ".join(kinds)) for table, kinds in tables.items()]


def _license(spec: dict[str, Any]) -> str:
    if spec["simulated"]:
        return "## License\n\nSimulated data, free for any use."
    return (
        "## License\n\nThe layout and the derived tables are free for any use. The market data in them come from the "
        "public interfaces of the venues named above; their terms of use apply to what is done with them."
    )


def _dictionary(spec: dict[str, Any]) -> str:
    tables = [to_markdown(TABLES[name]).replace("## ", "### ", 1) for name in spec["tables"]]
    return "\n\n".join(["## Data dictionary", *(table.strip() for table in tables)]) if tables else ""
