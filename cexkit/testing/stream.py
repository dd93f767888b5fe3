"""A loopback venue's stream of liquidations: real websockets, the venue's own words, and what goes wrong with them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Literal

import polars as pl

StreamFault = Literal["drop", "close", "stall", "garbage", "cut", "refuse", "silent", "double", "disorder", "mixed"]

#: Seconds between messages of the busy channel.
BUSY_SECONDS = 0.1


class LoopbackStream:
    """Speaks one venue's dialect over a real websocket on this machine.

    Use it as a context manager. Each connection goes on where the one before broke off, and shows the last message
    again first, as venues do.

    Parameters
    ----------
    exchange : str
        Venue whose dialect it speaks.
    liquidations, instruments : polars.DataFrame
        What happened, in the declared columns; rows of other venues are left out.
    faults : collection of str
        What goes wrong, each once, spread over the messages: ``drop`` (the line is cut), ``close`` (the venue says
        goodbye), ``stall`` (silence, pings unanswered), ``garbage`` (a malformed message), ``cut`` (half a message
        before the whole one), ``refuse`` (a subscription is turned down), ``silent`` (the first connection acknowledges
        every subscription, responds to pings, and delivers no data); ``double`` sends every third message twice,
        ``disorder`` swaps neighbors, ``mixed`` sends events of coin-margined contracts in between (Binance only).

    Attributes
    ----------
    connections, foreign : int
        Connections so far, and events of other markets that were sent.
    pings, subscribed, busy : list of str
        Pings received, topics of liquidations, and other topics.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> tables = simulate(start="2026-05-20", end="2026-05-21", coins=["BTC"], exchanges=["bybit"]).tables
    >>> with LoopbackStream("bybit", tables["liquidations"], tables["instruments"]) as venue:
    ...     venue.url[:15]
    'ws://127.0.0.1:'
    """

    def __init__(
        self,
        exchange: str,
        liquidations: pl.DataFrame,
        instruments: pl.DataFrame,
        *,
        faults: Collection[StreamFault] = (),
    ):
        self.exchange, self.faults = exchange, list(faults)
        self.connections = self.foreign = 0
        self.pings: list[str] = []
        self.subscribed: list[str] = []
        self.busy: list[str] = []
        self.sent_all = threading.Event()
        names = instruments.filter(exchange=exchange).select(
            "instrument_type", "symbol", "venue_symbol", "contract_size"
        )
        rows = liquidations.filter(exchange=exchange).sort("timestamp", "symbol")
        self._rows = rows.join(names, on=["instrument_type", "symbol"], maintain_order="left").to_dicts()
        self._messages = [_SAYS[exchange](row) for row in self._rows]
        if "disorder" in self.faults:
            for first in range(0, len(self._messages) - 1, 5):
                self._messages[first : first + 2] = reversed(self._messages[first : first + 2])
        self._at, self._busy_at = 0, 0.0
        self._stopped = threading.Event()
        self._breaks = self._plan()

    def _plan(self) -> dict[int, StreamFault]:
        """At which message what goes wrong."""
        once = [fault for fault in self.faults if fault in ("drop", "close", "stall", "garbage", "cut")]
        step = max(len(self._messages) // (len(once) + 1), 1)
        return {step * (number + 1): fault for number, fault in enumerate(once)}

    @property
    def messages(self) -> int:
        """How many messages there are to tell."""
        return len(self._messages)

    def __enter__(self) -> LoopbackStream:
        from websockets.sync.server import serve

        self._server = serve(self._handle, "127.0.0.1", 0, ping_interval=None)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/"
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._thread.join(5)

    def _handle(self, socket: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        self.connections += 1
        try:
            if not self._grant(socket):
                return
            if "silent" in self.faults:
                self.faults.remove("silent")
                while not self._stopped.is_set():
                    self._hear(socket)
                return
            self._send_busy(socket)
            # what was shown last is shown again
            for number in range(max(self._at - 1, 0), len(self._messages)):
                if self._stopped.is_set() or not self._tell(socket, number):
                    return
                self._at = number + 1
            self.sent_all.set()
            while not self._stopped.is_set():
                self._hear(socket)
                if time.monotonic() - self._busy_at >= BUSY_SECONDS:
                    self._send_busy(socket)
        except ConnectionClosed:
            pass

    def _tell(self, socket: Any, number: int) -> bool:
        fault = self._breaks.pop(number, None)
        if fault == "drop":
            socket.socket.close()
            return False
        if fault == "close":
            socket.close()
            return False
        if fault == "stall":
            # neither messages nor responses to pings, as a line that is dead without anybody having said so
            socket.protocol.receive_data = lambda data: None
            self._stopped.wait(30)
            return False
        if fault == "garbage":
            socket.send('{"data": [{"details": 7}], "arg": {"channel": "liquidation-orders"}, "e": "forceOrder", '
                        '"topic": "allLiquidation.X"}')  # fmt: skip
        if fault == "cut":
            socket.send(self._messages[number][: len(self._messages[number]) // 2])
        if "mixed" in self.faults and self.exchange == "binance":
            # messages before 2026-06-30 had no `st`
            socket.send(_coin_margined(self._rows[number], {"st": 2} if number % 2 else {}))
            self.foreign += 1
        socket.send(self._messages[number])
        if "double" in self.faults and number % 3 == 0:
            socket.send(self._messages[number])
        return True

    def _grant(self, socket: Any) -> bool:
        """Answer subscriptions until something is subscribed; Binance names the stream in the address."""
        if self.exchange == "binance":
            return True
        refuse = "refuse" in self.faults
        if refuse:
            self.faults.remove("refuse")
        text = socket.recv(timeout=10)
        while text is not None:
            topics = json.loads(text)["args"]
            for topic in topics:
                self._note_topic(topic)
            for response in _GRANTS[self.exchange](topics, not refuse):
                socket.send(json.dumps(response))
            try:
                text = socket.recv(timeout=0.1)
            except TimeoutError:
                text = None
        return not refuse

    def _note_topic(self, topic: Any) -> None:
        name, kind = (topic, topic) if isinstance(topic, str) else (topic["channel"], topic.get("instType"))
        if name.startswith(("allLiquidation.", "liquidation-orders")):
            self.subscribed.append(kind)
        else:
            self.busy.append(name)

    def _send_busy(self, socket: Any) -> None:
        """Send a message of the busy channel, if it is subscribed; Binance's is named in the address."""
        self._busy_at = time.monotonic()
        if self.exchange == "binance" or self.busy:
            socket.send(_BUSY[self.exchange])

    def _hear(self, socket: Any) -> None:
        try:
            text = socket.recv(timeout=0.05)
        except TimeoutError:
            return
        self.pings.append(text)
        socket.send("pong" if self.exchange == "okx" else '{"success":true,"ret_msg":"pong","op":"ping"}')


