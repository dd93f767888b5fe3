"""Changes of instrument facts since the last build of a table: whose rows have to be made again, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from itertools import pairwise

import polars as pl

from cexkit.exchanges.streams import STREAMS
from cexkit.schema import INSTRUMENT_KEYS, Table
from cexkit.schema.intervals import Window
from cexkit.warehouse.ingest.contract_facts import CONTRACT_FACTS, contract_facts
from cexkit.warehouse.ingest.region import Region
from cexkit.warehouse.ingest.replay import Identity
from cexkit.warehouse.store.ledger import FACTS, Ledger

_KEYS = list(INSTRUMENT_KEYS)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_Timeline = list[tuple[datetime, tuple]]


class FactChanges:
    """The facts that rows of a table were made with, compared with those that are known now.

    A list of instruments may change facts of the past: a contract was listed again before the list was read, the
    parsers read a list differently, or a lost list was restored. The rows at these times are then made again, and no
    others, so that a build equals a rebuild and costs what the changes cost.

    Parameters
    ----------
    ledger : Ledger
        Holds the facts that the last build used. Without them, rows are taken to have the newest facts at all times,
        as versions before 0.1.0 gave them.
    table : Table
        The declaration.
    periods : polars.DataFrame
        Table ``instrument_periods`` of the venue, as known now.
    """

    def __init__(self, ledger: Ledger, table: Table, periods: pl.DataFrame):
        self._ledger, self._table = ledger, table
        names = list(contract_facts(table))
        self._now = periods.select(*_KEYS, "valid_from", *names).sort(*_KEYS, "valid_from")

    @cached_property
    def _before(self) -> pl.DataFrame:
        stored = self._ledger.read_state(FACTS)
        if stored is None or stored.columns != self._now.columns:
            return self._now.unique(_KEYS, keep="last", maintain_order=True)
        return stored

    @cached_property
    def region(self) -> Region:
        """The instruments and times, within the span of all responses, whose rows were made with other facts."""
        span = self._ledger.span
        if span is None or self._before.equals(self._now):
            return Region()
        return Region(_differences(self._before, self._now)).within(span)

    def restated(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows that an earlier build made as the facts of now give them.

        For rows whose response is lost; all others are parsed again. Facts that rows carry become null, to be filled.
        """
        inside = self.region.contains(rows)
        if not inside.any():
            return rows
        carried = [pl.lit(None, rows.schema[name]).alias(name) for name in CONTRACT_FACTS if name in rows.columns]
        changed = rows.filter(inside).with_columns(carried)
        if "contract_size" in self._now.columns and STREAMS[self._ledger.exchange].contracts:
            changed = self._resized(changed)
        return pl.concat([rows.filter(~inside), changed])

    def _resized(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return liquidations with the quantity that the same number of contracts has now."""
        place = self._now.columns.index("contract_size") - len(_KEYS) - 1
        old, new = _timelines(self._before), _timelines(self._now)
        amounts = []
        for kind, symbol, at, amount in rows.select(*_KEYS[1:], "timestamp", "quantity_base").iter_rows():
            before, now = (Decimal(repr(_at(known[kind, symbol], at)[place])) for known in (old, new))
            amounts.append(float(Decimal(repr(amount)) / before * now))
        quantity = pl.Series("quantity_base", amounts, pl.Float64)
        return rows.with_columns(quantity, value_quote=pl.col("price") * quantity)

    def record(self) -> None:
        """Leave the facts for the next build; call it when all rows are in Silver."""
        self._ledger.write_state(FACTS, self._now)


def _differences(before: pl.DataFrame, now: pl.DataFrame) -> Iterator[tuple[Identity, Window]]:
    """Yield the windows in which an instrument of both frames has other facts.

    An instrument that is new has no rows yet, but for messages that wait for it, which are read again anyway.
    """
    old, new = _timelines(before), _timelines(now)
    for identity, timeline in new.items():
        if identity not in old or old[identity] == timeline:
            continue
        moments = sorted({moment for moment, _ in (*old[identity], *timeline)} | {_FIRST, _LAST})
        for start, end in pairwise(moments):
            if _at(old[identity], start) != _at(timeline, start):
                yield identity, Window(start, end)


def _timelines(facts: pl.DataFrame) -> dict[Identity, _Timeline]:
    found: dict[Identity, _Timeline] = {}
    for _, kind, symbol, start, *values in facts.iter_rows():
        found.setdefault((kind, symbol), []).append((start, tuple(values)))
    return found


def _at(timeline: _Timeline, moment: datetime) -> tuple:
    """Return the facts at a moment; before the first time those of the first."""
    held = [values for start, values in timeline if start <= moment]
    return held[-1] if held else timeline[0][1]
