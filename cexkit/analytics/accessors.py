"""``frame.crypto``: every registered metric as a method. No formula is here.

:mod:`cexkit.analytics.registration` registers the accessor on pandas and Polars frames. Type checkers do not see
registered accessors; :func:`crypto` gives the same object with types (``accessors.pyi``, generated).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cexkit.analytics._core.dispatch import engine_of
from cexkit.analytics._core.metric import EAGER, Metric
from cexkit.analytics.catalog import METRICS
from cexkit.errors import UnsupportedBackendError

if TYPE_CHECKING:
    from cexkit.analytics.plotting import Plots


class Crypto:
    """Metrics of a frame of crypto market data.

    A row or rolling metric with one output gives that column on eager frames (a pandas Series on the
    frame's own index, a polars Series, a pyarrow ChunkedArray), so that it can be assigned. Everything
    else gives the frame.

    Examples
    --------
    >>> import cexkit, pandas as pd
    >>> frame = pd.DataFrame({"funding_rate": [0.0001], "funding_interval_hours": [8]}, index=["a"])
    >>> frame["apr"] = frame.crypto.funding_apr()
    >>> frame["apr"].round(6).to_dict()
    {'a': 0.1095}
    """

    # It is made again on each access, and errors in an attribute are hidden by some tools: nothing is done here, each
    # method checks.
    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def plot(self) -> Plots:
        """Plots of the frame, such as ``frame.crypto.plot.funding_apr()``; matplotlib Axes come back."""
        from cexkit.analytics.plotting import Plots

        return Plots(self._frame)

    def __repr__(self) -> str:
        return f"<cexkit metrics: {', '.join(sorted(METRICS))}>"


def _method(metric: Metric) -> Callable[..., Any]:
    def method(self: Crypto, *args: Any, **kwargs: Any) -> Any:
        result = metric.function(self._frame, *args, **kwargs)
        bare = metric.appends and len(metric.outputs) == 1 and engine_of(self._frame) in EAGER
        return result[metric.outputs[0]] if bare else result

    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = list(metric.signature.parameters.values())[1:]
    method.__signature__ = inspect.Signature([itself, *parameters])  # type: ignore[attr-defined]
    method.__name__, method.__doc__ = metric.name, metric.function.__doc__
    method.__qualname__ = f"Crypto.{metric.name}"
    return method


for _metric in METRICS.values():
    setattr(Crypto, _metric.name, _method(_metric))


def crypto(frame: Any) -> Crypto:
    """The ``.crypto`` accessor of any supported frame, known to type checkers.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or ibis.Table
        pyarrow and Ibis tables have no accessors of their own; this is theirs.

    Returns
    -------
    Crypto
        With one method per metric.

    Raises
    ------
    UnsupportedBackendError
        If it is no such frame.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"price": [101.0], "reference": [100.0]})
    >>> crypto(table).basis_bps().to_pylist()
    [100.0]
    """
    if engine_of(frame) is None:
        raise UnsupportedBackendError(
            f"crypto() takes a pandas, polars, pyarrow or Ibis frame, not {type(frame).__qualname__}"
        )
    return Crypto(frame)
