"""The declaration of a metric: its name, kind, inputs, outputs, and engines."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, ParamSpec, Protocol, TypeVar, get_args

import polars as pl

from cexkit.analytics._core.compat import Frame
from cexkit.errors import CexkitWarning, InvalidInputError
from cexkit.schema.fields import INSTRUMENT_KEYS

#: ``lazy`` is polars' LazyFrame; the last two are Ibis tables on these backends.
ENGINES: tuple[str, ...] = ("pandas", "polars", "lazy", "pyarrow", "duckdb", "pyspark")
EAGER: tuple[str, ...] = ("pandas", "polars", "pyarrow")

Kind = Literal["row", "rolling", "summary", "cross-venue"]
Arguments = Mapping[str, Any]

P = ParamSpec("P")
FrameT = TypeVar("FrameT")


class MetricFunction(Protocol[P]):
    """A metric as users call it: any supported frame in, a frame of the same type out."""

    __name__: str

    def __call__(self, frame: FrameT, /, *args: P.args, **kwargs: P.kwargs) -> FrameT: ...


class Note(NamedTuple):
    """A warning about rows that a definition marks as True in a temporary column; ``{count}`` is their number."""

    category: type[CexkitWarning]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """An entry of the registry.

    ``inputs`` are required, and so is at least one complete set of ``alternatives``; ``optional`` columns are used if
    present. A parameter annotated ``Column`` names the caller's column for the declared input that is its default
    (``price: Column = "close"``).
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    definition: Callable[..., Frame]
    #: Function that users call: the definition wrapped for every engine.
    function: MetricFunction[...]
    signature: inspect.Signature
    #: Declared input → parameter that names the caller's column for it.
    parts: Mapping[str, str]
    optional: tuple[str, ...] = ()
    alternatives: tuple[tuple[str, ...], ...] = ()
    engines: tuple[str, ...] = ENGINES
    #: Inputs that depend on arguments; replaces ``inputs``.
    requires: Callable[[Arguments], tuple[str, ...]] | None = None
    #: Argument that lists columns to group by.
    groups: str | None = None
    #: The alternatives are needed only while this argument is None.
    unless: str | None = None
    #: Optional column that, if complete, turns a metric that needs other rows into a row metric.
    complete_with: str | None = None
    #: Text inputs that may be numbers instead: a side as +1 and -1.
    signs: tuple[str, ...] = ()
    #: Rows may share instrument and time, because the metric never compares rows of an instrument.
    ties: bool = False
    #: Columns that the definition receives, given those of the frame and the arguments; default: those declared.
    selects: Callable[[Collection[Any], Arguments], list[str]] | None = None
    #: The rows are settlements, which their instrument and minute identify.
    settlements: bool = False
    #: Temporary boolean column of the result → warning about its rows (eager frames).
    notes: Mapping[str, Note] = field(default_factory=dict)
    #: Inspects the values of an eager frame; raises or warns.
    inspects: Callable[[pl.DataFrame, Arguments], None] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is one of {get_args(Kind)}, not {self.kind!r}")
        if not set(self.engines) <= set(ENGINES):
            raise ValueError(f"engines are some of {ENGINES}, not {self.engines!r}")

    @property
    def appends(self) -> bool:
        """True if the outputs are columns of the caller's frame, not a separate frame."""
        return self.kind in ("row", "rolling")

    @property
    def window(self) -> int | None:
        """Default number of rows in the trailing window; None if the metric has no window."""
        parameter = self.signature.parameters.get("window")
        return parameter.default if parameter else None

    @property
    def meaning(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.definition) or "").partition("\n")[0]

    def column(self, name: str, arguments: Arguments) -> str:
        """Return the caller's name of an input."""
        return arguments[self.parts[name]] if name in self.parts else name

    def required(self, arguments: Arguments) -> tuple[str, ...]:
        """Return the declared names of the required inputs."""
        return self.requires(arguments) if self.requires else self.inputs

    def used(self, arguments: Arguments) -> tuple[str, ...]:
        """Return the declared names of all inputs that are read if present."""
        alternatives = (name for names in self.alternatives for name in names)
        return tuple(dict.fromkeys([*self.required(arguments), *self.optional, *alternatives]))

    def read(self, arguments: Arguments) -> tuple[str, ...]:
        """Return the caller's names of all inputs that are read if present."""
        return (*(self.column(name, arguments) for name in self.used(arguments)), *self.group_columns(arguments))

    def group_columns(self, arguments: Arguments) -> tuple[str, ...]:
        """Return the columns the caller groups by; empty for the default, the available instrument keys.

        Raises
        ------
        InvalidInputError
            If the argument is neither a name, nor several, nor None.
        """
        by = arguments[self.groups] if self.groups else None
        if by is INSTRUMENT_KEYS or by is None:
            return ()
        if not isinstance(by, Iterable):
            raise InvalidInputError(f"{self.groups} must be the name of a column, several names, or None, got {by!r}")
        return (by,) if isinstance(by, str) else tuple(by)
