"""Published keys that a publication would remove, and those that the user allows it to remove."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cexkit.errors import InvalidInputError, PublicationError, UnknownNameError, UnknownTableError
from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.schema.names import alike, fold, to_tuple
from cexkit.text import printable
from cexkit.warehouse.store.manifest import Manifest

#: Maximum number of names that a message lists.
NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Loss:
    """Published keys of a table and venue that the dataset to publish lacks. ``str`` of it is for people.

    Attributes
    ----------
    table : str
        Name of the table.
    exchange : str or None
        Venue; None for Gold tables.
    keys : int
        Number of keys; an upper bound if ``uncompared`` names files.
    instruments, months : tuple of str
        Instruments (``perp BTCUSDT``) and UTC months (``2026-06``) of these keys. Empty if unknown, or if the table
        has none.
    uncompared : tuple of str
        Published files that cannot be compared because they are missing or damaged, or because a later cexkit
        declared their table. All their keys count as lost.

    Examples
    --------
    >>> print(Loss("ohlcv_1h", "okx", 2, ("perp BTCUSDT",), ("2026-05", "2026-06")))
    ohlcv_1h of okx: 2 keys of 1 instrument (perp BTCUSDT) in 2 months (2026-05, 2026-06)
    """

    table: str
    exchange: str | None
    keys: int
    instruments: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    uncompared: tuple[str, ...] = ()

    @property
    def allowance(self) -> str:
        """The value of ``allow_loss`` that allows exactly this loss."""
        return self.table if self.exchange is None else f"{self.table}:{self.exchange}"

    def __str__(self) -> str:
        name = self.table if self.exchange is None else f"{self.table} of {self.exchange}"
        instruments = f" of {_names(self.instruments, 'instrument')}" if self.instruments else ""
        months = f" in {_names(self.months, 'month')}" if self.months else ""
        files = f", {_names(self.uncompared, 'file')} could not be compared" if self.uncompared else ""
        return printable(f"{name}: {_count(self.keys, 'key')}{instruments}{months}{files}")


def _names(names: Sequence[str], what: str) -> str:
    return f"{_count(len(names), what)} ({', '.join(names[:NAMES_SHOWN])}{', …' if names[NAMES_SHOWN:] else ''})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class AllowedLosses:
    """Tables, or tables of a venue, whose published keys a publication may remove.

    Examples
    --------
    >>> AllowedLosses.of(["ohlcv_1h:okx"]).covers(Loss("ohlcv_1h", "okx", 1))
    True
    >>> AllowedLosses.of(["ohlcv_1h:okx"]).covers(Loss("ohlcv_1h", "bybit", 1))
    False
    """

    entries: frozenset[tuple[str, str | None]] = frozenset()

    @classmethod
    def of(cls, names: str | Iterable[str]) -> AllowedLosses:
        """Parse ``table`` and ``table:exchange``, the venue in any case.

        Raises
        ------
        InvalidInputError
            If a name has another form.
        """
        return cls(frozenset(map(_parsed, to_tuple(names) or ())))

    def covers(self, loss: Loss) -> bool:
        """Return whether a loss is allowed."""
        venue = loss.exchange and fold(loss.exchange)
        return not self.entries.isdisjoint({(loss.table, None), (loss.table, venue)})

    def require_known(self, manifests: Iterable[Manifest]) -> None:
        """Raise UnknownNameError if a table or venue is neither declared nor named by a manifest."""
        files = [file for manifest in manifests for file in manifest.files]
        tables = {*TABLES, *(file.table for file in files)}
        exchanges = {*EXCHANGES, *(file.exchange for file in files if file.exchange)}
        for table, exchange in sorted(self.entries, key=str):
            if table not in tables:
                raise UnknownTableError.of("table", table, tables)
            if exchange is not None and not alike(exchange, exchanges):
                raise UnknownNameError.of("exchange", exchange, exchanges)

    def require_covers(self, losses: Iterable[Loss], to: str, excluded: Callable[[Loss], int] = lambda _: 0) -> None:
        """Raise PublicationError if a loss is not allowed; the message lists all of these.

        ``excluded`` returns how many responses are excluded from the table of a loss, because no pull brings their
        rows back.
        """
        refused = [loss for loss in losses if not self.covers(loss)]
        if not refused:
            return
        options = " ".join(f"--allow-loss {loss.allowance}" for loss in refused)
        argument = ", ".join(repr(loss.allowance) for loss in refused)
        raise PublicationError(
            f"{to} holds keys that this dataset lacks: {'; '.join(map(str, refused))}. Nothing was changed. Restore "
            f"them ({_ways(refused, excluded)}) and publish again, or publish without them: `{options}` "
            f"(allow_loss=[{argument}])"
        )


def _ways(refused: Sequence[Loss], excluded: Callable[[Loss], int]) -> str:
    """Return how lost keys can be restored."""
    responses = sum(map(excluded, refused))
    if not responses:
        return "`cexkit pull`"
    what = f"{responses:,} excluded response{'' if responses == 1 else 's'}"
    return f"`cexkit quarantine release` for {what}, which `cexkit quarantine list` lists; `cexkit pull` for other keys"


#: Allows no loss.
NO_LOSSES = AllowedLosses()


def _parsed(name: str) -> tuple[str, str | None]:
    table, separator, exchange = name.partition(":")
    if not table or (separator and not exchange):
        raise InvalidInputError(f"allow_loss must be TABLE or TABLE:EXCHANGE, got {name!r}; write 'ohlcv_1h:okx'")
    return table, fold(exchange) or None
