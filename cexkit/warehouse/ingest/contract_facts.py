"""Contract facts on rows: what a venue said of an instrument, as of the time of each row."""

from __future__ import annotations

import polars as pl

from cexkit.schema import Table
from cexkit.warehouse.units import facts_at

#: Columns of facts that responses lack.
CONTRACT_FACTS = ("multiplier",)
#: Columns of facts that were known at the request, and that the lists state as the present parsers read them.
RESTATED = ("base",)
#: Facts from which the quantities of a table are computed.
_TERMS = {"liquidations": ("venue_symbol", "contract_size", "inverse")}


def contract_facts(table: Table) -> tuple[str, ...]:
    """Return the facts of instruments that the rows of a table depend on, as columns of ``instrument_periods``.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> contract_facts(TABLES["ohlcv_1h"]), contract_facts(TABLES["liquidations"])
    (('base', 'multiplier'), ('base', 'venue_symbol', 'contract_size', 'inverse'))
    """
    carried = (name for name in (*RESTATED, *CONTRACT_FACTS) if name in table.columns)
    return (*carried, *_TERMS.get(table.name, ()))


def with_contract_facts(rows: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """Fill ``multiplier`` from the period in force at the time of each row, and state ``base`` as it does.

    Parameters
    ----------
    rows : polars.DataFrame
        Rows of instruments with ``timestamp``, in any order. Without these columns, they are returned unchanged.
    periods : polars.DataFrame
        Table ``instrument_periods``. If two periods start at one time, the last row counts; if they overlap, the one
        that started last.

    Returns
    -------
    polars.DataFrame
        The same rows in the same order. Multipliers that are not null stay. Rows before the first period get its facts,
        because no list contradicts them. If no period of the instrument is known, its rows are unchanged.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> tables = simulate(start="2026-05-02", end="2026-05-03", coins=["PEPE"], exchanges=["bybit"]).tables
    >>> unfilled = tables["ohlcv_1d"].with_columns(multiplier=pl.lit(None, pl.Float64))
    >>> with_contract_facts(unfilled, tables["instrument_periods"]).select("symbol", "multiplier").rows()
    [('1000PEPEUSDT', 1000.0), ('PEPEUSDT', 1.0)]
    """
    both = [name for name in rows.columns if name in periods.columns]
    restated = [name for name in RESTATED if name in both]
    names = [*restated, *(name for name in CONTRACT_FACTS if name in both)]
    if not names or rows.is_empty():
        return rows
    found = facts_at(rows, periods, names).rename({name: f"_{name}" for name in names})
    first = {name: (f"_{name}", name) if name in restated else (name, f"_{name}") for name in names}
    filled = rows.hstack(found).with_columns(pl.coalesce(*first[name]).alias(name) for name in names)
    return filled.select(rows.columns)
