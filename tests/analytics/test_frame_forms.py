"""Every metric and plot on every form of frame: the number of the plain form, or an error of cexkit."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from polars.testing import assert_frame_equal

import cexkit
from cexkit import plotting
from cexkit.analytics._core.metric import Metric
from cexkit.analytics.catalog import METRICS
from cexkit.errors import CexkitError, CexkitWarning, ColumnTypeError, InvalidInputError, MissingColumnError

from .forms import BROKEN, EMPTY, FLOATS, START, TEXTS, TIMES, WHOLE, cases, on_pandas, on_polars, on_pyarrow, plain

CASES = dict(cases())
#: Metrics sort their results by some of these; Ibis and Polars do not promise more.
_BY = ("exchange", "instrument_type", "symbol", "base", "side", "long_exchange", "timestamp", "start", "price_low")


@pytest.fixture(autouse=True)
def _silent():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CexkitWarning)
        yield


def arguments(metric: Metric) -> dict[str, Any]:
    """Return a short window, as NumPy has it, and aggregates of columns that have none."""
    if metric.name == "resample":
        return {"aggregates": dict.fromkeys(("reference", "benchmark", "market_cap_usd", "quantity"), "last")}
    return {"window": np.int64(5)} if metric.window else {}


def given(metric: Metric) -> dict[str, Any]:
    return {p.name: p.default for p in metric.signature.parameters.values()} | arguments(metric)


def inputs(metric: Metric, frame: pl.DataFrame) -> pl.DataFrame:
    wanted = dict.fromkeys(["exchange", "instrument_type", "symbol", "base", "timestamp", *metric.read(given(metric))])
    return frame.select(name for name in wanted if name in frame.columns)


@cache
def without(name: str, column: str) -> pl.DataFrame:
    """Return the values if a column is null, in its own type."""
    frame, metric = plain(), METRICS[name]
    frame = frame.with_columns(pl.lit(None, frame[column].dtype).alias(column))
    return values(metric, metric.function(frame, **arguments(metric)))


def values(metric: Metric, result: Any) -> pl.DataFrame:
    """Return the outputs in Polars, texts and times in one form each."""
    result = result.collect() if isinstance(result, pl.LazyFrame) else result
    if metric.appends:
        names = list(metric.outputs)
        result = result.select(names) if not isinstance(result, pd.DataFrame) else result[names].reset_index(drop=True)
    if not isinstance(result, pl.DataFrame):
        result = pl.from_pandas(result) if isinstance(result, pd.DataFrame) else pl.from_arrow(result)
    frame = pl.DataFrame([_plain(series) for series in result])
    by = [name for name in _BY if name in frame.columns]
    return frame if metric.appends else frame.select(sorted(frame.columns)).sort(by, nulls_last=True)


def _plain(series: pl.Series) -> pl.Series:
    if isinstance(series.dtype, pl.Datetime | pl.Date):
        series = series.cast(pl.Datetime("us")).to_physical()
    if series.dtype.is_numeric():
        return series.cast(pl.Float64).fill_nan(None)
    return series.cast(pl.String)


@cache
def expected(name: str, hours: int = 8) -> pl.DataFrame:
    metric = METRICS[name]
    result = values(metric, metric.function(plain(hours), **arguments(metric)))
    assert any(series.null_count() < len(series) for series in result.select(metric.outputs)), name
    return result


def assert_values(metric: Metric, frame: Any, want: pl.DataFrame) -> None:
    result = metric.function(frame, **arguments(metric))
    if metric.appends and not isinstance(frame, pl.LazyFrame):
        assert len(result) == len(frame)
    assert_frame_equal(values(metric, result), want, rel_tol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_metric_of_every_form_has_the_values_of_the_plain_form(case):
    rest = case.rpartition("rest ")[2]
    frame = CASES[case](plain())
    for name, metric in METRICS.items():
        if metric.selects and rest not in ("chunks", "slice", "subclass", "categorical names") and "ndex" not in rest:
            with pytest.raises(InvalidInputError, match="not declared"):
                metric.function(frame, **arguments(metric))
            continue
        assert_values(metric, frame, expected(name))


DATES = {
    "pandas": lambda f: on_pandas(f, TIMES, lambda s: s.dt.date),
    "pyarrow": lambda f: on_pyarrow(f, TIMES, lambda c: c.cast(pa.date32())),
    "pyarrow date64": lambda f: on_pyarrow(f, TIMES, lambda c: c.cast(pa.date64())),
    "polars": lambda f: on_polars(f, TIMES, lambda s: s.dt.date()),
    "lazy": lambda f: on_polars(f, TIMES, lambda s: s.dt.date()).lazy(),
}


@pytest.mark.parametrize("engine", DATES)
def test_metric_of_dates_has_the_values_of_midnights(engine):
    frame = DATES[engine](plain(24))
    for name, metric in METRICS.items():
        assert_values(metric, frame, expected(name, 24))


#: Changes of one of the two columns of times; the other one stays in UTC and microseconds.
OTHER_ZONES = {
    "naive": lambda name: pl.col(name).dt.replace_time_zone(None),
    "naive ms": lambda name: pl.col(name).dt.replace_time_zone(None).dt.cast_time_unit("ms"),
    "Asia/Kolkata": lambda name: pl.col(name).dt.convert_time_zone("Asia/Kolkata"),
    "ns America/New_York": lambda name: pl.col(name).dt.cast_time_unit("ns").dt.convert_time_zone("America/New_York"),
}
_ENGINES = {"polars": lambda f: f, "lazy": pl.DataFrame.lazy, "pandas": pl.DataFrame.to_pandas}


@pytest.mark.parametrize("engine", [*_ENGINES, "pyarrow"])
@pytest.mark.parametrize("zone", OTHER_ZONES)
@pytest.mark.parametrize("column", ["timestamp", "expiry"])
def test_columns_of_times_in_different_zones_have_the_values_of_one_zone(column, zone, engine):
    frame = plain().with_columns(OTHER_ZONES[zone](column))
    frame = frame.to_arrow() if engine == "pyarrow" else _ENGINES[engine](frame)
    for name, metric in METRICS.items():
        if column in inputs(metric, plain()).columns:
            assert_values(metric, frame, expected(name))


@pytest.mark.parametrize("column", ["timestamp", "expiry"])
@pytest.mark.parametrize(
    "dtype", [pl.Date, pl.Datetime("ms"), pl.Datetime("us", "UTC"), pl.Datetime("us", "Asia/Kolkata")], ids=str
)
def test_time_that_python_does_not_have_raises_or_is_not_read(column, dtype):
    most = 2**31 - 1 if dtype == pl.Date else 2**62
    frame = plain().with_columns(pl.lit(most, pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype).alias(column))
    refused = 0
    for metric in METRICS.values():
        try:
            metric.function(frame, **arguments(metric))
        except InvalidInputError:
            refused += 1
    assert refused >= {"timestamp": 30, "expiry": 3}[column]


@pytest.mark.parametrize("form", BROKEN)
def test_column_that_cannot_be_read_raises_or_changes_nothing(form):
    apply, change = BROKEN[form]
    refused = 0
    for i, (name, metric) in enumerate(METRICS.items()):
        frame = inputs(metric, plain())
        column = frame.columns[i % frame.width]
        broken = apply(plain(), (column,), change)
        try:
            result = values(metric, metric.function(broken, **arguments(metric)))
        except CexkitError:
            refused += 1
        else:
            rest = [each for each in result.columns if each != column]
            if form not in ("pandas mixed", "pandas bytes"):  # a number, or a text, as it stands
                assert_frame_equal(result.select(rest), expected(name).select(rest), rel_tol=1e-9)
    assert refused


@pytest.mark.parametrize("form", EMPTY)
def test_column_without_values_counts_as_null_or_raises(form):
    apply, change = EMPTY[form]
    for column in ("funding_interval_hours", "quote", "expiry", "inverse"):
        frame = apply(plain(), (column,), change)
        for name, metric in METRICS.items():
            if column not in metric.used(given(metric)):
                continue
            try:
                want = without(name, column)
            except CexkitError as error:
                with pytest.raises(type(error)):
                    metric.function(frame, **arguments(metric))
            else:
                found = values(metric, metric.function(frame, **arguments(metric)))
                assert_frame_equal(known(found), known(want), rel_tol=1e-9)


def known(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that have a value, because null alone has no type."""
    return frame.select(series for series in frame if series.null_count() < len(series))


