"""Conflicts of archives with the API: an archive whose rates differ from the paid ones is not used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

import polars as pl

from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.schema.render import to_polars
from cexkit.warehouse.ingest.batches import batches
from cexkit.warehouse.ingest.inputs import Inputs
from cexkit.warehouse.ingest.region import Region
from cexkit.warehouse.ingest.replay import Identity, Parsed
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.instrument_range import ALL_INSTRUMENTS

#: Rule by which rows of an archive are left out.
CONFLICT = "conflicting archive"
#: Rates closer than this are the same, written with fewer digits.
SAME_RATE = 1e-8


def find_conflicts(
    inputs: Inputs, archives: Collection[str], table: Table, read_stored: Callable[[Window], pl.DataFrame]
) -> tuple[set[Identity], set[Identity]]:
    """Return the instruments whose archives are not used, and those of which this is new or no longer so.

    Of an instrument that had none, only what is new can conflict; of one that had one, all is compared again, if all is
    there. Conflicts are added to the problems of ``inputs``.

    Parameters
    ----------
    inputs : Inputs
        The new responses, and the merged ones that can hold the same rows.
    archives : collection of str
        Endpoints that are compared.
    table : Table
        The declaration.
    read_stored : callable
        Returns the rows of a span that Silver holds.
    """
    ledger = inputs.ledger
    before = {tuple(row) for row in ledger.rules.filter(rule=CONFLICT).select("instrument_type", "symbol").rows()}
    touched = inputs.identities if archives else set()
    if not touched:
        return before, set()
    spans = inputs.spans
    bounds = Window(spans[0].start, spans[-1].end)
    again = Region((identity, ledger.span or bounds) for identity in before & touched)
    found: dict[Identity, str] = {}
    absent = False
    # Rows that Silver holds in place of lost responses are compared at once.
    for some in [ALL_INSTRUMENTS] if ledger.absent() else batches(inputs.expected_rows(bounds)):
        fresh = inputs.read_new(bounds, some)
        changed = Region(part for one in fresh if (part := inputs.region_of(one)))
        if region := Region([*changed, *again.among(some)]):
            absent = bool(ledger.absent(region.bounds))
            parsed = inputs.in_order([*fresh, *inputs.read_merged(region, some)])
            stored = read_stored(region.bounds) if absent else to_polars(table).to_frame()
            found |= conflicting(parsed, archives, table, stored)
    kept = {identity for identity in before if identity not in touched or absent}
    after = kept | set(found)
    for identity in set(found):
        inputs.problems.append(Problem(ledger.exchange, table.name, identity[1], None, found[identity]))
    return after, after ^ before


def conflicting(
    parsed: Iterable[Parsed], archives: Collection[str], table: Table, stored: pl.DataFrame
) -> dict[Identity, str]:
    """Return the instruments whose archive differs from the API where both have a settlement, and how.

    Which of the two is wrong for the rest nobody can say, so no row of the archive is used.

    Parameters
    ----------
    parsed : iterable of Parsed
        Responses in the order in which the later one wins.
    archives : collection of str
        Endpoints that are compared.
    table : Table
        The declaration.
    stored : polars.DataFrame
        Rows of Silver in place of lost responses of the API. Those that equal a row of the archive came from it and
        prove nothing.
    """
    parts: dict[tuple[bool, Identity], list[pl.DataFrame]] = defaultdict(list)
    for one in parsed:
        if one.rows is not None and one.rows.num_rows:
            parts[one.row["endpoint"] in archives, one.identity].append(pl.from_arrow(one.rows))
    found = {}
    for identity in [identity for of_archive, identity in parts if of_archive]:
        archived = _last(parts[True, identity], table)
        paid = [*_paid_before(stored, archived, identity, table), *parts.get((False, identity), [])]
        if paid and (text := _difference(archived, _last(paid, table), table)):
            found[identity] = text
    return found


def _last(parts: list[pl.DataFrame], table: Table) -> pl.DataFrame:
    return pl.concat(parts).unique(table.key, keep="last", maintain_order=True)


def _paid_before(stored: pl.DataFrame, archived: pl.DataFrame, identity: Identity, table: Table) -> list[pl.DataFrame]:
    kind, symbol = identity or (None, None)
    mine = stored.filter(instrument_type=kind, symbol=symbol)
    if mine.is_empty():
        return []
    same = archived.select(*table.key, _archived="funding_rate")
    joined = mine.join(same, on=table.key, how="left", maintain_order="left")
    from_archive = ((pl.col("funding_rate") - pl.col("_archived")).abs() <= SAME_RATE).fill_null(False)
    return [joined.filter(~from_archive).drop("_archived")]


def _difference(archived: pl.DataFrame, paid: pl.DataFrame, table: Table) -> str | None:
    both = archived.join(paid, on=table.key, suffix="_paid")
    off = (both["funding_rate"] - both["funding_rate_paid"]).abs() > SAME_RATE
    if not off.any():
        return None
    return (
        f"the archive's rate differs from the paid one in {off.sum()} of {both.height} settlements that both have: "
        "only what the API has is used"
    )
