"""Contract terms over time: the instrument that a name or an identity means at a moment. Pure: no I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cexkit.schema.symbols import Instrument

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class Terms:
    """The instruments of one venue, each with the times from which its terms hold.

    Before the first known time of an instrument, its earliest known terms hold, because no list contradicts them.

    Parameters
    ----------
    known : iterable of (datetime or None, Instrument)
        Instruments, each with the time from which its terms hold; None for all of the past. Of two for one time the
        last counts.

    Examples
    --------
    >>> from cexkit.schema.intervals import utc
    >>> names = {"exchange": "okx", "instrument_type": "perp", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT"}
    >>> swap = Instrument(**names, venue_symbol="BTC-USDT-SWAP", contract_size=0.01)
    >>> larger = Instrument(**names, venue_symbol="BTC-USDT-SWAP", contract_size=0.1)
    >>> terms = Terms([(utc("2024-01-01"), swap), (utc("2024-03-01"), larger)])
    >>> [terms.named("BTC-USDT-SWAP", utc(day)).contract_size for day in ("2023-01-01", "2024-02-29", "2024-03-01")]
    [0.01, 0.01, 0.1]
    """

    def __init__(self, known: Iterable[tuple[datetime | None, Instrument]]):
        self._by_identity = _Timelines()
        self._by_name = _Timelines()
        for start, instrument in sorted(
            ((start or _BEFORE_ALL, instrument) for start, instrument in known), key=lambda pair: pair[0]
        ):
            self._by_identity.add((instrument.instrument_type, instrument.symbol), start, instrument)
            if instrument.instrument_type != "spot":
                self._by_name.add(instrument.venue_symbol, start, instrument)

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Terms:
        """Return the terms in rows of table ``instrument_periods``, or of ``instruments``, whose terms always hold."""
        return cls((row.get("valid_from"), Instrument.of(row)) for row in rows)

    @property
    def names(self) -> frozenset[str]:
        """The venue's names of derivatives."""
        return frozenset(self._by_name.keys)

    def named(self, venue_symbol: str, moment: datetime) -> Instrument | None:
        """Return the derivative that a venue's name means at a moment; None if no list shows the name."""
        return self._by_name.at(venue_symbol, moment)

    def of_instrument(self, instrument: Instrument, moment: datetime) -> Instrument:
        """Return an instrument with its terms at a moment; unchanged if no list shows it."""
        return self._by_identity.at((instrument.instrument_type, instrument.symbol), moment) or instrument


class TermsLog:
    """Contract terms as the lists of a venue show them one after the other."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], list[tuple[datetime | None, Instrument]]] = defaultdict(list)
        self._terms: Terms | None = None

    def add(self, rows: Iterable[Mapping[str, Any]], at: datetime) -> None:
        """Add the rows of a list that was read at a time; the first terms of an instrument hold at all times before.

        An earlier life of a name, which lists of closed contracts show, does not change the terms of the present one.
        """
        for row in rows:
            instrument = Instrument.of(row)
            known = self._known[instrument.instrument_type, instrument.symbol]
            if not known or (row["status"] != "delisted" and known[-1][1] != instrument):
                known.append((at if known else None, instrument))
                self._terms = None

    def terms(self) -> Terms:
        """Return what is known by now."""
        if self._terms is None:
            self._terms = Terms(entry for known in list(self._known.values()) for entry in known)
        return self._terms


class _Timelines:
    """Instruments by key, each with the times from which they hold, added in order of time."""

    def __init__(self) -> None:
        self._starts: dict[Any, list[datetime]] = defaultdict(list)
        self._instruments: dict[Any, list[Instrument]] = defaultdict(list)

    @property
    def keys(self) -> Iterable[Any]:
        return self._starts.keys()

    def add(self, key: Any, start: datetime, instrument: Instrument) -> None:
        self._starts[key].append(start)
        self._instruments[key].append(instrument)

    def at(self, key: Any, moment: datetime) -> Instrument | None:
        if key not in self._starts:
            return None
        place = bisect_right(self._starts[key], moment) - 1
        return self._instruments[key][max(place, 0)]
