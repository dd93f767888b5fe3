"""Where funding stands against its own past. All windows are trailing: a row never knows of later ones."""

from __future__ import annotations

import narwhals.stable.v2 as nw

from cexkit.analytics._core.compat import Column, Frame, names, with_moments, with_rank
from cexkit.analytics._core.hours import Hours, is_number
from cexkit.analytics._core.registry import metric
from cexkit.analytics.funding.intervals import DECLARED, with_again
from cexkit.analytics.funding.rates import with_apr
from cexkit.analytics.volatility import samples_of
from cexkit.errors import InvalidInputError

#: Regimes, from shorts paying to longs paying most.
REGIMES: tuple[str, ...] = ("negative", "baseline", "elevated", "extreme")
#: Highest annual rate that can be called a baseline; above it, a percentage is meant.
MOST_BASELINE = 1.0
# rolling variances of equal numbers differ from zero by rounding on some engines
_CONSTANT = 1e-9


@metric(
    kind="rolling",
    inputs=("funding_rate",),
    optional=(DECLARED,),
    complete_with=DECLARED,
    settlements=True,
    outputs=("funding_zscore",),
)
def funding_zscore(
    frame: Frame,
    *,
    window: int = 90,
    min_samples: int | None = None,
    rate: Column = "funding_rate",
    interval_hours: Hours | None = None,
) -> Frame:
    """How many standard deviations the funding APR is from its trailing mean, ``(APR - mean) / sd``.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        Settled funding; the APR is that of :func:`funding_apr`, so that a change of interval is no jump.
    window : int
        Settlements in the trailing window; the row's own is the last of them and counts in mean and sd.
    min_samples : int, optional
        Settlements in the window that must have an APR; by default all of them.
    rate, interval_hours
        As for :func:`funding_apr`.

    Returns
    -------
    Same type as ``frame``
        With ``funding_zscore`` added; sd is that of a sample (N - 1). Null until the window is full, where
        the row's own APR is null, where another in the window is (unless ``min_samples`` allows for it),
        and where all of the window are equal. The window counts settlements: over a gap, and at shorter
        intervals, it spans other lengths of time.

    Raises
    ------
    InvalidInputError
        If window or min_samples is out of range.
    MissingColumnError, ColumnTypeError, DuplicateKeyError

    Warns
    -----
    SuspectRateWarning
        As for :func:`funding_apr`.

    Notes
    -----
    Only earlier rows count, with one reservation: an interval that has to be derived from the times may
    be null until the next settlement tells a gap from a change. ``funding_interval_hours`` in the frame
    leaves nothing to derive.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> times = [datetime(2024, 1, 1, hour) for hour in (0, 8, 16)]
    >>> frame = pl.DataFrame({"timestamp": times, "funding_rate": [1e-4, 2e-4, 6e-4]})
    >>> frame.crypto.funding_zscore(window=3).round(4).to_list()
    [None, None, 1.1339]
    """
    samples = samples_of(window, min_samples)
    frame = _with_apr(frame, rate, interval_hours)
    frame = with_moments(frame, {"_mean": ("_apr",), "_var": ("_apr", "_apr")}, window, samples)
    deviation = nw.when(nw.col("_var") > 0).then(nw.col("_var")).sqrt()
    frame = frame.with_columns(deviation.alias("_sd"))
    spread = nw.col("_sd") > nw.col("_mean").abs() * _CONSTANT
    return frame.with_columns(
        nw.when(spread).then((nw.col("_apr") - nw.col("_mean")) / nw.col("_sd")).alias("funding_zscore")
    )


@metric(
    kind="rolling",
    inputs=("funding_rate",),
    optional=(DECLARED,),
    complete_with=DECLARED,
    settlements=True,
    outputs=("funding_pct_rank",),
)
def funding_pct_rank(
    frame: Frame,
    *,
    window: int = 90,
    min_samples: int | None = None,
    rate: Column = "funding_rate",
    interval_hours: Hours | None = None,
) -> Frame:
    """Rank of the funding APR in its trailing window, as a fraction of the settlements there.

    ``(below + (equal + 1) / 2) / n``: of the n settlements in the window, the row's own included,
    ``below`` have a lower APR and ``equal`` the same (the row's own is one of them). Ties thus share the
    average of their ranks.

    Parameters
    ----------
    frame, window, min_samples, rate, interval_hours
        As for :func:`funding_zscore`; so are errors, warnings and the note.

    Returns
    -------
    Same type as ``frame``
        With ``funding_pct_rank`` added, above 0 and up to 1: 1 is the one highest of the window, 1/n the
        one lowest, (n + 1) / 2n where all are equal. Null until the window is full, where the row's own
        APR is null, and where another in the window is, unless ``min_samples`` allows for it; n then counts
        those that are there. The window counts settlements, so over a gap it spans more time.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> times = [datetime(2024, 1, 1, hour) for hour in (0, 6, 12, 18)]
    >>> frame = pl.DataFrame({"timestamp": times, "funding_rate": [3e-4, 1e-4, 1e-4, 2e-4]})
    >>> frame.crypto.funding_pct_rank(window=3).round(6).to_list()
    [None, None, 0.5, 1.0]
    """
    samples = samples_of(window, min_samples)
    frame = _with_apr(frame, rate, interval_hours)
    frame = with_rank(frame, "_apr", window, samples, "average")
    return frame.with_columns((nw.col("_rank") / nw.col("_count")).alias("funding_pct_rank"))


