"""Values and arguments that cannot be: columns raise, single values become null with a warning, on every metric."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import cexkit
from cexkit.analytics._core.metric import Metric
from cexkit.analytics._core.ranges import RANGES
from cexkit.analytics.catalog import METRICS
from cexkit.errors import (
    CexkitWarning,
    InvalidInputError,
    MixedUnitsWarning,
    OutOfRangeWarning,
    SignedQuantityWarning,
    UnknownNameError,
)

START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS = 7
WINDOW = 3


@cache
def sound() -> pl.DataFrame:
    """Two perpetuals and two dated futures of one coin at two venues, eight hours apart; all columns are sound."""
    rows = []
    for exchange, kind in (("binance", "perp"), ("okx", "perp"), ("binance", "future"), ("okx", "future")):
        for i in range(ROWS):
            price = 100.0 + (i * 7 + len(rows)) % 5
            rows.append(
                {
                    "exchange": exchange,
                    "instrument_type": kind,
                    "symbol": f"BTCUSDT-{kind}",
                    "base": "BTC",
                    "quote": "USDT",
                    "multiplier": 1.0,
                    "timestamp": START + timedelta(hours=8 * i),
                    "expiry": START + timedelta(days=20 if exchange == "okx" else 60),
                    "funding_rate": 1e-4 * ((i + len(rows)) % 3 + 1),
                    "funding_interval_hours": 8.0,
                    "side": ("long", "short")[i % 2],
                    "quantity": 1.0 + i,
                    "coverage": "full",
                    **dict.fromkeys(("open", "close", "price", "reference", "benchmark", "mark_price"), price),
                    "high": price + 1,
                    "low": price - 1,
                    "index_price": price,
                    **dict.fromkeys(("volume_base", "quantity_base", "open_interest_base"), 10.0 + i),
                    **dict.fromkeys(("volume_quote", "value_quote", "open_interest_quote"), 1e3 + i),
                    **dict.fromkeys(("volume_usd", "value_usd", "open_interest_usd"), 1e3 + i),
                    "market_cap_usd": 1e9,
                    "taker_buy_volume_base": 5.0,
                    "taker_buy_volume_quote": 500.0,
                    "trades": 9,
                }
            )
    return pl.DataFrame(rows, schema_overrides={name: pl.Datetime("us", "UTC") for name in ("timestamp", "expiry")})


def arguments_of(metric: Metric) -> dict[str, Any]:
    defaults = {p.name: p.default for p in metric.signature.parameters.values() if p.default is not p.empty}
    return defaults | ({"window": WINDOW} if metric.window else {})


def read_by(metric: Metric) -> list[str]:
    """Inputs with a range that a metric reads from the frame; of alternatives the first."""
    used = metric.used(arguments_of(metric))
    first = metric.alternatives[0] if metric.alternatives else ()
    others = {name for names in metric.alternatives[1:] for name in names}
    skipped = others - {*first, *metric.required(arguments_of(metric))}
    return [name for name in used if name in RANGES and name not in skipped]


def columns_of(metric: Metric, name: str) -> pl.DataFrame:
    names = {metric.column(used, arguments_of(metric)) for used in metric.used(arguments_of(metric))}
    keys = {"exchange", "instrument_type", "symbol", "base", "timestamp"}
    return sound().select([column for column in sound().columns if column in names | keys | {name}])


def called(metric: Metric, frame: Any) -> Any:
    return metric.function(frame, **({"window": WINDOW} if metric.window else {}))


def same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    by = [name for name, dtype in one.schema.items() if not dtype.is_float()]
    left, right = (frame.select(sorted(one.columns)).sort(sorted(by), nulls_last=True) for frame in (one, other))
    return left.equals(right) or all(
        a == b if not isinstance(a, float) or b is None else math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
        for x, y in zip(left.rows(), right.rows(), strict=True)
        for a, b in zip(x, y, strict=True)
    )


CASES = [(name, column) for name in sorted(METRICS) for column in read_by(METRICS[name])]
BAD = {"funding_interval_hours": 480.0, "multiplier": 0.0}


def test_the_cases_are_many_and_sound():
    assert len(CASES) > 60
    assert {column for _, column in CASES} > {"close", "value_usd", "open_interest_base", "funding_interval_hours"}
    for name in sorted(METRICS):
        called(METRICS[name], columns_of(METRICS[name], ""))  # without a warning


@pytest.mark.parametrize(("name", "column"), CASES)
def test_a_single_bad_value_is_null_with_a_warning(name, column):
    metric = METRICS[name]
    frame = columns_of(metric, column)
    bad = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 2).then(BAD.get(column, -5.0)).otherwise(column).alias(column)
    )
    signed = RANGES[column].warning is SignedQuantityWarning
    with pytest.warns(OutOfRangeWarning, match=rf"{name}: 1 of 28 values in column '{column}' are not") as caught:
        got = called(metric, bad)
    assert {one.category for one in caught} == {SignedQuantityWarning if signed else OutOfRangeWarning}
    assert all(one.filename == __file__ for one in caught)
    assert same(called(metric, bad.lazy()).collect(), got), "lazy frames differ"
    if name == "resample":
        return  # a sum with such a part is null, and not the sum of the others
    none = frame.with_columns(pl.when(pl.int_range(pl.len()) != 2).then(column).alias(column))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CexkitWarning)
        without = called(metric, none)
    outputs = [output for output in metric.outputs if output in got.columns]
    assert same(got.select(outputs), without.select(outputs)), "a bad value is not null"


@pytest.mark.parametrize(("name", "column"), [case for case in CASES if RANGES[case[1]].judged])
def test_a_column_whose_median_is_out_of_range_raises(name, column):
    metric = METRICS[name]
    bad = columns_of(metric, column).with_columns(
        pl.when(pl.int_range(pl.len()) % 3 > 0).then(BAD.get(column, -5.0)).otherwise(column).alias(column)
    )
    for native in (bad, bad.to_pandas(), bad.to_arrow()):
        with pytest.raises(InvalidInputError, match=rf"{name}: column '{column}' must be .*got a median of"):
            called(metric, native)
    called(metric, bad.lazy()).collect()  # nobody looks, and what is bad is null


def test_no_lazy_frame_is_executed():
    def fail(frame: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("executed")

    for name in sorted(METRICS):
        frame = columns_of(METRICS[name], "")
        called(METRICS[name], frame.lazy().map_batches(fail, schema=frame.schema))


# ------------------------------------------------------------- liquidations of shorts with a sign
def events(values: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "exchange": "okx",
            "base": "BTC",
            "timestamp": [START + timedelta(seconds=i) for i in range(len(values))],
            "side": ["long" if value >= 0 else "short" for value in values],
            "quantity_base": [value / 100 for value in values],
            "value_usd": values,
            "price": 100.0,
        }
    )


@pytest.mark.parametrize("values", [[5e4, -5e4], [2e4, -1e4], [5e4, 1e4, -5e4]])
def test_signed_amounts_have_no_totals(engine, values):
    frame = engine.make(events(values))
    with warnings.catch_warnings(record=True, action="always") as caught:
        cascades = engine.back(cexkit.liquidation_cascades(frame))
        summary = engine.back(cexkit.liquidation_summary(frame)).sort("side")
        bins = engine.back(cexkit.liquidation_heatmap(frame))
    found = {one.category for one in caught if issubclass(one.category, CexkitWarning)}
    assert found == ({SignedQuantityWarning} if engine.eager else set())
    assert cascades.select("value_usd", "short_value_usd").rows() == [(None, None)]
    assert summary["imbalance"].to_list() == [None, None]
    assert summary["value_usd"].to_list() == [sum(value for value in values if value > 0), None]
    assert summary["quantity_base"].null_count() == 1
    assert bins["value_usd"].to_list() == [None]


def test_a_sum_with_a_signed_part_is_null(engine):
    frame = sound().filter(exchange="okx", instrument_type="perp").select("timestamp", "volume_base", "trades")
    frame = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 4).then(-1.0).otherwise("volume_base").alias("volume_base")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SignedQuantityWarning)
        got = engine.back(cexkit.resample(engine.make(frame))).sort("timestamp")
    assert got["volume_base"].to_list() == [33.0, None, 16.0]
    assert got["trades"].to_list() == [27, 27, 9]


def test_quantities_of_unknown_units_have_no_sum(engine):
    frame = events([1e4, 2e4]).with_columns(base=pl.lit("PEPE"), quantity_base=pl.Series([1e6, 2e9]))
    with warnings.catch_warnings(record=True, action="always") as caught:
        got = engine.back(cexkit.liquidation_summary(engine.make(frame), by="base"))
    assert got.select("quantity_base", "value_usd").rows() == [(None, 3e4)]
    assert [one.category for one in caught if issubclass(one.category, CexkitWarning)] == (
        [MixedUnitsWarning] if engine.eager else []
    )
    sides = frame.with_columns(side=pl.Series(["long", "short"]))  # each side alone would add up
    with warnings.catch_warnings(record=True, action="always") as caught:
        got = engine.back(cexkit.liquidation_summary(engine.make(sides), by="base"))
    assert got["quantity_base"].to_list() == [None, None]
    assert [one.category for one in caught if issubclass(one.category, CexkitWarning)] == (
        [MixedUnitsWarning] if engine.eager else []
    )
    scaled = frame.with_columns(multiplier=pl.Series([1000.0, 1.0]))
    got = engine.back(cexkit.liquidation_summary(engine.make(scaled), by="base"))
    assert got["quantity_base"].to_list() == [3e9]


def test_prices_of_unknown_units_have_no_bins(engine):
    frame = events([1e4, 2e4, 3e4]).with_columns(base=pl.lit("PEPE"), price=pl.Series([0.01, 0.00001, 0.011]))
    hours = frame.with_columns(timestamp=pl.Series([START, START, START + timedelta(hours=3)]))
    with warnings.catch_warnings(record=True, action="always") as caught:
        got = engine.back(cexkit.liquidation_heatmap(engine.make(hours), by="base")).sort("timestamp")
    assert [low is None for low in got["price_low"]] == [True, False]
    assert got["value_usd"].to_list() == [3e4, 3e4]
    assert [one.category for one in caught if issubclass(one.category, CexkitWarning)] == (
        [MixedUnitsWarning] if engine.eager else []
    )
    scaled = hours.with_columns(multiplier=pl.Series([1000.0, 1.0, 1000.0]), quote=pl.lit("USDT"))
    got = engine.back(cexkit.liquidation_heatmap(engine.make(scaled), by="base"))
    assert got["price_low"].null_count() == 0


# ------------------------------------------------------------- units of columns
RATES = {"funding_rate": [1e-4] * 5}
UNITS = [(480, "minutes"), (28_800, "seconds"), (28_800_000, "milliseconds"), (60, "minutes"), (3600, "seconds")]


@pytest.mark.parametrize(("hours", "unit"), UNITS)
@pytest.mark.parametrize(
    "name", ["funding_apr", "funding_apy", "funding_zscore", "funding_interval", "cumulative_funding"]
)
def test_hours_in_another_unit_are_refused(name, hours, unit):
    times = [START + timedelta(hours=8 * i) for i in range(5)]
    frame = pl.DataFrame({"timestamp": times, **RATES, "funding_interval_hours": [hours] * 5})
    call = METRICS[name].function
    for native in (frame, frame.to_pandas(), frame.to_arrow()):
        with pytest.raises(InvalidInputError, match=rf"must be above 0 and at most 24 hours.*looks like {unit}"):
            call(native)


@pytest.mark.parametrize("hours", [-8.0, timedelta(hours=-8)])
def test_negative_hours_are_refused(hours):
    frame = pl.DataFrame({**RATES, "timestamp": [START + timedelta(hours=8 * i) for i in range(5)]})
    negative = frame.with_columns(funding_interval_hours=pl.lit(hours))
    for native in (negative, negative.to_pandas(), negative.to_arrow()):
        with pytest.raises(InvalidInputError, match=r"must be above 0 and at most 24 hours, got a median of -8"):
            cexkit.funding_apr(native)


@pytest.mark.parametrize(("hours", "unit"), UNITS)
def test_the_argument_in_another_unit_is_refused(engine, hours, unit):
    frame = engine.make(pl.DataFrame(RATES))
    with pytest.raises(InvalidInputError, match=rf"interval_hours must be .*, got {hours}; it looks like {unit}"):
        cexkit.funding_apr(frame, interval_hours=hours)


def test_hours_in_another_unit_are_null_where_nobody_looks(engine):
    if engine.eager:
        pytest.skip("eager frames raise")
    frame = pl.DataFrame({**RATES, "funding_interval_hours": [8.0, 480.0, 28_800.0, 24.0, 0.0]})
    got = engine.back(cexkit.funding_apr(engine.make(frame)))["funding_apr"].to_list()
    assert sorted(value for value in got if value is not None) == pytest.approx([0.0365, 0.1095])


@pytest.mark.parametrize("hours", ["8h", "480m", timedelta(hours=8), pd.Timedelta("8h"), np.timedelta64(480, "m"), 8])
def test_the_argument_as_a_duration(engine, hours):
    got = engine.back(cexkit.funding_apr(engine.make(pl.DataFrame(RATES)), interval_hours=hours))
    assert got["funding_apr"].to_list() == pytest.approx([0.1095] * 5)


@pytest.mark.parametrize("hours", ["8", "x", "25h", timedelta(days=2), True, [8]])
def test_an_argument_that_is_no_interval(hours):
    with pytest.raises(InvalidInputError, match="interval_hours must be above 0 and at most 24 hours"):
        cexkit.funding_apr(pl.DataFrame(RATES), interval_hours=hours)


TEXTS = ["8h", "4h", None, "1h", "1d"]
WANT = [0.1095, 0.219, None, 0.876, 0.0365]


def test_a_column_of_texts(engine, helpers):
    frame = pl.DataFrame({"row": range(5), **RATES, "funding_interval_hours": TEXTS})
    got = engine.back(cexkit.funding_apr(engine.make(frame))).sort("row")
    helpers.close([None if v is None or math.isnan(v) else v for v in got["funding_apr"]], WANT)
    assert got["funding_interval_hours"].to_list() == TEXTS


@pytest.mark.parametrize("make", [lambda f: f, lambda f: f.lazy(), lambda f: f.to_pandas(), lambda f: f.to_arrow()])
def test_a_column_of_durations(make, helpers):
    hours = [None if text is None else timedelta(hours={"1d": 24}.get(text) or int(text[:-1])) for text in TEXTS]
    frame = pl.DataFrame({**RATES, "funding_interval_hours": hours})
    got = cexkit.funding_apr(make(frame))
    got = (
        got.collect() if isinstance(got, pl.LazyFrame) else got if isinstance(got, pl.DataFrame) else pl.DataFrame(got)
    )
    helpers.close([None if v is None or math.isnan(v) else v for v in got["funding_apr"]], WANT)


def test_texts_that_are_no_durations_are_refused():
    with pytest.raises(InvalidInputError, match="must hold hours as numbers or durations such as '8h', got 'eight'"):
        cexkit.funding_apr(pl.DataFrame({**RATES, "funding_interval_hours": ["8h"] * 4 + ["eight"]}))


@pytest.mark.parametrize(("wrong", "right"), [("us", "ms"), ("ms", "us"), ("ns", "ms")])
def test_times_in_another_unit_are_refused(wrong, right):
    ms = pl.Series([int((START + timedelta(hours=i)).timestamp() * 1e3) for i in range(40)])
    whole = ms * {"ms": 1, "us": 1_000}[right]
    frame = pl.DataFrame({"timestamp": pl.from_epoch(whole, wrong), "close": [100.0 + i % 3 for i in range(40)]})
    for call in (cexkit.realized_volatility, cexkit.returns, cexkit.vwap, cexkit.resample):
        part = frame if call is not cexkit.vwap else frame.with_columns(volume_base=1.0)
        with pytest.raises(InvalidInputError, match=r"times in column 'timestamp' must be in the years 2000 to 2199"):
            call(part)
    got = cexkit.realized_volatility(frame.lazy()).collect()
    assert got["realized_volatility"].null_count() == 40


def test_expiries_in_another_unit_are_refused():
    frame = sound().with_columns(expiry=pl.from_epoch(pl.lit(1_711_000_000), "ms"))
    with pytest.raises(InvalidInputError, match="times in column 'expiry' must be in the years"):
        cexkit.annualized_basis(frame)


# ------------------------------------------------------------- units of arguments
WRONG = [
    ("funding_spread", {"days": 2_592_000}, "days must be from 0 to 3,650 days.*looks like seconds: .* 30 days"),
    ("funding_spread", {"fees": 5}, "fees must be a fraction from -0.02 to 0.02"),
    ("funding_spread", {"fees": 0.05}, "fees must be a fraction.*looks like percent: 0.05% are 0.0005"),
    ("funding_spread", {"fees": {"okx": 0.0005, "binance": 0.1}}, r"fees\['binance'\] must be a fraction"),
    ("funding_spread", {"slippage": 10}, "slippage must be a fraction.*looks like basis points: 10 bps are 0.001"),
    ("carry_return", {"fees": 0.2}, "fees must be a fraction.*looks like percent: 0.2% are 0.002"),
    ("carry_return", {"fees": "0.002"}, "fees must be a fraction"),
    ("constant_maturity_basis", {"days": 43_200}, "days must be .*looks like minutes: 43200 minutes are 30 days"),
    ("annualized_basis", {"min_days": 259_200}, "min_days must be from 0 to 3,650 days, got min_days=259200"),
    ("funding_regime", {"baseline": 12}, "baseline must be an annual rate from 0 to 1.* 12% is 0.12"),
    ("funding_regime", {"extreme": 95}, "extreme a quantile between 0 and 1.* the 95th percentile is 0.95"),
    (
        "liquidation_heatmap",
        {"bin_bps": 0.01},
        "bin_bps must be from 0.1 to 10,000 basis points.*looks like a fraction",
    ),
    ("funding_zscore", {"interval_hours": 480}, "interval_hours must be .*looks like minutes"),
    ("weighted_funding", {"interval_hours": 480}, "interval_hours must be .*looks like minutes"),
]


#: Truth values, durations of NumPy, and texts do not count as numbers.
WRONG += [
    ("funding_spread", {"days": True}, "days must be from 0 to 3,650 days, got days=True"),
    ("funding_spread", {"days": np.timedelta64(30, "D")}, "days must be from 0 to 3,650 days"),
    ("annualized_basis", {"min_days": np.timedelta64(3, "h")}, "min_days must be from 0 to 3,650 days"),
    ("constant_maturity_basis", {"min_days": "3d"}, "min_days must be from 0 to 3,650 days, got min_days='3d'"),
    ("carry_return", {"fees": np.timedelta64(0, "h")}, "fees must be a fraction"),
    ("funding_apr", {"interval_hours": np.True_}, "interval_hours must be above 0 and at most 24 hours"),
    ("funding_apr", {"interval_hours": np.timedelta64(480, "h")}, "interval_hours must be .*a text such as '8h'"),
    ("funding_regime", {"baseline": "12%"}, "baseline must be an annual rate"),
    ("funding_regime", {"extreme": None}, "extreme a quantile between 0 and 1"),
    ("liquidation_cascades", {"min_events": "2"}, "min_events must be 1 or more, got min_events='2'"),
    ("liquidation_cascades", {"min_events": math.inf}, "min_events must be 1 or more, got min_events=inf"),
    ("liquidation_cascades", {"min_value_usd": None}, "min_value_usd must be zero or more, got min_value_usd=None"),
    ("liquidation_heatmap", {"bin_width": "100"}, "needs a height above zero, got bin_width='100'"),
    ("liquidation_heatmap", {"bin_bps": True}, "needs a height above zero, got bin_bps=True"),
    ("liquidation_heatmap", {"by": 3}, "by must be the name of a column, several names, or None, got 3"),
    ("funding_pnl", {"contract_size": -1}, "contract_size must be a number above zero, got contract_size=-1"),
    ("funding_pnl", {"inverse": "no"}, "inverse must be True or False, got 'no'"),
    ("cumulative_funding", {"compound": "no"}, "compound must be True or False, got 'no'"),
    ("oi_change", {"relative": "no"}, "relative must be True or False, got 'no'"),
    ("weighted_funding", {"weight": 1.0}, "weight must be the name of a column or None, got 1.0"),
    ("resample", {"aggregates": ["close"]}, r"aggregates must map columns to aggregates, got \['close'\]"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), WRONG)
def test_arguments_in_another_unit_are_refused(name, arguments, message):
    for frame in (sound(), sound().lazy()):
        with pytest.raises(InvalidInputError, match=message):
            METRICS[name].function(frame, **arguments)


HOSTILE = {"na": pd.NA, "expression": pl.lit("skip"), "series": pd.Series(["skip"]), "number": 1}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_choice_that_is_no_text_is_our_error(value):
    times = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=8 * number) for number in range(4)]
    rows = pl.DataFrame({"symbol": "B", "timestamp": times, "funding_rate": 1e-4, "asset_class": "crypto"})
    with pytest.raises(UnknownNameError):
        cexkit.cumulative_funding(rows, gaps=value)
    with pytest.raises(UnknownNameError):
        cexkit.connect().panel("close", asset_class=value)


@pytest.mark.parametrize("window", [2**31, 2**63, 10**30])
def test_window_beyond_all_rows_is_our_error(window):
    rows = pd.DataFrame({"timestamp": pd.date_range("2024", periods=9, freq="8h", tz="UTC"), "funding_rate": 1e-4})
    for metric in (cexkit.funding_pct_rank, cexkit.funding_regime, cexkit.funding_zscore):
        for frame in (rows, pl.from_pandas(rows).lazy()):
            with pytest.raises(InvalidInputError, match="window is at most"):
                metric(frame, window=window)
