"""Periods of instruments: the facts that lists showed, each with the span of time in which it holds."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.schema.render import to_polars

_TABLE = TABLES["instrument_periods"]
_KEYS = list(INSTRUMENT_KEYS)
_FACTS = [name for name in _TABLE.columns if name not in (*_KEYS, "valid_from", "valid_to")]
_TIME = to_polars(_TABLE)["valid_from"]


class PeriodLog:
    """Periods of instruments, collected from the lists of a venue in the order in which they were read.

    * A change is valid from the time of the first list that shows it. If the instrument was listed again since the
      previous list, its new facts are valid from its new listing time.
    * The facts of the first list are valid from the listing time, because no earlier list contradicts them. If that
      list shows the instrument after its end, its status is ``trading`` before its delisting time.
    * So a later list never changes the facts of a known instrument before an earlier list.

    Examples
    --------
    >>> from cexkit.schema.intervals import utc
    >>> from cexkit.testing.simulation import simulate
    >>> market = simulate(start="2026-05-01", end="2026-05-02", coins=["BTC"], exchanges=["coinbase"])
    >>> log = PeriodLog()
    >>> log.add(market.tables["instruments"], utc("2026-05-02"))
    >>> log.add(market.tables["instruments"].with_columns(tick_size=0.5), utc("2026-05-03"))
    >>> log.periods().filter(instrument_type="spot").select(pl.col("valid_from").dt.date(), "tick_size").rows()
    [(datetime.date(2021, 1, 11), 0.1), (datetime.date(2026, 5, 3), 0.5)]
    """

    def __init__(self) -> None:
        self._changes = [to_polars(_TABLE).to_frame().drop("valid_to")]
        self._current = self._changes[0].select(*_KEYS, *_FACTS)
        self._read_until: datetime | None = None

    @classmethod
    def resume(cls, changes: pl.DataFrame, current: pl.DataFrame) -> PeriodLog:
        """Return the log that :meth:`state` stated."""
        log = cls()
        log._changes = [changes]
        log._current, log._read_until = current.drop("_read_until"), current["_read_until"].max()
        return log

    def state(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return all changes, and the current facts with the time of the last list."""
        current = self._current.with_columns(_read_until=pl.lit(self._read_until, _TIME))
        return _one_per_start(pl.concat(self._changes, how="diagonal")), current

    @property
    def read_until(self) -> datetime | None:
        """When the last list was read; None before the first."""
        return self._read_until

    def add(self, listed: pl.DataFrame, at: datetime) -> None:
        """Add the instruments as all lists read up to a time show them, delisted ones included.

        Parameters
        ----------
        listed : polars.DataFrame
            Rows of ``instruments``. If several lists show a symbol, the tradable row is current, else the row seen
            last. A life before the current one counts if the symbol is new.
        at : datetime
            When the last of these lists was read.
        """
        ordered = listed.sort(pl.col("status") != "delisted", "observed_at", maintain_order=True)
        lives = ordered.select(*_KEYS, *_FACTS).cast(dict(self._current.schema))
        current = lives.unique(_KEYS, keep="last", maintain_order=True)
        changed = current.join(self._current, on=[*_KEYS, *_FACTS], how="anti", nulls_equal=True)
        begun, now = pl.col("listing_time"), pl.lit(at, _TIME)
        first = changed.join(self._current, on=_KEYS, how="anti").with_columns(valid_from=pl.min_horizontal(begun, now))
        listed_again = begun.is_between(pl.lit(self._read_until, _TIME), now, closed="right")
        later = changed.join(self._current, on=_KEYS, how="semi").with_columns(
            valid_from=pl.when(listed_again).then(begun).otherwise(now)
        )
        self._changes += [_earlier_lives(lives, first, now), _split_at_end(first, now), _split_at_end(later, now)]
        self._current, self._read_until = current, at

    def periods(self, stored: pl.DataFrame | None = None) -> pl.DataFrame:
        """Return the periods as table ``instrument_periods``.

        Parameters
        ----------
        stored : polars.DataFrame, optional
            Periods built from more lists than remain. They win over the periods of the remaining lists, because these
            extend backward only while nothing contradicts them.
        """
        changes = pl.concat(self._changes, how="diagonal")
        if stored is None:
            return _to_periods(_one_per_start(changes))
        # What the newest list shows may be a change from a list that is lost.
        newest = self._current.with_columns(valid_from=pl.lit(self._read_until, _TIME))
        rows = _one_per_start(pl.concat([newest, changes, stored.drop("valid_to")], how="diagonal"))
        return _to_periods(rows.filter(~_delisted_before()))


def _one_per_start(changes: pl.DataFrame) -> pl.DataFrame:
    """Return changes in the order of the table's key; of two at one time the last counts."""
    return changes.unique(list(_TABLE.key), keep="last", maintain_order=True).sort(_TABLE.key)


def _to_periods(changes: pl.DataFrame) -> pl.DataFrame:
    """Return each instrument's changes as consecutive periods."""
    first = pl.int_range(pl.len()).over(_KEYS) == 0
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift().over(_KEYS)) for name in _FACTS)
    rows = changes.filter(first | changed)
    return rows.with_columns(valid_to=pl.col("valid_from").shift(-1).over(_KEYS)).select(_TABLE.columns)


def _delisted_before() -> pl.Expr:
    """True if the previous row says of the same life that it was delisted earlier: a lost list showed it first."""
    previous = {name: pl.col(name).shift().over(_KEYS) for name in ("status", "listing_time", "delisting_time")}
    both = (pl.col("status") == "delisted") & (previous["status"] == "delisted")
    same_life = pl.col("listing_time").eq_missing(previous["listing_time"])
    return (both & same_life & (pl.col("delisting_time") > previous["delisting_time"])).fill_null(value=False)


def _split_at_end(rows: pl.DataFrame, now: pl.Expr) -> pl.DataFrame:
    """Start another period at the delisting time if that is past; the status before it is ``trading``."""
    ended = (pl.col("delisting_time") > pl.col("valid_from")) & (pl.col("delisting_time") <= now)
    ended = (ended & (pl.col("status") != "trading")).fill_null(value=False)
    after = rows.filter(ended).with_columns(valid_from="delisting_time")
    before = rows.with_columns(status=pl.when(ended).then(pl.lit("trading")).otherwise("status"))
    return pl.concat([before, after])


def _earlier_lives(lives: pl.DataFrame, first: pl.DataFrame, now: pl.Expr) -> pl.DataFrame:
    """Return the periods of lives that ended before a symbol's first current life began."""
    begins = first.select(*_KEYS, _begins="valid_from")
    earlier = lives.join(begins, on=_KEYS).filter(pl.col("listing_time") < pl.col("_begins"))
    earlier = earlier.unique([*_KEYS, "listing_time"], keep="last", maintain_order=True)
    periods = _split_at_end(earlier.with_columns(valid_from="listing_time"), now)
    return periods.filter(pl.col("valid_from") < pl.col("_begins")).drop("_begins")