@metric(
    kind="rolling",
    inputs=("funding_rate",),
    optional=(DECLARED,),
    complete_with=DECLARED,
    settlements=True,
    outputs=("funding_regime",),
)
def funding_regime(
    frame: Frame,
    *,
    window: int = 90,
    min_samples: int | None = None,
    baseline: float = 0.12,
    extreme: float = 0.95,
    rate: Column = "funding_rate",
    interval_hours: Hours | None = None,
) -> Frame:
    """Regime of the funding APR: ``negative``, ``baseline``, ``elevated`` or ``extreme``.

    In this order: ``negative`` below zero; ``baseline`` up to 12 % a year (venues' own default of 0.01 %
    per 8 h is 10.95 %); ``extreme`` above that and above the 95th percentile of the trailing window;
    ``elevated`` otherwise. A low rate is thus never extreme, however much lower it was before.

    Parameters
    ----------
    frame, window, min_samples, rate, interval_hours
        As for :func:`funding_zscore`; so are errors, warnings and the note.
    baseline : float
        Highest APR of ``baseline``, a fraction, zero or more.
    extreme : float
        Quantile of the trailing window, the row's own APR included, that ``extreme`` lies above; between
        the two nearest values it is interpolated.

    Returns
    -------
    Same type as ``frame``
        With ``funding_regime`` added, text. Null where the APR is null; an APR above ``baseline`` is null
        also until its window is full, since elevated and extreme cannot be told apart, and where another in
        the window is null, unless ``min_samples`` allows for it. The window counts settlements, so over a
        gap it spans more time.

    Examples
    --------
    >>> import cexkit, polars as pl
    >>> from datetime import datetime
    >>> times = [datetime(2024, 1, 1, hour) for hour in (0, 6, 12, 18)]
    >>> frame = pl.DataFrame({"timestamp": times, "funding_rate": [-1e-5, 5e-5, 2e-4, 3e-4]})
    >>> frame.crypto.funding_regime(window=4).to_list()
    ['negative', 'baseline', None, 'extreme']
    """
    samples = samples_of(window, min_samples)
    known = is_number(baseline) and is_number(extreme)
    if not (known and 0 <= baseline <= MOST_BASELINE and 0 < extreme < 1):
        raise InvalidInputError(
            f"baseline must be an annual rate from 0 to {MOST_BASELINE:g} and extreme a quantile between 0 and 1, got "
            f"baseline={baseline!r}, extreme={extreme!r}; both are fractions: 12% is 0.12, the 95th percentile is 0.95"
        )
    frame = _with_apr(frame, rate, interval_hours)
    frame = with_rank(frame, "_apr", window, samples, "min")
    apr, count = nw.col("_apr"), nw.col("_count")
    # a value lies above the interpolated quantile q just when more than q (n - 1) values lie below it;
    # these are whole numbers, so the little more only mends rounding
    above = nw.col("_rank") - 1 > (count - 1) * extreme + 1e-9
    high = nw.when(above).then(nw.lit("extreme")).otherwise(nw.lit("elevated"))
    frame = frame.with_columns(nw.when(~nw.col("_rank").is_null()).then(high).alias("_high"))
    regime = nw.coalesce(
        nw.when(apr < 0).then(nw.lit("negative")),
        nw.when(apr <= baseline).then(nw.lit("baseline")),
        nw.when(apr > baseline).then(nw.col("_high")),
    )
    return frame.with_columns(regime.alias("funding_regime"))


def _with_apr(frame: Frame, rate: str, interval_hours: Hours | None) -> Frame:
    """Add ``_apr``; null for a settlement that a lazy or Ibis frame has twice, since it would count twice."""
    frame = with_apr(frame, "_apr", rate=rate, interval_hours=interval_hours)
    if isinstance(frame, nw.DataFrame):
        return frame
    frame = with_again(frame, ("_settled",) if "_settled" in names(frame) else ())
    return frame.with_columns(nw.when(~nw.col("_again")).then(nw.col("_apr")).alias("_apr"))
