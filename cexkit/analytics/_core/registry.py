"""The registry: what a metric is called, needs and gives.

:func:`metric` turns one Narwhals definition into a function for every engine and enters it here;
accessors, the list of metrics and the docs are made from these entries.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, get_args

import polars as pl

from cexkit.analytics._core.compat import Frame
from cexkit.analytics._core.dispatch import ENGINES, run
from cexkit.schema.fields import INSTRUMENT_KEYS

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


METRICS: dict[str, Metric] = {}


def metric(
    *, kind: Kind, inputs: tuple[str, ...], outputs: tuple[str, ...], **declared: Any
) -> Callable[[Callable[Concatenate[Frame, P], Frame]], MetricFunction[P]]:
    """Register a definition and make it callable on the frames of every engine.

    See :class:`Metric` for what can be declared. The definition takes a Narwhals frame and keyword
    arguments; ``window=`` among them is the trailing window.
    """

    def register(definition: Callable[Concatenate[Frame, P], Frame]) -> MetricFunction[P]:
        name, signature = definition.__name__, inspect.signature(definition)

        @functools.wraps(definition)
        def function(frame: Any, /, *args: P.args, **kwargs: P.kwargs) -> Any:
            bound = signature.bind(frame, *args, **kwargs)
            bound.apply_defaults()
            _, *parameters = bound.arguments
            return run(METRICS[name], frame, {parameter: bound.arguments[parameter] for parameter in parameters})

        function.__signature__ = _public(definition)  # type: ignore[attr-defined]
        METRICS[name] = Metric(
            name=name,
            kind=kind,
            inputs=inputs,
            outputs=outputs,
            definition=definition,
            function=function,  # type: ignore[arg-type]
            signature=function.__signature__,  # type: ignore[attr-defined]
            parts={p.default: p.name for p in signature.parameters.values() if p.annotation == "Column"},
            **declared,
        )
        return function  # type: ignore[return-value]

    return register


def _public(definition: Callable[..., Frame]) -> inspect.Signature:
    """The signature users see: types spelt out, any supported frame in and out."""
    signature = inspect.signature(definition, eval_str=True)
    frame, *rest = signature.parameters.values()
    bare = frame.replace(annotation=inspect.Parameter.empty)
    return signature.replace(parameters=[bare, *rest], return_annotation=inspect.Signature.empty)


def metrics() -> pl.DataFrame:
    """All metrics: name, kind, inputs, outputs, window and meaning, one row each.

    Returns
    -------
    polars.DataFrame
        ``inputs`` are the columns that must be there beside ``timestamp`` and the instrument keys;
        ``window`` is the default number of rows of rolling metrics that have one.

    Examples
    --------
    >>> import cexkit
    >>> cexkit.metrics().filter(name="basis_bps").select("kind", "inputs", "outputs").rows()
    [('row', ['price', 'reference'], ['basis_bps'])]
    """
    text = pl.List(pl.String)
    schema = {"name": pl.String, "kind": pl.String, "inputs": text, "outputs": text, "window": pl.Int64}
    rows = [
        (m.name, m.kind, list(m.inputs), list(m.outputs), m.window, list(m.engines), m.meaning)
        for m in METRICS.values()
    ]
    return pl.DataFrame(rows, schema=schema | {"engines": text, "meaning": pl.String}, orient="row").sort("name")
