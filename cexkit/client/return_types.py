"""The kinds of frame that verbs and queries give: what ``as_=`` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from cexkit.errors import UnknownNameError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

As = Literal["pandas", "polars", "arrow", "ibis"]


def known(as_: str) -> str:
    """The kind of frame asked for, or an error that lists the kinds.

    Examples
    --------
    >>> known("polars")
    'polars'
    >>> known("spark")
    Traceback (most recent call last):
    cexkit.errors.UnknownNameError: unknown kind of frame 'spark'... There are: arrow, ibis, pandas, polars
    """
    if as_ not in get_args(As):
        raise UnknownNameError.of("kind of frame", as_, get_args(As))
    return as_


def give(frame: pl.DataFrame | ir.Table, as_: str) -> Any:
    """A polars frame or an Ibis table as the kind asked for.

    Parameters
    ----------
    frame : polars.DataFrame or ibis.Table
        An Ibis table is computed, unless it is what was asked for.
    as_ : str
        ``"pandas"``, ``"polars"``, ``"arrow"`` or ``"ibis"`` (a polars frame becomes a memtable).

    Raises
    ------
    UnknownNameError
        If there is no such kind.

    Examples
    --------
    >>> import polars as pl
    >>> give(pl.DataFrame({"price": [1.5]}), "arrow").column_names
    ['price']
    """
    import polars as pl

    if known(as_) == "ibis":
        import ibis

        return ibis.memtable(frame) if isinstance(frame, pl.DataFrame) else frame
    computed = frame if isinstance(frame, pl.DataFrame) else frame.to_polars()
    converted = {"pandas": computed.to_pandas, "polars": lambda: computed, "arrow": computed.to_arrow}
    return converted[as_]()
