"""OKX's bulk archive of funding: the only way to more than three months of it.

Facts that shape it, each of which has made somebody's numbers wrong:

- its months begin at midnight **UTC+8**: a settlement at 16:00 UTC on a month's last day is in the next month's file;
- a file may have a header in English, in Chinese or none: it is told by the line itself;
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
from cexkit.exchanges.parsing import Context, facts, settlement
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("instrument_name", "funding_rate", "funding_time")
#: How far its days begin before those of UTC.
AHEAD = timedelta(hours=8)


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Settlements of a ``fundingrates`` file, keyed on the nearest minute."""
    import pyarrow as pa

    lines = unzipped(endpoint, body).decode("gb18030", errors="replace").splitlines()
    rows = [line.split(",") for line in lines if line.strip()]
    if rows and not rows[0][-1].strip().isdigit():
        del rows[0]
    times, rates = [], []
    for number, row in enumerate(rows):
        if len(row) != len(COLUMNS):
            raise PayloadError(endpoint, f"{len(COLUMNS)} columns expected, there are {len(row)}", row=number)
        if row[0].strip() != context.instrument.venue_symbol:
            text = f"got {row[0]!r} where {context.instrument.venue_symbol!r} is read"
            raise PayloadError(endpoint, text, row=number, field=COLUMNS[0])
        times.append(_milliseconds(endpoint, number, row[2]))
        rates.append(_rate(endpoint, number, row[1]))
    raw = pa.array(times, pa.int64())
    return facts(context, {**settlement(raw), "funding_rate": pa.array(rates, pa.float64())})


def _milliseconds(endpoint: str, row: int, text: str) -> int:
    """Milliseconds, or microseconds brought to them, by their magnitude."""
    digits = text.strip()
    if digits.isdigit() and digits.isascii():
        value = int(digits)
        if 10**12 <= value < 10**13:
            return value
        if 10**15 <= value < 10**16:
            return value // 1000
    raise PayloadError(endpoint, f"not a time in milliseconds: {text!r:.60}", row=row, field=COLUMNS[2])


def _rate(endpoint: str, row: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise PayloadError(endpoint, f"not a number: {text!r:.60}", row=row, field=COLUMNS[1])
    return value


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
