"""An inventory after many runs next to one after a few, in one run."""

from __future__ import annotations

import time
from datetime import timedelta
from statistics import median

from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.inventory_entries import Key

TABLE, START, HOUR = TABLES["ohlcv_1h"], utc("2020-01-01"), timedelta(hours=1)
INSTRUMENTS = [Key("perp", f"COIN{number}USDT") for number in range(100)]
#: Instruments with a missing row that never comes; their number is the same however many runs there were.
WITH_HOLES = 10
FEW, MANY, ROUNDS = 5, 1500, 30
#: Most that opening and writing after many runs may cost, as a multiple of the cost after a few.
AT_MOST = 1.5


def one_run(root, number: int) -> None:
    """Open the inventory, add the hours of one run for every instrument, and write it."""
    inventory = Inventory(root, "binance", TABLE)
    span = Window(START + number * HOUR, START + (number + 1) * HOUR)
    for position, instrument in enumerate(INSTRUMENTS):
        inventory.unread(instrument, span)
        missing = [span] if number == 0 and position < WITH_HOLES else []
        inventory.record(instrument, span, missing, at=span.end)
    inventory.flush()


def test_inventory_after_many_runs(benchmark, tmp_path):
    benchmark.group = "inventory after many runs"
    folders = {FEW: tmp_path / "few", MANY: tmp_path / "many"}
    for runs, root in folders.items():
        for number in range(runs):
            one_run(root, number)
    seconds: dict[int, list[float]] = {FEW: [], MANY: []}

    def both() -> None:
        for number in range(ROUNDS):
            for runs, root in folders.items():
                began = time.perf_counter()
                one_run(root, runs + number)
                seconds[runs].append(time.perf_counter() - began)

    benchmark.pedantic(both, rounds=1)
    ratio = median(seconds[MANY]) / median(seconds[FEW])
    benchmark.extra_info["ratio"] = round(ratio, 3)
    print(f"{median(seconds[FEW]) * 1e3:.1f} ms after {FEW} runs, {ratio:.2f} times that after {MANY}")
    assert ratio <= AT_MOST
