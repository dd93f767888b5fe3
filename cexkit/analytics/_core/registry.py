"""The registry: what a metric is called, needs and gives.

:func:`metric` turns one Narwhals definition into a function for every engine and enters it here;
accessors, the list of metrics and the docs are made from these entries.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from cexkit.analytics._core.compat import Frame
from cexkit.analytics._core.dispatch import run
from cexkit.analytics._core.metric import Kind, Metric, MetricFunction
from cexkit.schema.scalars import to_plain

P = ParamSpec("P")

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
        annotations = [each.annotation for each in signature.parameters.values() if each.annotation is not each.empty]
        if not all(isinstance(annotation, str) for annotation in annotations):
            # Evaluated, the annotation Column is str, and the caller's columns would be taken for plain arguments.
            raise TypeError(
                f"annotations of {name} must be text; begin its module with from __future__ import annotations"
            )

        @functools.wraps(definition)
        def function(frame: Any, /, *args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                bound = signature.bind(frame, *args, **kwargs)
            except TypeError as error:
                known = ", ".join(list(signature.parameters)[1:])
                raise TypeError(f"{name}() {error}; its arguments are {known or 'none but the frame'}") from None
            bound.apply_defaults()
            _, *arguments = bound.arguments.items()
            return run(METRICS[name], frame, {parameter: to_plain(value) for parameter, value in arguments})

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
