"""The core: registry, layering, seams, engines, shapes."""

from __future__ import annotations

import ast
import inspect
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import cexkit
from cexkit.analytics.__main__ import generated
from cexkit.analytics._core import compat
from cexkit.analytics._core.registry import METRICS, metric
from cexkit.errors import CexkitError, DuplicateKeyError, InvalidInputError, UnsupportedBackendError
from cexkit.schema.fields import FIELDS
from cexkit.schema.intervals import utc

ROOT = Path(cexkit.__file__).parent
#: Metrics and their machinery; what presents metrics on frames and plots may import more.
MODULES = sorted(
    path
    for path in (ROOT / "analytics").rglob("*.py")
    if path.name not in ("__init__.py", "accessors.py", "registration.py") and "plotting" not in path.parts
)

#: Modules that analytics may import in addition to the standard library and itself.
ALLOWED = (
    "narwhals", "polars", "cexkit.analytics", "cexkit.schema.asset_class", "cexkit.schema.fields",
    "cexkit.schema.intervals", "cexkit.schema.scalars", "cexkit.errors",
)  # fmt: skip
#: Below polars: the order of rows, by comparing text where it lies and by numpy's repeat and scatter; full windows;
#: distances of rows in order.
ALLOWED_OF = {"order": ("numpy", "pyarrow.compute"), "columns": ("numpy",), "windows": ("numpy",),
              "series": ("numpy", "pyarrow"), "settlements": ("numpy",), "beta": ("cexkit.schema.names",)}  # fmt: skip
#: Calls that mean different things on different engines, or are missing on some.
ONLY_IN_SEAMS = {
    "first", "last", "rank", "cum_prod", "ewm_mean", "truncate", "timestamp", "rolling_max", "rolling_min",
    "rolling_quantile", "total_seconds", "total_minutes", "total_milliseconds", "total_microseconds", "delta", "mutate",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", [m for m in MODULES if m.stem != "__main__"], ids=lambda p: p.stem)
def test_analytics_import_only_what_they_may(path):
    import sys

    outside = {name for name in imported(path) if name.split(".")[0] not in sys.stdlib_module_names}
    allowed = (*ALLOWED, *ALLOWED_OF.get(path.stem, ()))
    assert {name for name in outside if not name.startswith(allowed)} == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_what_engines_do_differently_is_in_the_seams(path):
    if path.stem in ("compat", "order", "series"):
        return
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert calls & ONLY_IN_SEAMS == set()


def test_every_metric_is_declared_exported_and_documented():
    listed = cexkit.metrics()
    assert listed["name"].to_list() == sorted(METRICS)
    for entry in METRICS.values():
        assert entry.name in cexkit.__all__
        assert getattr(cexkit, entry.name) is entry.function
        document = inspect.getdoc(entry.function)
        for part in ("Returns\n", "Examples\n", ">>> "):
            assert part in document, (entry.name, part)
        assert "null" in document.lower(), f"{entry.name} does not say which rows are null"
        keyword = list(entry.signature.parameters.values())[1:]
        assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in keyword)


def test_the_stub_is_current():
    for path, text in generated().items():
        assert (ROOT.parent / path).read_text() == text, "run python -m cexkit.analytics"


@pytest.fixture
def temporary_metric():
    """Register definitions for one test only."""
    before = dict(METRICS)
    yield metric
    METRICS.clear()
    METRICS.update(before)


def test_a_cross_venue_metric_goes_through_every_engine(temporary_metric, engine):
    import narwhals.stable.v2 as nw

    @temporary_metric(kind="cross-venue", inputs=("close",), outputs=("timestamp", "mean"))
    def mean_close(frame):
        """Mean over venues."""
        frame = frame.with_columns(_close=compat.number(frame, "close"))
        return frame.group_by("timestamp").agg(mean=nw.col("_close").mean())

    time = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame({"exchange": ["a", "b", "c"], "timestamp": [time] * 3, "close": [1.0, 3.0, float("nan")]})
    got = engine.back(mean_close(engine.make(frame)))
    assert got.columns == ["timestamp", "mean"]
    assert got["mean"].to_list() == [2.0]


