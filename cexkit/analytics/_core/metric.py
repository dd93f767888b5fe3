"""The declaration of a metric: its name, kind, inputs, outputs, and engines."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, get_args

import polars as pl

from cexkit.analytics._core.compat import Frame
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One entry of the registry.

    ``inputs`` must be there; of ``alternatives`` at least one whole set must; ``optional`` columns
    are used where present. A parameter annotated ``Column`` says which column of the caller plays the
    part of the declared one that is its default (``price: Column = "close"``).
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    definition: Callable[..., Frame]
    #: What users call; the definition wrapped for every engine.
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
    #: An optional column that, complete, makes a row metric of one that must look at other rows.
    complete_with: str | None = None
    #: Text inputs that may be numbers instead: a side as +1 and -1.
    signs: tuple[str, ...] = ()
    #: Rows may share instrument and time: none is looked at beside another.
    ties: bool = False
    #: Every column of the frame goes in, not only those declared.
    whole: bool = False
    #: Looks at the values of an eager frame; raises or warns.
    inspects: Callable[[pl.DataFrame, Arguments], None] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is one of {get_args(Kind)}, not {self.kind!r}")
        if not set(self.engines) <= set(ENGINES):
            raise ValueError(f"engines are some of {ENGINES}, not {self.engines!r}")

    @property
    def appends(self) -> bool:
        """Whether the outputs are columns of the caller's frame, not a frame of their own."""
        return self.kind in ("row", "rolling")

    @property
    def window(self) -> int | None:
        """Rows of the trailing window, by default."""
        parameter = self.signature.parameters.get("window")
        return parameter.default if parameter else None

    @property
    def meaning(self) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(self.definition) or "").partition("\n")[0]

    def column(self, name: str, arguments: Arguments) -> str:
        """The caller's name of an input."""
        return arguments[self.parts[name]] if name in self.parts else name

    def required(self, arguments: Arguments) -> tuple[str, ...]:
        """Inputs that must be there, by their declared names."""
        return self.requires(arguments) if self.requires else self.inputs

    def used(self, arguments: Arguments) -> tuple[str, ...]:
        """All inputs that are read where they are there, by their declared names."""
        alternatives = (name for names in self.alternatives for name in names)
        return tuple(dict.fromkeys([*self.required(arguments), *self.optional, *alternatives]))

    def group_columns(self, arguments: Arguments) -> tuple[str, ...]:
        """Columns the caller groups by, beside the instrument keys that are there anyway."""
        by = arguments[self.groups] if self.groups else None
        return () if by is INSTRUMENT_KEYS or by is None else (by,) if isinstance(by, str) else tuple(by)
