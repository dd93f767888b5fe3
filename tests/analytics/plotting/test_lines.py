"""What the artists hold: the metric's own numbers, in percent, with gaps and extremes kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import matplotlib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.figure import Figure

from cexkit import plotting
from cexkit.analytics.plotting._series import thinned, with_gaps
from cexkit.analytics.plotting._style import VENUES
from cexkit.errors import InvalidInputError, MissingColumnError, UnsupportedBackendError

START = datetime(2024, 1, 1, tzinfo=UTC)


def _funding(hours=(0, 8, 16, 24), exchanges=("binance", "okx")) -> pl.DataFrame:
    rows = [
        {"exchange": name, "instrument_type": "perp", "symbol": "BTCUSDT", "timestamp": START + timedelta(hours=hour)}
        | {"funding_rate": 0.0001 * (place + 1), "funding_interval_hours": 8}
        for place, name in enumerate(exchanges)
        for hour in hours
    ]
    return pl.DataFrame(rows)


def _ax():
    return Figure().subplots()


def _lines(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


@pytest.mark.parametrize("library", ["polars", "lazy", "pandas", "pyarrow", "ibis"])
def test_apr_is_in_percent_for_every_library(library):
    frame = _funding()
    if library == "ibis":
        import ibis

        given = ibis.memtable(frame)
    else:
        given = {"lazy": frame.lazy, "pandas": frame.to_pandas, "pyarrow": frame.to_arrow}.get(library, lambda: frame)()
    lines = _lines(plotting.funding_apr(given, ax=_ax()))
    assert list(lines) == ["binance", "okx"]
    np.testing.assert_allclose(lines["binance"].get_ydata(), [10.95] * 4)
    np.testing.assert_allclose(lines["okx"].get_ydata(), [21.9] * 4)
    assert [line.get_color() for line in lines.values()] == [VENUES["binance"], VENUES["okx"]]


def test_a_gap_is_a_gap_and_a_change_of_interval_is_none():
    gap = _lines(plotting.funding_apr(_funding((0, 8, 16, 48, 56, 64)), ax=_ax()))["okx"].get_ydata()
    assert np.isnan(gap).tolist() == [False] * 3 + [True] + [False] * 3
    hours = np.array([0, 1, 2, 10, 18, 26], "datetime64[h]").astype("datetime64[us]")
    assert not np.isnan(with_gaps(hours, np.ones(6))[1]).any()


def test_thinning_keeps_the_extremes_and_the_hole():
    values = np.sin(np.arange(100_000) / 500)
    values[31_417], values[77_777], values[50_000] = 9, -9, np.nan
    times = np.arange(100_000).astype("datetime64[m]")
    kept_times, kept = thinned(times, values)
    assert len(kept) < 6_100
    assert (np.nanmax(kept), np.nanmin(kept)) == (9, -9)
    assert times[50_000] in kept_times
    assert np.isnan(kept).sum() == 1
    assert (np.diff(kept_times).astype(int) > 0).all()


@pytest.mark.parametrize("compound", [False, True])
def test_cumulative_funding_states_where_settlements_are_missing(compound):
    ax = plotting.cumulative_funding(_funding((0, 8, 16, 48, 56)), compound=compound, ax=_ax())  # no warning
    values = _lines(ax)["binance"].get_ydata()
    assert np.isfinite(values[:3]).all()
    assert np.isnan(values[3:]).all()
    assert [text.get_text() for text in ax.texts] == ["lines end where settlements are missing"]
    assert not plotting.cumulative_funding(_funding((0, 8, 16)), compound=compound, ax=_ax()).texts


def test_shuffled_rows_draw_the_same():
    frame = _funding((0, 8, 16, 24))
    frame = frame.with_columns(funding_rate=pl.int_range(pl.len()) * 1e-5)
    one, other = (
        plotting.cumulative_funding(f, ax=_ax()) for f in (frame, frame.sample(fraction=1, shuffle=True, seed=1))
    )
    for label, line in _lines(one).items():
        np.testing.assert_allclose(line.get_ydata(), _lines(other)[label].get_ydata())
    np.testing.assert_allclose(_lines(one)["binance"].get_ydata(), [0, 0.001, 0.003, 0.006], atol=1e-12)


def test_errors_are_of_the_tree_and_leave_no_figure():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    with pytest.raises(InvalidInputError, match="9 instruments"):
        plotting.funding_apr(_funding(exchanges=[f"v{i}" for i in range(9)]))
    with pytest.raises(InvalidInputError, match="no rows"):
        plotting.funding_apr(_funding().clear())
    with pytest.raises(MissingColumnError, match="funding_rate"):
        plotting.funding_apr(_funding().drop("funding_rate"))
    with pytest.raises(UnsupportedBackendError, match="int"):
        plotting.drawdown(3)
    assert pyplot.get_fignums() == before


def test_settings_stay_and_units_are_named():
    before = dict(matplotlib.rcParams)
    ax = plotting.drawdown(pd.DataFrame({"timestamp": pd.date_range(START, periods=2), "close": [4.0, 3.0]}), ax=_ax())
    assert dict(matplotlib.rcParams) == before
    assert ax.get_ylabel().endswith("%")
    assert ax.get_xlabel() == "time, UTC"
    assert ax.lines[0].get_ydata().tolist() == [0, -25]
