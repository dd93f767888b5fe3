"""What of an exchange's tables has been asked for and answered, so that nothing is asked for twice after a cut."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cexkit.schema.intervals import Window
from cexkit.warehouse.store.bronze import BronzeWriter, read_bronze


class Identified(Protocol):
    """What is needed of an instrument."""

    @property
    def instrument_type(self) -> str: ...

    @property
    def symbol(self) -> str: ...


class Inventory:
    """Spans of one table of a venue that were answered whole, per instrument.

    Kept in Bronze beside the responses, and written after them: what it claims is there.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    exchange, table : str
        Whose answers.
    run : str
        Name of the run that adds to it.
    """

    def __init__(self, root: Path, exchange: str, table: str, run: str):
        endpoint = f"inventory.{table}"
        self._table = table
        self._writer = BronzeWriter(root, exchange, endpoint, run)
        self._spans: dict[tuple[str, str], list[Window]] = defaultdict(list)
        for row in read_bronze(root, exchange, endpoint, table):
            facts = json.loads(row["context"])
            self._spans[facts["instrument_type"], facts["symbol"]].append(Window(row["data_start"], row["data_end"]))

    def missing(self, instrument: Identified, window: Window) -> list[Window]:
        """The parts of a window that were not answered yet, in order.

        Examples
        --------
        >>> import tempfile
        >>> from cexkit.schema.symbols import Instrument
        >>> btc = Instrument(exchange="okx", instrument_type="perp", symbol="BTCUSDT", venue_symbol="BTC-USDT-SWAP",
        ...                  base="BTC", quote="USDT")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     inventory = Inventory(Path(folder), "okx", "ohlcv_1h", "run")
        ...     inventory.add(btc, Window.of("2024-01-02", "2024-01-03"))
        ...     [part.days for part in inventory.missing(btc, Window.of("2024-01-01", "2024-01-05"))]
        [1.0, 2.0]
        """
        found, moment = [], window.start
        for span in sorted(self._spans[instrument.instrument_type, instrument.symbol]):
            if span.start > moment:
                found.append(Window(moment, min(span.start, window.end)))
            moment = max(moment, span.end)
            if moment >= window.end:
                break
        if moment < window.end:
            found.append(Window(moment, window.end))
        return [part for part in found if not part.empty]

    def add(self, instrument: Identified, window: Window) -> None:
        """Note that a window was answered whole."""
        if window.empty:
            return
        self._spans[instrument.instrument_type, instrument.symbol].append(window)
        now = datetime.now(UTC)
        self._writer.add(
            {
                "table": self._table,
                "data_start": window.start,
                "data_end": window.end,
                "context": json.dumps({"instrument_type": instrument.instrument_type, "symbol": instrument.symbol}),
                "url": "",
                "params": "{}",
                "status": None,
                "headers": "{}",
                "received_at": now,
                "sha256": "",
                "body": b"",
            }
        )

    def flush(self) -> None:
        """Write what was noted; call it only when the responses themselves are on the disk."""
        self._writer.flush()
