"""Kernels over complete windows: against plain Python, wherever their blocks and halves are cut."""

from __future__ import annotations

import math
import random

import numpy as np
import polars as pl
import pytest

from cexkit.analytics._core import windows as windows_module
from cexkit.analytics._core.windows import INSTRUMENT, moments, ranks, with_windows

WINDOWS = [(100, 2), (100, 7), (100, 64), (100, 90), (100, 250), (3, 7), (1, 2), (0, 2)]


def holed(seed: int, choices: list[float] | None = None) -> list[float]:
    rng = random.Random(seed)
    draw = (lambda: rng.choice(choices)) if choices else (lambda: rng.gauss(5, 2))
    return [math.nan if rng.random() < 0.02 else draw() for _ in range(100)]


def windows(values: list[float], window: int) -> list[list[float] | None]:
    """The trailing window of each row; None where it is not complete."""
    trailing = [values[max(i - window + 1, 0) : i + 1] for i in range(len(values))]
    return [None if len(one) < window or any(map(math.isnan, one)) else one for one in trailing]


@pytest.mark.parametrize("cached", [3, 16, 1000])
@pytest.mark.parametrize("method", ["average", "min"])
def test_ranks_are_those_of_sorting(monkeypatch, method, cached):
    monkeypatch.setattr(windows_module, "_CACHED", cached)
    values = holed(5, [-0.0, 0.0, 1.5, -2.0, 7.25])
    for rows, window in WINDOWS:
        want = []
        for one in windows(values[:rows], window):
            below, equal = (sum(x < one[-1] for x in one), one.count(one[-1])) if one else (math.nan, math.nan)
            want.append(below + 1 if method == "min" else below + (equal + 1) / 2)
        (got,) = ranks({"x": np.array(values[:rows])}, "x", window, method)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("cached", [3, 16, 1000])
def test_moments_are_those_of_exact_sums(monkeypatch, cached):
    monkeypatch.setattr(windows_module, "_CACHED", cached)
    x, y = holed(1), holed(2)
    y = [math.nan if math.isnan(a) else b for a, b in zip(x, y, strict=True)]
    x = [math.nan if math.isnan(b) else a for a, b in zip(x, y, strict=True)]
    for rows, window in WINDOWS:
        want = []
        for a, b in zip(windows(x[:rows], window), windows(y[:rows], window), strict=True):
            want.append([math.nan] * 3 if a is None or b is None else _moments(a, b))
        got = moments({"x": np.array(x[:rows]), "y": np.array(y[:rows])}, [("x",), ("x", "x"), ("x", "y")], window)
        np.testing.assert_allclose(np.array(got).T, np.array(want).reshape(rows, 3), rtol=1e-12, atol=1e-13)


def _moments(a: list[float], b: list[float]) -> list[float]:
    mean, other = math.fsum(a) / len(a), math.fsum(b) / len(b)
    return [
        mean,
        math.fsum((x - mean) ** 2 for x in a) / (len(a) - 1),
        math.fsum((x - mean) * (y - other) for x, y in zip(a, b, strict=True)) / (len(a) - 1),
    ]


def test_moments_neither_cancel_nor_remember():
    """A level 1e9 times the spread costs digits of the input only, and a spike is gone once it has left the window."""
    deviations = np.random.default_rng(3).integers(-8, 8, 300) / 16
    (variance,) = moments({"x": deviations + 2.0**30}, [("x", "x")], 30)
    (want,) = moments({"x": deviations}, [("x", "x")], 30)
    np.testing.assert_allclose(variance, want, rtol=1e-12)
    spiked = deviations.copy()
    spiked[100] = 1e15
    (after,) = moments({"x": spiked}, [("x", "x")], 30)
    np.testing.assert_array_equal(after[130:], want[130:])


def test_equal_values_have_no_variance():
    (variance,) = moments({"x": np.full(200, 1e-4)}, [("x", "x")], 90)
    assert (variance[89:] <= 1e-40).all()


def test_no_window_reaches_into_the_instrument_before():
    frame = pl.DataFrame(
        {INSTRUMENT: [0] * 3 + [1] * 4 + [2], "x": [1.0, 2.0, 3.0, 10.0, None, 30.0, 50.0, 7.0]},
        schema_overrides={INSTRUMENT: pl.UInt32},
    )
    got = with_windows(frame, ["x"], ["mean"], lambda of: moments(of, [("x",)], 2), 2)
    assert got["mean"].to_list() == [None, 1.5, 2.5, None, None, None, 40.0, None]
    assert with_windows(frame, ["x"], ["mean"], lambda of: moments(of, [("x",)], 9), 9)["mean"].null_count() == 8


def test_an_infinite_value_spoils_its_own_windows_and_says_nothing(recwarn):
    frame = pl.DataFrame(
        {INSTRUMENT: [0] * 6, "x": [1.0, math.inf, 2.0, 3.0, 5.0, 5.0]}, schema_overrides={INSTRUMENT: pl.UInt32}
    )
    got = with_windows(frame, ["x"], ["var"], lambda of: moments(of, [("x", "x")], 2), 2)
    assert got["var"].to_list() == [None, math.inf, math.inf, 0.5, 2.0, 0.0]
    assert not recwarn.list
