"""Frame types that methods and queries return (``return_type=``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from cexkit.errors import UnknownNameError
from cexkit.schema.scalars import is_among

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

ReturnType = Literal["pandas", "polars", "arrow", "ibis"]


def check_return_type(return_type: str) -> str:
    """Return ``return_type``, or raise an error that lists the valid types.

    Examples
    --------
    >>> check_return_type("polars")
    'polars'
    >>> check_return_type("spark")
    Traceback (most recent call last):
    cexkit.errors.UnknownNameError: unknown kind of frame 'spark'... Available: arrow, ibis, pandas, polars
    """
    if not is_among(return_type, get_args(ReturnType)):
        raise UnknownNameError.of("kind of frame", return_type, get_args(ReturnType))
    return return_type


def to_return_type(frame: pl.DataFrame | ir.Table, return_type: str) -> Any:
    """Convert a Polars frame or an Ibis table to the requested type.

    Parameters
    ----------
    frame : polars.DataFrame or ibis.Table
        An Ibis table is computed unless ``return_type`` is ``"ibis"``.
    return_type : str
        ``"pandas"``, ``"polars"``, ``"arrow"``, or ``"ibis"`` (a Polars frame becomes a memtable).

    Raises
    ------
    UnknownNameError
        If the type is unknown.

    Examples
    --------
    >>> import polars as pl
    >>> to_return_type(pl.DataFrame({"price": [1.5]}), "arrow").column_names
    ['price']
    """
    import polars as pl

    if check_return_type(return_type) == "ibis":
        import ibis

        return ibis.memtable(frame) if isinstance(frame, pl.DataFrame) else frame
    computed = frame if isinstance(frame, pl.DataFrame) else frame.to_polars()
    converted = {"pandas": computed.to_pandas, "polars": lambda: computed, "arrow": computed.to_arrow}
    return converted[return_type]()
