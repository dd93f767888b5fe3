"""Every error and warning of cexkit, in one tree.

Each error also inherits the builtin a Python user would catch, says what was wrong with
which input, and ends with what to do about it::

    CexkitError
    ├── ConfigError (ValueError)                 a setting or environment variable
    ├── InvalidInputError (ValueError)           an argument that cannot be meant
    │   ├── UnknownNameError (LookupError)         no such venue, table, interval, instrument, metric
    │   │   └── UnknownTableError (AttributeError)   also raised by ``market.<table>``
    │   └── AmbiguousInstrumentError               one symbol, several instruments
    ├── MissingColumnError (KeyError)            a frame lacks an input of a metric
    ├── ColumnTypeError (TypeError)              a column has a type the metric cannot take
    ├── DuplicateKeyError (ValueError)           two rows claim the same instrument and time
    ├── UnsupportedBackendError (NotImplementedError)  this engine cannot do this metric
    ├── NotOfferedError (NotImplementedError)    the venue does not publish this table
    ├── NotReadYetError (NotImplementedError)    the venue publishes it, cexkit does not read it yet
    ├── FetchError (OSError)                     an exchange could not be read
    │   ├── TransportError (ConnectionError)       no usable response: network, timeout, truncated body
    │   ├── RateLimitedError                       refused for asking too fast, retries used up
    │   ├── BlockedError (PermissionError)         refused for where or who we are
    │   └── VenueError                             the venue answered with an error of its own
    ├── PayloadError (ValueError)                a response whose body is not what the endpoint promises
    ├── SchemaError (ValueError)                 a table that does not conform to its declaration
    ├── QualityError (ValueError)                data that fails a check which stops a publication
    └── DatasetError (OSError)                   a dataset that cannot be read or written
        ├── DatasetNotFoundError (FileNotFoundError)   nothing there
        ├── DatasetAccessError (PermissionError)       kept from this token, or from none
        ├── DatasetUnreachableError (ConnectionError)  no answer, or offline and not in the cache
        ├── NewerSchemaError                       written by a later cexkit
        └── PublicationError                       could not be published; says what readers see now

    CexkitWarning (UserWarning)
    ├── SuspectRateWarning                       rates that look like percent, not fractions
    ├── PartialResultWarning                     some of several tokens gave nothing
    └── UnpricedQuoteWarning                     values in a quote that is not taken as dollars
"""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Iterable
from functools import partial


class CexkitError(Exception):
    """Base of every error that cexkit raises on purpose.

    Examples
    --------
    >>> try:
    ...     raise MissingColumnError("no column 'mark_price'")
    ... except CexkitError as error:
    ...     print(error)
    no column 'mark_price'
    """

    def __str__(self) -> str:
        # KeyError would print the repr of its message
        return str(self.args[0]) if self.args else ""


class ConfigError(CexkitError, ValueError):
    """A setting or environment variable has a value that cannot be used."""


class InvalidInputError(CexkitError, ValueError):
    """An argument has a value that cannot be meant."""


class UnknownNameError(InvalidInputError, LookupError):
    """A name that cexkit does not know; the message lists those it does.

    Examples
    --------
    >>> raise UnknownNameError.of("exchange", "binanse", ["binance", "bybit"])
    Traceback (most recent call last):
    cexkit.errors.UnknownNameError: unknown exchange 'binanse'; did you mean 'binance'? There are: binance, bybit
    """

    @classmethod
    def of(cls, what: str, name: object, known: Iterable[str]) -> UnknownNameError:
        """Build the error from what was asked for and what there is."""
        known = sorted(known)
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        shown = ", ".join(known[:20]) + (f", … ({len(known)} in all)" if len(known) > 20 else "")
        return cls(f"unknown {what} {name!r}{hint} There are: {shown or 'none'}")


class UnknownTableError(UnknownNameError, AttributeError):
    """No table of this name, or this dataset does not hold it."""


