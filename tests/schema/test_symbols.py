"""Multipliers are read from the venue's base by one rule, and names that no rule explains are reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from cexkit.schema.symbols import has_unclear_unit, split_multiplier

SCALED = {
    "1000PEPE": ("PEPE", 1_000),
    "10000LADYS": ("LADYS", 10_000),
    "1000000MOG": ("MOG", 1_000_000),
    "10000000AIDOGE": ("AIDOGE", 10_000_000),
    "1000IQ50": ("IQ50", 1_000),
    "1000X": ("X", 1_000),
    "1000币安": ("币安", 1_000),
    "SHIB1000": ("SHIB", 1_000),
    "LADYS10000": ("LADYS", 10_000),
    "1MBABYDOGE": ("BABYDOGE", 1_000_000),
}
UNCHANGED = ("BTC", "1INCH", "0G", "4", "42", "2Z", "10SET", "100X", "A47", "FOX7", "API3", "C98", "LUNA2", "SPX6900",
             "BANANAS31", "BROCCOLI714", "币安人生", "1MIL", "HPOS10I", "kPEPE")  # fmt: skip
UNCLEAR = ("RUSSELL2000", "1000", "10001INCH", "000X", "X20000", "1000FOO1000", "5000DOG", "20000X", "1MBONK", "1KPEPE")


@pytest.mark.parametrize(("listed", "expected"), SCALED.items())
def test_a_power_of_ten_at_either_end_is_the_multiplier(listed, expected):
    assert split_multiplier(listed) == expected
    assert not has_unclear_unit(*expected, f"{listed}USDT")


@pytest.mark.parametrize("listed", UNCHANGED)
def test_other_digits_belong_to_the_name(listed):
    assert split_multiplier(listed) == (listed, 1)
    assert not has_unclear_unit(listed, 1, f"{listed}USDT")


@pytest.mark.parametrize("listed", UNCLEAR)
def test_numbers_that_no_rule_explains_are_reported(listed):
    assert has_unclear_unit(*split_multiplier(listed), f"{listed}USDT")


def test_a_multiplier_that_only_the_symbol_shows_is_reported():
    assert has_unclear_unit("SHIB", 1, "SHIB1000USDT")
    assert not has_unclear_unit("BTC", 1, "BTCUSDT_261225")


@pytest.mark.parametrize(
    ("asset_class", "expected"), [(None, ("US", 1_000)), ("crypto", ("US", 1_000)), ("index", ("US1000", 1))]
)
def test_only_coins_are_listed_by_the_thousand(asset_class, expected):
    assert split_multiplier("US1000", asset_class) == expected


def test_every_name_of_a_real_listing(shared):
    listing = pl.read_parquet(shared / "real" / "history" / "instruments_binance_20260704.parquet")
    assert listing.height > 800
    for symbol, quote, base, multiplier in listing.select("venue_symbol", "quote", "base", "multiplier").rows():
        listed = symbol.partition("_")[0].removesuffix(quote)
        assert split_multiplier(listed) == (base, multiplier), symbol
        assert not has_unclear_unit(base, multiplier, symbol), symbol
    assert (listing["multiplier"] != 1).sum() == 18


def test_every_name_of_the_real_recordings(shared):
    bases = {base for path in (shared / "recordings").rglob("*.json") for base in _bases(path)}
    assert len(bases) > 100
    scaled = {base: split_multiplier(base) for base in bases if split_multiplier(base) != (base, 1)}
    assert scaled.items() <= (SCALED | {"1000SHIB": ("SHIB", 1_000)}).items()
    assert "1000PEPE" in scaled
    assert not [base for base in bases if has_unclear_unit(*split_multiplier(base), base)]


def _bases(path: Path) -> Iterator[str]:
    """Yield the base currencies in a recorded body."""
    pending = [json.loads(path.read_text(encoding="utf-8"))]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
            names = [value.get(name) for name in ("baseAsset", "baseCoin", "base_currency", "baseCcy")]
            names.append(str(value.get("uly") or "").partition("-")[0])
            yield from (name for name in names if isinstance(name, str) and name)