def test_a_metric_without_an_engine_says_so(temporary_metric):
    @temporary_metric(kind="row", inputs=("close",), outputs=("copy",), engines=("polars",))
    def copy_close(frame):
        """Nothing much."""
        return frame.with_columns(copy=compat.number(frame, "close"))

    frame = pl.DataFrame({"close": [1.0]})
    assert copy_close(frame)["copy"].to_list() == [1.0]
    with pytest.raises(UnsupportedBackendError, match=r"copy_close cannot take polars.*LazyFrame"):
        copy_close(frame.lazy())


@pytest.mark.parametrize("frame", [None, [1], {"price": [1.0]}, pl.Series([1.0]), pd.Series([1.0])])
def test_no_frame(frame):
    with pytest.raises(UnsupportedBackendError, match="it takes pandas, polars"):
        cexkit.basis(frame)
    with pytest.raises(UnsupportedBackendError):
        cexkit.crypto(frame)


def test_evaluated_annotations_are_refused():
    def definition(frame, *, price: str = "close"):
        return frame

    definition.__annotations__["price"] = str
    with pytest.raises(TypeError, match="from __future__ import annotations"):
        metric(kind="row", inputs=("close",), outputs=("x",))(definition)
    assert "definition" not in METRICS


def test_unknown_kinds_and_engines_register_nothing():
    def sums(frame): ...

    with pytest.raises(ValueError, match="kind is one of"):
        metric(kind="column", inputs=(), outputs=())(sums)
    with pytest.raises(ValueError, match="engines are some of"):
        metric(kind="row", inputs=(), outputs=(), engines=("sqlite",))(sums)
    assert "sums" not in METRICS


@pytest.mark.parametrize("name", sorted(METRICS))
def test_renders_as_sql_from_a_schema_alone(name):
    import ibis

    columns = {
        **dict.fromkeys(("exchange", "instrument_type", "symbol", "side", "quote", "base", "coverage"), "string"),
        "timestamp": "timestamp('UTC', 6)",
        **dict.fromkeys(("open", "high", "low", "close", "price", "reference", "benchmark"), "float64"),
        **dict.fromkeys(("funding_rate", "quantity_base", "value_quote"), "float64"),
        **dict.fromkeys(("mark_price", "quantity", "contract_size", "open_interest_quote"), "float64"),
        **dict.fromkeys(("taker_buy_volume_base", "volume_base", "volume_quote"), "float64"),
        **dict.fromkeys(("open_interest_base", "market_cap_usd", "multiplier"), "float64"),
        "inverse": "boolean",
        "expiry": "timestamp('UTC', 6)",
    }
    table = ibis.table(columns, name="source")
    for source in (table, ibis.table({**columns, "timestamp": "timestamp(6)"}, name="naive")):
        if METRICS[name].selects:  # refuses columns that are not declared
            source = source[[column for column in columns if column in FIELDS]]
        sql = ibis.to_sql(getattr(cexkit, name)(source), dialect="duckdb")
        assert sql.startswith(("SELECT", "WITH"))


def test_lazy_stays_lazy_and_ibis_stays_ibis(connection):
    import ibis

    frame = pl.DataFrame({"price": [101.0], "reference": [100.0]})
    lazy = cexkit.basis_bps(frame.lazy())
    assert isinstance(lazy, pl.LazyFrame)
    table = connection.create_table("prices", frame.to_arrow(), overwrite=True)
    piped = table.pipe(cexkit.basis_bps)
    assert isinstance(piped, ibis.Table)
    assert piped.columns == ("price", "reference", "basis_bps")
    assert connection.con.sql(ibis.to_sql(piped)).fetchall() == [(101.0, 100.0, 100.0)]


def test_callers_columns_may_look_like_temporaries():
    time = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (0, 8, 16)]
    frame = pl.DataFrame({"timestamp": time, "_us": [1, 2, 3], "_distance": ["a", "b", "c"], "_x": [1.0, 2.0, 3.0]})
    for got in (cexkit.funding_interval(frame), cexkit.funding_interval(frame.lazy()).collect()):
        assert got.drop("funding_interval_hours", "is_gap").equals(frame)
        assert got["funding_interval_hours"].to_list() == [8.0] * 3