class AmbiguousInstrumentError(InvalidInputError):
    """A symbol that means several instruments; say which with ``instrument_type=``."""


class MissingColumnError(CexkitError, KeyError):
    """A frame lacks a column that a metric needs."""


class ColumnTypeError(CexkitError, TypeError):
    """A column has a type that a metric cannot take."""


class DuplicateKeyError(CexkitError, ValueError):
    """Two rows claim the same instrument and time."""


class UnsupportedBackendError(CexkitError, NotImplementedError):
    """This engine cannot compute this metric; the message names the way round."""


class NotOfferedError(CexkitError, NotImplementedError):
    """The venue does not publish this table; the message says why."""


class NotReadYetError(CexkitError, NotImplementedError):
    """The venue may publish this table, but cexkit does not read it yet."""


class FetchError(CexkitError, OSError):
    """An exchange could not be read.

    Attributes
    ----------
    status : int | None
        HTTP status of the response, where there was one.
    retry_after : float | None
        Seconds the venue told us to wait, where it did.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None):
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class TransportError(FetchError, ConnectionError):
    """No usable response: no connection, a timeout, a truncated body."""


class RateLimitedError(FetchError):
    """The venue refused for asking too fast, and the retries are used up."""


class BlockedError(FetchError, PermissionError):
    """The venue refuses this place or this address."""


class VenueError(FetchError):
    """The venue answered with an error of its own (code and message are in the text)."""


class PayloadError(CexkitError, ValueError):
    """A response whose body is not what the endpoint promises.

    Attributes
    ----------
    endpoint : str
        The endpoint whose response it was.
    problem : str
        What is wrong there.
    row : int | None
        Row of the payload, from 0; None where the whole body is unreadable.
    field : str | None
        Field of that row.
    """

    def __init__(self, endpoint: str, problem: str, *, row: int | None = None, field: str | None = None):
        place = "".join([f", row {row}" if row is not None else "", f", field {field!r}" if field is not None else ""])
        super().__init__(f"{endpoint}{place}: {problem}")
        self.endpoint, self.problem, self.row, self.field = endpoint, problem, row, field

    def __reduce__(self) -> tuple:
        # made again from its parts: by default it would be from its message, and lost on the way to another process
        return partial(type(self), row=self.row, field=self.field), (self.endpoint, self.problem)


class SchemaError(CexkitError, ValueError):
    """A table that does not conform to its declaration."""


class QualityError(CexkitError, ValueError):
    """Data that fails a check which stops a publication."""


class DatasetError(CexkitError, OSError):
    """A dataset that cannot be read or written."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """There is no dataset at the place named."""


class DatasetAccessError(DatasetError, PermissionError):
    """The dataset is kept from whoever has this token, or none."""


class DatasetUnreachableError(DatasetError, ConnectionError):
    """A remote dataset did not response, or it is to be read offline and is not in the cache."""


class NewerSchemaError(DatasetError):
    """The dataset was written by a later version of cexkit; upgrade to read it."""


class PublicationError(DatasetError):
    """A dataset that was not published; the message says what was changed, which mostly is nothing."""


class CexkitWarning(UserWarning):
    """Base of every warning that cexkit gives."""


class SuspectRateWarning(CexkitWarning):
    """Funding rates that look like percent where fractions are expected."""


class UnpricedQuoteWarning(CexkitWarning):
    """Values in a quote currency that is not taken as dollars; totals in dollars are null there."""


class PartialResultWarning(CexkitWarning):
    """Some of several tokens could not be answered; the message names them and why."""


def warn(message: str, category: type[CexkitWarning]) -> None:
    """Warn at the line of the caller's that led here, however many of our own frames lie between.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     warn("half of the rates are above 0.2 %", SuspectRateWarning)
    >>> caught[0].category.__name__
    'SuspectRateWarning'
    """
    frame, level = inspect.currentframe(), 1
    while frame and str(frame.f_globals.get("__name__")).startswith("cexkit."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
