"""A SQL query: its parameters, its columns, and the validation of its arguments.

A value never becomes text of a query. It is bound to a DuckDB variable, which the file reads by ``getvariable``. The
same file therefore runs in a plain DuckDB shell, after ``SET VARIABLE``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema import FIELDS
from cexkit.schema.asset_class import check_asset_class
from cexkit.schema.intervals import utc
from cexkit.schema.scalars import to_plain

REQUIRED = "required"
NONE = "none"
#: Value of an asset class that includes every class.
ALL_CLASSES = "all"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query."""

    name: str
    type: str
    unit: str
    default: str
    meaning: str

    @property
    def required(self) -> bool:
        """True if a value must be given."""
        return self.default == REQUIRED

    def value(self, argument: Any) -> Any:
        """Return a value in the form that DuckDB accepts.

        Raises
        ------
        InvalidInputError
            If the argument has another type.
        """
        validate = VALIDATORS[self.type]
        try:
            return validate(argument)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(f"{self.name} is {_TYPE_PHRASES[self.type]}, not {argument!r}") from error

    def __str__(self) -> str:
        unit = f" [{self.unit}]" if self.unit else ""
        default = {REQUIRED: "required", NONE: "may be left out"}.get(self.default, f"by default {self.default}")
        return f"{self.name}: {self.type}{unit}, {default}. {self.meaning}"


@dataclass(frozen=True, slots=True)
class Query:
    """A query: its question, parameters, columns, and SQL text."""

    name: str
    question: str
    parameters: Mapping[str, Parameter]
    columns: Mapping[str, tuple[str, str]]
    sql: str

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of all parameters, including defaults; None for those left out.

        Raises
        ------
        InvalidInputError
            If a parameter is missing or has another type; the message lists the parameters.
        UnknownNameError
            If a parameter is unknown; the message lists the parameters.
        """
        for name in arguments:
            if name not in self.parameters:
                raise UnknownNameError(
                    f"{UnknownNameError.of(f'parameter of {self.name}', name, self.parameters)}\n{self}"
                )
        missing = [
            name for name, parameter in self.parameters.items() if parameter.required and arguments.get(name) is None
        ]
        if missing:
            raise InvalidInputError(f"{self.name} needs {', '.join(missing)}\n{self}")
        try:
            return {name: _bind_value(parameter, arguments) for name, parameter in self.parameters.items()}
        except InvalidInputError as error:
            raise InvalidInputError(f"{self.name}: {error}\n{self}") from error

    def parse_arguments(self, words: Iterable[str]) -> dict[str, Any]:
        """Parse command-line words such as ``days=7`` into values.

        Raises
        ------
        InvalidInputError
            If a word is not ``name=value``, a name is repeated, or a value has the wrong type.

        Examples
        --------
        >>> import cexkit
        >>> cexkit.connect("sample").queries["returns"].parse_arguments(["symbol=BTCUSDT", "days=7"])
        {'symbol': 'BTCUSDT', 'days': 7.0}
        """
        arguments: dict[str, Any] = {}
        for word in words:
            name, equals, text = word.partition("=")
            if not equals or name in arguments:
                raise InvalidInputError(f"{self.name} takes name=value, each once, not {word!r}\n{self}")
            parameter = self.parameters.get(name)
            try:
                arguments[name] = _TEXT_PARSERS[parameter.type](text) if parameter else text
            except ValueError as error:
                raise InvalidInputError(
                    f"{self.name}: {name} is {_TYPE_PHRASES[parameter.type]}, not {text!r}\n{self}"
                ) from error
        return arguments

    def __str__(self) -> str:
        parameters = "\n".join(f"  {parameter}" for parameter in self.parameters.values())
        return f"{self.name}: {self.question}\nParameters:\n{parameters or '  none'}"

    __repr__ = __str__


def _bind_value(parameter: Parameter, arguments: Mapping[str, Any]) -> Any:
    argument = arguments.get(parameter.name)
    if argument is not None or (parameter.type == "class" and parameter.name in arguments):
        return parameter.value(argument)
    if parameter.default in (NONE, REQUIRED):
        return None
    return parameter.value(_TEXT_PARSERS[parameter.type](parameter.default))


def _validate_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _validate_integer(value: Any) -> int:
    value = to_plain(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise TypeError("not a whole number")
    return value


def _validate_number(value: Any) -> float:
    value = to_plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)


def _validate_class(value: Any) -> str:
    return ALL_CLASSES if value in (None, ALL_CLASSES) else check_asset_class(value)


#: Type of a parameter → validation of a value, which raises if the value is of another type.
VALIDATORS: dict[str, Callable[[Any], Any]] = {
    "text": _validate_text,
    "integer": _validate_integer,
    "number": _validate_number,
    "time": utc,
    "class": _validate_class,
}
_TEXT_PARSERS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "integer": int,
    "number": float,
    "time": utc,
    "class": str,
}
_TYPE_PHRASES = {
    "text": "a text",
    "integer": "a whole number",
    "number": "a finite number",
    "time": "a time, as ISO text, date or datetime",
    "class": f"{', '.join(FIELDS['asset_class'].values)}, or None for all",
}