def test_temporaries_cannot_be_inputs(engine):
    frame = pl.DataFrame({"_price": [101.0], "reference": [100.0]})
    with pytest.raises(InvalidInputError, match="'_price'"):
        cexkit.basis(engine.make(frame), price="_price")


@pytest.mark.parametrize("kind", ["naive", "date"])
def test_naive_times_and_dates_on_ibis(connection, kind):
    times = [datetime(2024, 1, 1 + i, tzinfo=UTC) for i in range(4)]
    frame = pl.DataFrame({"timestamp": times, "close": [1.0, 2.0, 4.0, 8.0]})
    frame = frame.with_columns(pl.col("timestamp").dt.replace_time_zone(None))
    frame = frame.with_columns(pl.col("timestamp").dt.date()) if kind == "date" else frame
    table = connection.create_table(f"times_{kind}", frame.to_arrow(), overwrite=True)
    got = table.pipe(cexkit.realized_volatility, window=2, interval="1d").to_polars().sort("timestamp")
    assert got["realized_volatility"].to_list() == pytest.approx([None, None, 0.0, 0.0])
    assert cexkit.realized_volatility(frame, window=2)["realized_volatility"].null_count() == 2


def test_an_output_that_is_there_is_replaced_in_place(engine):
    frame = pl.DataFrame({"basis": [9.0], "price": [101.0], "reference": [100.0]})
    got = engine.back(cexkit.basis(engine.make(frame)))
    assert got.columns == ["basis", "price", "reference"]
    assert got["basis"].to_list() == pytest.approx([0.01])


@pytest.mark.parametrize("every", ["1s", "90m", "12h", "1d", "3d", "1w"])
def test_buckets_are_the_same_on_every_engine(engine, every):
    import narwhals.stable.v2 as nw

    times = ["1969-12-31T23:59:59.999999", "2024-02-29T23:59:59", "2024-01-01"]
    frame = pl.DataFrame({"timestamp": [utc(time) for time in times], "row": range(3)})
    native = engine.make(frame)
    if engine.name.startswith("pandas") or engine.name == "pyarrow":
        native = frame  # which is how they arrive
    got = compat.with_bucket(nw.from_native(native), every).to_native()
    got = got.collect() if isinstance(got, pl.LazyFrame) else got if isinstance(got, pl.DataFrame) else engine.back(got)
    want = frame["timestamp"].dt.truncate(every)
    assert got.sort("row")["_bucket"].dt.epoch("us").to_list() == want.dt.epoch("us").to_list()


@pytest.mark.parametrize("order", ["by instrument", "by time", "two runs", "shuffled", "reversed"])
@pytest.mark.parametrize("keys", [["symbol"], ["exchange", "symbol"], []])
def test_ties_are_found_in_any_order_and_nothing_else(order, keys):
    from cexkit.analytics._core import checks

    times = [datetime(2024, 1, 1 + i, tzinfo=UTC) for i in range(20)]
    parts = [pl.DataFrame({"exchange": e, "symbol": s, "timestamp": times}) for e in ("b", None) for s in ("B", "A")]
    frame = (pl.concat(parts) if keys == ["exchange", "symbol"] else pl.concat(parts[: 1 + len(keys)])).select(
        *keys, "timestamp"
    )
    arrange = {
        "by instrument": lambda f: f,
        "by time": lambda f: f.sort("timestamp", maintain_order=True),
        "two runs": lambda f: pl.concat([f[1::2], f[::2]]),
        "shuffled": lambda f: f.sample(fraction=1, shuffle=True, seed=2),
        "reversed": lambda f: f.reverse(),
    }[order]
    checks.unique(METRICS["returns"], arrange(frame))
    for row in (0, 7, frame.height - 1):
        with pytest.raises(DuplicateKeyError, match="2 rows share"):
            checks.unique(METRICS["returns"], arrange(pl.concat([frame, frame[row]])))


def test_errors_are_our_own():
    for call in (cexkit.basis, cexkit.returns, cexkit.liquidation_summary, cexkit.funding_apr):
        with pytest.raises(CexkitError):
            call(pl.DataFrame())
    assert "null" not in str(METRICS["basis"].outputs)
