"""OKX's bulk archive of funding: the only way to more than three months of it.

Facts that shape it, each of which has made somebody's numbers wrong:

- its months begin at midnight **UTC+8**: a settlement at 16:00 UTC on a month's last day is in the next month's file;
- a file may have a header in English, in Chinese or none: the line itself shows which;
- nothing says whether its rate is the one that was paid or the one that was published, so it is held against
  ``realizedRate`` where both are to be had, and not used at all where they differ;
- no checksums are published: a file is read anew each time, and one that was replaced is kept beside the old one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from cexkit.errors import PayloadError
from cexkit.exchanges.archives import Archive, Period, unzipped
from cexkit.exchanges.facts import facts, settlement
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.rows import BOM, Flaw, Rows, plausible
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("instrument_name", "funding_rate", "funding_time")
#: How far its days begin before those of UTC.
AHEAD = timedelta(hours=8)


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Settlements of a ``fundingrates`` file, keyed on the nearest minute."""
    import pyarrow as pa

    text = unzipped(endpoint, body).removeprefix(BOM).decode("gb18030", errors="replace").replace('"', "")
    lines = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip(" ,\t")]
    header = bool(lines) and not any(cell.isdigit() for cell in lines[0])
    if header:
        _check_header(endpoint, lines.pop(0))
    rows, width = Rows(endpoint, [], []), len(lines[0]) if lines else 0
    times, rates = [], []
    for number, line in enumerate(lines):
        try:
            if len(line) != width or width < len(COLUMNS):
                raise _BadCell(None, f"{len(COLUMNS)} columns expected, there are {len(line)}")
            time, rate = _read(line, context)
        except _BadCell as bad:
            rows.flaws.append(Flaw(number, bad.field, bad.problem, ms=_time(line[2]) if len(line) > 2 else None))
            continue
        rows.numbers.append(number)
        times.append(time)
        rates.append(rate)
    if width > len(COLUMNS):
        rows.added = f"its files have {width} columns, {len(COLUMNS)} are known; those behind them are not read"
    columns = {**settlement(pa.array(times, pa.int64())), "funding_rate": pa.array(rates, pa.float64())}
    return facts(context, columns, rows=rows)


class _BadCell(Exception):
    def __init__(self, field: str | None, problem: str):
        super().__init__(problem)
        self.field, self.problem = field, problem


def _check_header(endpoint: str, names: list[str]) -> None:
    """Refuse a header in English with other names; names in Chinese vary, and the cells below them tell enough."""
    if any(name.isascii() for name in names[: len(COLUMNS)]) and tuple(names[: len(COLUMNS)]) != COLUMNS:
        raise PayloadError(endpoint, f"a header with {', '.join(COLUMNS)} expected, got {', '.join(names)!r:.200}")


def _read(cells: list[str], context: Context) -> tuple[int, float]:
    """Return the time in milliseconds and the rate of a line; raise _BadCell if it has none."""
    wanted = context.instrument.venue_symbol
    if cells[0] != wanted:
        raise _BadCell(COLUMNS[0], f"got {cells[0]!r:.60} where {wanted!r} is read")
    time, rate = _time(cells[2]), _number(cells[1])
    if time is None:
        raise _BadCell(COLUMNS[2], f"not a time in milliseconds: {cells[2]!r:.60}")
    if rate is None:
        raise _BadCell(COLUMNS[1], f"not a number: {cells[1]!r:.60}")
    return time, rate


def _time(text: str) -> int | None:
    """Return milliseconds, or microseconds brought to them, by their magnitude; None for other texts."""
    value = _number(text)
    if value is None:
        return None
    whole = int(text) if text.isdigit() else round(value)
    milliseconds = whole // 1000 if whole >= 10**15 else whole
    return milliseconds if plausible(milliseconds, None) else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def path(instrument: Instrument, period: Period, start: datetime) -> str:
    """Where the file of a month lies, by the archive's own calendar."""
    name = f"{quote(instrument.venue_symbol, safe='')}-fundingrates-{start:%Y-%m}.zip"
    return f"/cdn/okex/traderecords/swaprates/monthly/{start:%Y%m}/{name}"


_ENDPOINT = "archive.swaprates"
ARCHIVES = {
    ("funding_rates", "perp"): Archive(
        endpoint=_ENDPOINT,
        path=path,
        parse=partial(parse_funding, _ENDPOINT),
        periods=("month",),
        density="irregular",
        preferred=True,
        ready={"month": timedelta(days=2)},
        ahead=AHEAD,
        margin=timedelta(minutes=1),
        checksums=False,
        compared=True,
    )
}