def _ms(row: dict[str, Any]) -> int:
    return round(row["timestamp"].timestamp() * 1000)


def _binance(row: dict[str, Any]) -> str:
    side = {"long": "SELL", "short": "BUY"}[row["side"]]
    order = {
        "s": row["venue_symbol"], "S": side, "o": "LIMIT", "f": "IOC", "q": repr(row["quantity_base"]),
        "p": repr(row["price"] * 0.99), "ap": repr(row["price"]), "X": "FILLED",
        "l": repr(row["quantity_base"] * 0.5), "z": repr(row["quantity_base"]), "T": _ms(row),
        "ps": row["venue_symbol"], "st": 1,
    }  # fmt: skip
    return json.dumps({"stream": "!forceOrder@arr", "data": {"e": "forceOrder", "E": _ms(row), "o": order}})


def _coin_margined(row: dict[str, Any], market: dict[str, int]) -> str:
    """Return an event of a coin-margined contract at the same time; its quantity is in contracts."""
    order = {
        "s": f"{row['base']}USD_PERP", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "3", "p": repr(row["price"]),
        "ap": repr(row["price"]), "X": "FILLED", "l": "3", "z": "3", "T": _ms(row), "ps": f"{row['base']}USD",
    }  # fmt: skip
    data = {"e": "forceOrder", "E": _ms(row), "o": order | market}
    return json.dumps({"stream": "!forceOrder@arr", "data": data})


def _bybit(row: dict[str, Any]) -> str:
    side = {"long": "Buy", "short": "Sell"}[row["side"]]
    item = {
        "T": _ms(row),
        "s": row["venue_symbol"],
        "S": side,
        "v": repr(row["quantity_base"]),
        "p": repr(row["price"]),
    }
    topic = f"allLiquidation.{row['venue_symbol']}"
    # events alike in all that matters are messages of different moments
    return json.dumps({"topic": topic, "type": "snapshot", "ts": _ms(row) + 500 + row["event"], "data": [item]})


def _okx(row: dict[str, Any]) -> str:
    contracts = row["quantity_base"] / row["contract_size"]
    details = {
        "bkLoss": "0", "bkPx": repr(row["price"]), "ccy": "", "posSide": row["side"],
        "side": {"long": "sell", "short": "buy"}[row["side"]], "sz": repr(contracts), "ts": str(_ms(row)),
    }  # fmt: skip
    item = {"details": [details], "instId": row["venue_symbol"], "instType": "SWAP"}
    return json.dumps({"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [item]})


def _bybit_grant(topics: list[Any], well: bool) -> list[dict[str, Any]]:
    return [{"success": well, "ret_msg": "" if well else "error:handler not found", "op": "subscribe"}]


def _okx_grant(topics: list[Any], well: bool) -> list[dict[str, Any]]:
    if not well:
        return [{"event": "error", "code": "60018", "msg": "wrong channel"}]
    return [{"event": "subscribe", "arg": one} for one in topics]


#: A message of each venue's busy channel.
_BUSY = {
    "binance": '{"stream":"btcusdt@markPrice","data":{"e":"markPriceUpdate","E":1786171884000,"s":"BTCUSDT","st":1}}',
    "bybit": '{"topic":"kline.1.BTCUSDT","type":"snapshot","ts":1786171884000,"data":[]}',
    "okx": '{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[]}',
}
_SAYS: dict[str, Callable[[dict[str, Any]], str]] = {"binance": _binance, "bybit": _bybit, "okx": _okx}
_GRANTS: dict[str, Callable[[list[Any], bool], list[dict[str, Any]]]] = {"bybit": _bybit_grant, "okx": _okx_grant}