SHORT = {
    "pandas": pl.DataFrame.to_pandas,
    "objects": lambda frame: frame.to_pandas().astype(object),
    "pyarrow": pl.DataFrame.to_arrow,
}


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("engine", SHORT)
def test_short_frames_give_short_results_or_raise(engine, rows):
    frame = SHORT[engine](plain()[:rows])
    for metric in METRICS.values():
        try:
            want = values(metric, metric.function(plain()[:rows], **arguments(metric)))
        except CexkitError:
            continue
        found = values(metric, metric.function(frame, **arguments(metric)))
        assert_frame_equal(found, want, check_dtypes=False)


@pytest.mark.parametrize("make", [pl.DataFrame.to_pandas, pl.DataFrame.to_arrow])
def test_two_columns_of_a_name_that_is_read_raise(make):
    for metric in METRICS.values():
        columns = inputs(metric, plain()).columns
        for name in dict.fromkeys([*columns[5:], "symbol", metric.outputs[0] if metric.appends else "timestamp"]):
            rows = plain() if name in plain().columns else plain().with_columns(pl.lit(1).alias(name))
            whole = make(rows[:2])
            if isinstance(whole, pd.DataFrame):
                whole = pd.concat([whole, whole[[name]]], axis=1)
            else:
                whole = whole.append_column(name, whole.column(name))
            with pytest.raises(InvalidInputError, match=f"2 columns named '{name}'"):
                metric.function(whole, **arguments(metric))


