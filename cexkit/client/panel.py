"""Panels: one column of a table with one row per timestamp and one column per instrument."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from cexkit.client.instruments import rows_of_class
from cexkit.client.return_types import check_return_type, to_return_type
from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.schema.intervals import TimeLike
from cexkit.schema.names import OneOrMany

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cexkit.schema import Table


class PanelMixin:
    """Method of :class:`~cexkit.client.market.Market` that pivots a table."""

    def panel(
        self,
        column: str,
        table: str = "ohlcv_1d",
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        exchange: OneOrMany = None,
        symbol: OneOrMany = None,
        instrument_type: OneOrMany = None,
        asset_class: str | None = "crypto",
        return_type: str = "pandas",
    ) -> Any:
        """Return one column of a table in wide format: one row per timestamp, one column per instrument.

        Parameters
        ----------
        column : str
            Column of the table, such as ``"close"`` or ``"funding_rate"``.
        table : str
            A table with one row per instrument (or coin) and time.
        start, end, exchange, symbol, instrument_type
            See :meth:`~cexkit.client.market.Market.table`.
        asset_class : str or None, default "crypto"
            ``"crypto"`` leaves out instruments known to be of another class, unless ``symbol`` names nothing else; null
            and unknown classes stay. Any other class keeps only instruments known to be of it. None keeps all. Tables
            by coin do not state classes; they hold coins.
        return_type : str
            ``"pandas"`` (``timestamp`` is the index), ``"polars"``, ``"arrow"``, or ``"ibis"``. For ``"ibis"``,
            the instruments are looked up now, but the values are not yet computed.

        Returns
        -------
        frame
            ``timestamp`` as in the table, ascending, and one column per instrument that has rows, sorted by name. The
            name is the full identity (``"binance perp BTCUSDT"``), or the coin for tables by coin. Null if an
            instrument has no row; gaps are not filled.

        Raises
        ------
        InvalidInputError
            If the table can have several rows for one instrument and time.
        UnknownNameError
            If the table has no such column, or the asset class is unknown.

        Warns
        -----
        ExcludedInstrumentsWarning
            If instruments with rows are left out because of their class, with their number.

        Examples
        --------
        >>> import cexkit
        >>> market = cexkit.connect("sample")
        >>> closes = market.panel("close", symbol="BTCUSDT", instrument_type="perp", start="2026-06-01")
        >>> closes.columns.tolist(), len(closes)
        (['binance perp BTCUSDT', 'bybit perp BTCUSDT', 'okx perp BTCUSDT'], 30)
        """
        check_return_type(return_type)
        series_keys = _select_series_keys(table, column)
        filters = {"exchange": exchange, "symbol": symbol, "instrument_type": instrument_type}
        rows = self.table(table, start=start, end=end, **filters)
        if "symbol" in series_keys:
            listing, all_others = self.instrument_frame, symbol is not None
            rows = rows_of_class(rows, listing, asset_class, "market.panel", all_others=all_others)
        long = rows.select("timestamp", _name=_concatenate_columns(rows, series_keys), _value=rows[column])
        if return_type == "ibis":
            names = sorted(long.select("_name").distinct().to_polars()["_name"])
            return _pivot_wide(long, names)
        wide = long.to_polars().pivot("_name", index="timestamp", values="_value", sort_columns=True).sort("timestamp")
        return (
            to_return_type(wide, return_type).set_index("timestamp")
            if return_type == "pandas"
            else to_return_type(wide, return_type)
        )


def _select_series_keys(table: str, column: str) -> tuple[str, ...]:
    """Return the columns that identify a series of a table with one row per series and time."""
    declaration = TABLES.get(table)
    if declaration is None:
        raise UnknownNameError.of("table", table, TABLES)
    series_keys = tuple(name for name in declaration.key if name != declaration.time)
    if not _is_panel(declaration):
        panels = ", ".join(name for name, candidate in TABLES.items() if _is_panel(candidate))
        raise InvalidInputError(
            f"{table} can have several rows for one instrument and time; panels need one of {panels}. Aggregate it "
            "first, then pivot the result"
        )
    if column not in declaration.columns or column in declaration.key:
        raise UnknownNameError.of(f"column of {table}", column, set(declaration.columns) - set(declaration.key))
    return series_keys


def _is_panel(table: Table) -> bool:
    return table.time is not None and table.key in ((*INSTRUMENT_KEYS, table.time), ("base", table.time))


def _concatenate_columns(rows: ir.Table, names: tuple[str, ...]) -> ir.StringValue:
    return reduce(lambda text, name: text + " " + rows[name], names[1:], rows[names[0]])


def _pivot_wide(long: ir.Table, names: list[str]) -> ir.Table:
    if not names:
        return long.select("timestamp").limit(0)
    wide = long.pivot_wider(
        id_cols="timestamp", names_from="_name", names=names, values_from="_value", values_agg="max"
    )
    return wide.order_by("timestamp")
