"""What the artists hold, for plots other than lines: the metric's own numbers, and what is not known left blank."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import matplotlib
import numpy as np
import polars as pl
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import cexkit
from cexkit import plotting
from cexkit.analytics.plotting._series import with_gaps
from cexkit.analytics.plotting._style import OTHERS, SIDES, VENUES
from cexkit.errors import InvalidInputError, MissingColumnError, UnknownNameError

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = [START + timedelta(days=day) for day in range(6)]


def _ax():
    return Figure().subplots()


def _texts(ax):
    return [text.get_text() for text in ax.texts]


def _legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def _bars(exchange="okx", base="BTC", days=DAYS, **columns) -> pl.DataFrame:
    keys = {"exchange": exchange, "instrument_type": "perp", "symbol": f"{base}USDT", "base": base, "quote": "USDT"}
    return pl.DataFrame({"timestamp": days, **columns}).with_columns(**{k: pl.lit(v) for k, v in keys.items()})


def _events(**columns) -> pl.DataFrame:
    given = {"side": ["long", "short", "long"], "price": [100.2, 101.9, 104.0], "coverage": ["full"] * 3}
    given |= {"quantity_base": [1.0] * 3, "value_usd": [8e6, 4e6, 1e6]}
    return _bars(days=[START, START, DAYS[1]], **(given | columns))


def _luminance(color: str) -> float:
    channels = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color))
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


@pytest.mark.parametrize("color", sorted({*VENUES.values(), *OTHERS, *SIDES.values()}))
def test_colors_stand_out_from_white_and_from_black(color):
    light = _luminance(color)
    assert 1.05 / (light + 0.05) >= 3
    assert (light + 0.05) / 0.05 >= 3


@pytest.mark.parametrize("colors", [VENUES, SIDES])
def test_colors_of_one_picture_differ_to_color_blind_eyes(colors):
    """As seen without red or green cones (Viénot, Brettel and Mollon 1999, on linear light)."""
    blind = {
        "protanopia": [[0.1124, 0.8876, 0.0], [0.1124, 0.8876, 0.0], [0.0040, -0.0040, 1.0]],
        "deuteranopia": [[0.2928, 0.7072, 0.0], [0.2928, 0.7072, 0.0], [-0.0223, 0.0223, 1.0]],
    }
    for kind, matrix in blind.items():
        seen = [np.clip(np.array(matrix) @ np.array(to_rgb(c)) ** 2.2, 0, 1) ** (1 / 2.2) for c in colors.values()]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
        # blue and purple of Okabe and Ito are closest; lines differ in their dashes too
        assert min(apart) > 0.14, kind


def test_a_row_alone_between_two_gaps_is_alone():
    hours = np.array([0, 8, 16, 64, 112, 120, 128], "datetime64[h]").astype("datetime64[us]")
    assert np.isnan(with_gaps(hours, np.ones(7))[1]).sum() == 2


def test_dates_are_utc_whatever_zone_matplotlib_is_set_to():
    def labels(zone: str) -> list[str]:
        with matplotlib.rc_context({"timezone": zone}):
            ax = plotting.drawdown(_bars(close=[1.0, 2, 3, 4, 5, 6]), ax=_ax())
            ax.figure.draw_without_rendering()
            return [tick.get_text() for tick in ax.get_xticklabels()]

    assert labels("US/Eastern") == labels("UTC")


def test_liquidated_longs_hang_down_and_the_axis_says_how_complete_it_is():
    ax = plotting.liquidations(_events(), ax=_ax())
    assert [bar.get_height() for bar in ax.patches] == [4.0, -8.0, -1.0]
    assert [bar.get_width() for bar in ax.patches] == [1.0] * 3
    assert ax.get_ylabel() == "USD million"
    partly = plotting.liquidations(_events(coverage=["full", "throttled", "full"]), ax=_ax())
    assert partly.get_ylabel() == "USD million, lower bounds"
    unknown = plotting.liquidations(_events().drop("coverage"), ax=_ax())
    assert unknown.get_ylabel() == "USD million, coverage unknown"


def test_a_bucket_with_a_value_that_is_unknown_has_no_bar():
    ax = plotting.liquidations(_events(value_usd=[8e6, None, 1e6]), ax=_ax())
    assert np.isnan([bar.get_height() for bar in ax.patches]).tolist() == [True, False, False]
    with pytest.raises(InvalidInputError, match="value in dollars"):
        plotting.liquidations(_events(value_usd=[None] * 3).cast({"value_usd": pl.Float64}), ax=_ax())


def test_the_price_beside_has_a_scale_and_a_unit_of_its_own():
    prices = _bars(close=[1.0, 2, 3, 4, 5, 6])
    ax = plotting.liquidations(_events(), prices=prices, ax=_ax())
    beside = next(each for each in ax.figure.axes if each.get_label() == "price")
    assert beside.get_ylabel() == "price, USDT"
    assert beside.lines[0].get_ydata().tolist() == [1, 2, 3, 4, 5, 6]
    assert _legend(ax)[-1] == "price"
    with pytest.raises(InvalidInputError, match="it draws one"):
        plotting.liquidations(_events(), prices=pl.concat([prices, _bars("bybit", close=[1.0] * 6)]), ax=_ax())


def test_heat_is_in_the_cell_of_its_day_and_price():
    ax = plotting.liquidation_heatmap(_events(), bin_width=1, ax=_ax())
    mesh = ax.collections[0]
    cells = np.ma.filled(mesh.get_array().astype(float), 0)
    corners = mesh.get_coordinates()
    (row,), (column,) = np.where(cells == 8e6)[0], np.where(cells == 8e6)[1]
    assert corners[row, column, 1] == 100
    assert corners[row, column, 0] == matplotlib.dates.date2num(START)
    assert cells.sum() == 13e6
    assert mesh.colorbar.ax.get_ylabel() == "liquidated, USD"


def test_the_scale_of_colors_goes_where_it_is_told_to():
    plots = Figure().subplots(1, 2)
    plotting.liquidation_heatmap(_events(), ax=plots[0], colorbar=plots[1])
    assert plots[0].collections[0].colorbar.ax is plots[1]
    alone = plotting.liquidation_heatmap(_events(), ax=_ax(), colorbar=False)
    assert len(alone.figure.axes) == 1
    assert len(plotting.liquidation_heatmap(_events(), ax=_ax()).figure.axes) == 2


def test_most_heat_stands_out_most_on_either_background():
    def ends(style: str) -> tuple[float, float]:
        with matplotlib.style.context(style):
            mesh = plotting.liquidation_heatmap(_events(), ax=_ax()).collections[0]
        return tuple(_luminance(mesh.cmap(end)) for end in (0.0, 1.0))

    least, most = ends("default")
    assert most < least
    least, most = ends("dark_background")
    assert most > least


def test_events_that_are_not_drawn_are_counted():
    ax = plotting.liquidation_heatmap(_events(price=[100.0, None, 104.0]), ax=_ax())
    assert _texts(ax) == ["1 events without price or value not drawn"]
    with pytest.raises(InvalidInputError, match="2 coins"):
        plotting.liquidation_heatmap(pl.concat([_events(), _events().with_columns(base=pl.lit("ETH"))]), ax=_ax())


def _stacked(ax) -> dict[str, np.ndarray]:
    """Top of each band at each whole day, NaN where it is blank."""
    found = {}
    for band in ax.collections:
        points = np.vstack([path.vertices for path in band.get_paths()])
        tops = [points[np.isclose(points[:, 0], matplotlib.dates.date2num(day)), 1] for day in DAYS]
        found[band.get_label()] = np.array([top.max() if len(top) else np.nan for top in tops])
    return found


def test_shares_add_up_and_a_venue_that_is_missing_leaves_a_blank():
    okx, bybit = _bars("okx", volume_usd=[3e9] * 6), _bars("bybit", volume_usd=[1e9] * 6)
    ax = plotting.venue_share(pl.concat([okx, bybit]), ax=_ax())
    bands = _stacked(ax)
    assert list(bands) == ["okx", "bybit"]
    np.testing.assert_allclose(bands["okx"], 75)
    np.testing.assert_allclose(bands["bybit"], 100)
    assert _texts(ax) == ["okx", "bybit"]
    holed = plotting.venue_share(pl.concat([okx, bybit.filter(pl.col("timestamp") != DAYS[3])]), ax=_ax())
    assert np.isnan(_stacked(holed)["okx"]).tolist() == [False] * 3 + [True] + [False] * 2


def test_open_interest_is_a_whole_or_not_there():
    okx = _bars("okx", open_interest_quote=[2e9] * 6)
    bybit = _bars("bybit", days=DAYS[2:], open_interest_quote=[1e9, None, 1e9, 1e9])
    ax = plotting.open_interest(pl.concat([okx, bybit]), ax=_ax())
    assert ax.get_ylabel() == "open interest, USD billion"
    np.testing.assert_allclose(_stacked(ax)["bybit"], [2, 2, 3, np.nan, 3, 3])


def _positions() -> pl.DataFrame:
    return _bars(close=[100.0, 102, 101, 103, 103, 100], open_interest_base=[10.0, 11, 12, 11, 12, 11])


def test_quadrants_are_counted_in_their_corners_and_drawn_by_side():
    ax = plotting.oi_quadrants(_positions(), ax=_ax())
    assert sorted(_texts(ax)) == ["long unwinding: 1", "new longs: 1", "new shorts: 1", "short covering: 1"]
    points = {each.get_label(): each for each in ax.collections}
    np.testing.assert_allclose(points["new_longs"].get_offsets(), [[2.0, 10.0]])
    assert tuple(points["new_longs"].get_facecolor()[0][:3]) == to_rgb(SIDES["long"])
    assert not len(points["short_covering"].get_facecolor())
    assert tuple(points["short_covering"].get_edgecolor()[0][:3]) == to_rgb(SIDES["short"])


def test_the_timeline_is_blank_over_a_gap():
    days = [*DAYS[:3], *(day + timedelta(days=4) for day in DAYS[3:])]
    frame = _positions().with_columns(timestamp=pl.Series(days).dt.cast_time_unit("us"))
    spans = [
        (each.get_label(), *each.get_paths()[place].vertices[[0, 2], 0])
        for each in plotting.oi_timeline(frame, ax=_ax()).collections
        for place in range(len(each.get_paths()))
    ]
    # the change over the gap is short covering: known, but not of a day
    assert sorted(name for name, *_ in spans) == ["long_unwinding", "new_longs", "new_shorts"]
    assert all(abs(end - start) == pytest.approx(1) for _, start, end in spans)


def test_the_cone_holds_quantiles_of_the_metric_and_names_what_is_missing():
    rng = np.random.default_rng(7)
    days = [START + timedelta(days=day) for day in range(60)]
    bars = _bars(days=days, close=100 * np.exp(np.cumsum(rng.normal(0, 0.02, 60))))
    ax = plotting.volatility_cone(bars, windows=(7, 30, 90), interval="1d", ax=_ax())
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    for place, window in enumerate((7, 30)):
        values = (
            cexkit.realized_volatility(bars, window=window, interval="1d")["realized_volatility"].drop_nulls() * 100
        )
        assert lines["median"][place] == pytest.approx(values.median())
        assert lines["latest"][place] == pytest.approx(values[-1])
    assert _texts(ax) == ["too few bars for 90"]
    with pytest.raises(InvalidInputError, match="too short"):
        plotting.volatility_cone(bars, windows=(90,), ax=_ax())


def _futures() -> pl.DataFrame:
    rows = [
        {"exchange": "okx", "base": "BTC", "symbol": f"BTC-{days}", "timestamp": when, "reference": 100.0}
        | {"expiry": DAYS[1] + timedelta(days=days), "price": None if when is DAYS[2] else 100 + days / 36.5}
        for when in DAYS[:3]
        for days in (36.5, 73)
    ]
    return pl.DataFrame(rows)


def test_the_term_structure_is_that_of_the_last_time_known_and_says_which():
    ax = plotting.basis_term_structure(_futures(), ax=_ax())
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [10, 10])
    assert ax.get_title(loc="left").endswith("2024-01-02 00:00 UTC")
    assert ax.get_xlabel() == "expiry, UTC"
    with pytest.raises(InvalidInputError, match="dated futures"):
        plotting.basis_term_structure(_futures().with_columns(expiry=pl.lit(None, pl.Datetime("us", "UTC"))), ax=_ax())


def test_the_band_gives_each_other_instrument_one_vote():
    frame = pl.concat(
        [
            _bars("okx", "BTC", days=DAYS[:1], funding_rate=[1e-4], funding_interval_hours=[8]),
            _bars("okx", "ETH", days=DAYS[:1], funding_rate=[1e-4], funding_interval_hours=[4]),
            # three settlements of a day count once
            _bars("okx", "SOL", days=[START + timedelta(hours=h) for h in (0, 8, 16)])
            .with_columns(funding_rate=3e-4, funding_interval_hours=pl.lit(8, pl.Int64))
            .select(_bars(funding_rate=[0.0] * 6, funding_interval_hours=[8] * 6).columns),
        ]
    )
    ax = plotting.funding_band(frame, base="BTC", ax=_ax())
    lines = {line.get_label(): line.get_ydata()[0] for line in ax.lines}
    assert lines["median of 2"] == pytest.approx((21.9 + 32.85) / 2)
    assert lines["okx BTCUSDT"] == pytest.approx(10.95)
    with pytest.raises(UnknownNameError, match="XRP"):
        plotting.funding_band(frame, base="XRP", ax=_ax())


def test_days_are_utc_days_in_whatever_zone_the_times_are():
    paid = {"funding_rate": [1e-4, 2e-4], "funding_interval_hours": 8}
    late = [START + timedelta(hours=23), START + timedelta(hours=25)]
    utc = pl.concat([_bars(base=base, days=late, **paid) for base in ("BTC", "ETH")])
    berlin = utc.with_columns(pl.col("timestamp").dt.convert_time_zone("Europe/Berlin"))
    means = [plotting.funding_band(frame, base="BTC", ax=_ax()).lines[1].get_ydata() for frame in (utc, berlin)]
    np.testing.assert_allclose(means, [[10.95, 21.9]] * 2)


FRAMES = {
    "basis": _bars(price=[100.5] * 6, reference=[100.0] * 6),
    "basis_term_structure": _futures(),
    "cumulative_funding": _bars(funding_rate=[1e-4] * 6),
    "drawdown": _bars(close=[1.0] * 6),
    "funding_apr": _bars(funding_rate=[1e-4] * 6, funding_interval_hours=[8] * 6),
    "liquidation_heatmap": _events(),
    "liquidations": _events(),
    "oi_quadrants": _positions(),
    "oi_timeline": _positions(),
    "open_interest": _bars(open_interest_quote=[1e9] * 6),
    "venue_share": _bars(volume_quote=[1e9] * 6),
    "volatility_cone": _bars(close=[100.0, 101, 100, 102, 100, 103]),
}


@pytest.mark.parametrize("name", FRAMES)
def test_what_cannot_be_drawn_is_said_and_leaves_no_figure(name):
    before, plot = pyplot.get_fignums(), getattr(plotting, name)
    with pytest.raises(InvalidInputError, match=r"no rows|has none|annualized"):
        plot(FRAMES[name].clear())
    with pytest.raises(MissingColumnError):
        plot(FRAMES[name].select("timestamp"))
    assert pyplot.get_fignums() == before


def test_without_axes_a_figure_of_pyplot_is_made():
    before = pyplot.get_fignums()
    ax = plotting.venue_share(FRAMES["venue_share"])
    assert len(pyplot.get_fignums()) == len(before) + 1
    pyplot.close(ax.figure)


def test_a_dollar_in_a_name_is_a_dollar():
    frame = pl.concat([_bars(close=[1.0] * 6, days=DAYS), _bars("bybit", close=[1.0] * 6)])
    frame = frame.with_columns(symbol=pl.col("exchange") + "$\\frac_")
    ax = plotting.drawdown(frame, ax=_ax())
    ax.figure.draw_without_rendering()
    assert _legend(ax) == ["bybit bybit$\\frac_", "okx okx$\\frac_"]


def test_axes_that_are_none_are_our_error():
    times = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(3)]
    rows = pl.DataFrame({"symbol": "B", "timestamp": times, "close": [1.0, 2.0, 1.5]})
    with pytest.raises(InvalidInputError, match="ax must be matplotlib Axes, got int"):
        plotting.drawdown(rows, ax=3)