@pytest.mark.parametrize("index", ["timestamp", ["exchange", "symbol", "timestamp"]])
def test_times_in_the_index_are_missed_with_the_remedy(index):
    frame = plain().to_pandas().set_index(index)
    for call in (frame.crypto.returns, frame.crypto.vwap, frame.crypto.plot.drawdown, frame.crypto.plot.open_interest):
        with pytest.raises(MissingColumnError, match=r"reset_index|the frame has"):
            call()


def test_resample_leaves_out_columns_by_any_name():
    want, aggregates = expected("resample"), arguments(METRICS["resample"])["aggregates"]
    for rest in ("None", "lists", "objects", "two of a name", "two without a name"):
        case = next(make for name, make in CASES.items() if name.endswith(f"rest {rest}"))
        frame = case(plain())
        found = cexkit.resample(frame, aggregates=aggregates | {frame.columns[-1]: "none"})
        assert_frame_equal(values(METRICS["resample"], found), want, rel_tol=1e-9)
    with pytest.raises(InvalidInputError, match="named by a text, got 3"):
        cexkit.resample(
            plain().to_pandas().assign(own=1).rename(columns={"own": 3}), aggregates=aggregates | {3: "last"}
        )


@pytest.mark.parametrize("column", [3, None, ["close"], np.array(["close", "open"])])
def test_columns_are_named_by_texts(column):
    for make in (pl.DataFrame.to_pandas, pl.DataFrame.clone):
        with pytest.raises(InvalidInputError, match="must be given by its name"):
            cexkit.returns(make(plain()), price=column)


PLOTS = {
    "basis": {}, "basis_term_structure": {}, "cumulative_funding": {}, "drawdown": {}, "funding_apr": {},
    "funding_band": {"base": "BTC"}, "liquidation_heatmap": {}, "liquidations": {}, "oi_quadrants": {},
    "oi_timeline": {}, "open_interest": {}, "venue_share": {}, "volatility_cone": {"windows": np.array([3, 5])},
}  # fmt: skip


def drawn(name: str, frame: Any, prices: Any = None) -> list[Any]:
    """Return the numbers and words in a picture."""
    beside = {"prices": prices} if name in ("liquidations", "open_interest") else {}
    ax = getattr(cexkit.crypto(frame).plot, name)(ax=Figure().subplots(), **PLOTS[name], **beside)
    lines = [line.get_xydata() for axes in ax.figure.axes for line in axes.lines]
    offsets = [np.asarray(each.get_offsets()) for each in ax.collections]
    bars = [np.array([each.get_x(), each.get_height()], float) for each in ax.patches]
    words = [ax.get_title(loc="left"), ax.get_ylabel(), ax.get_xlim(), ax.get_ylim()]
    return [*words, *lines, *offsets, *bars]


def pictured(name: str) -> pl.DataFrame:
    """Return rows of a plot: one instrument where it takes one, and another coin for a band."""
    frame = plain()
    if name == "funding_band":
        return pl.concat([frame, frame.with_columns(base=pl.lit("ETH"), symbol=pl.lit("ETHUSDT"))])
    one = name in ("volatility_cone", "oi_quadrants", "oi_timeline", "prices")
    return frame.filter(exchange="okx") if one else frame


@pytest.mark.parametrize("name", PLOTS)
def test_plot_of_every_form_shows_what_the_plain_form_shows(name):
    frame, prices = pictured(name), pictured("prices")
    want = drawn(name, frame, prices)
    for case in [*CASES][::5]:
        found = drawn(name, CASES[case](frame), CASES[case](prices))
        for left, right in zip(found, want, strict=True):
            assert left == right if isinstance(right, str) else np.allclose(left, right, equal_nan=True), case


def test_plot_of_columns_that_cannot_be_read_raises():
    broken = [each for form, each in BROKEN.items() if form not in ("pandas mixed", "pandas bytes")]
    for i, name in enumerate(PLOTS):
        frame = pictured(name)
        for column, (apply, change) in zip(("timestamp", "exchange", "quote"), (broken * 4)[3 * i :], strict=False):
            with pytest.raises((ColumnTypeError, InvalidInputError)):
                drawn(name, apply(frame, (column,), change))
        with pytest.raises(InvalidInputError, match="2 columns named"):
            drawn(name, pd.concat([frame.to_pandas(), frame[["timestamp"]].to_pandas()], axis=1))
        with pytest.raises(ColumnTypeError):
            drawn(name, frame.with_columns(pl.col("timestamp").cast(pl.String)))
    assert plotting.drawdown(plain().filter(exchange="okx"), ax=Figure().subplots()).lines


def test_forms_are_of_all_columns():
    assert {*TIMES, *TEXTS, *FLOATS, "inverse", "trades"} == set(plain().columns)
    assert set(WHOLE) <= set(FLOATS)
    assert plain()["timestamp"][0] == START
