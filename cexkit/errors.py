"""All errors and warnings of cexkit, in one tree.

Each error also inherits the builtin that a Python user would catch. Its message states what was wrong with which input,
and ends with what to do about it::

    CexkitError
    ├── ConfigError (ValueError)                 a setting or environment variable
    ├── InvalidInputError (ValueError)           an invalid argument
    │   ├── UnknownNameError (LookupError)         no such venue, table, interval, instrument, metric
    │   │   └── UnknownTableError (AttributeError)   also raised by ``market.<table>``
    │   └── AmbiguousInstrumentError               one symbol, several instruments
    ├── MissingColumnError (KeyError)            a frame lacks an input of a metric
    ├── ColumnTypeError (TypeError)              a column has a type the metric cannot take
    ├── DuplicateKeyError (ValueError)           two rows claim the same instrument and time
    ├── QueryBoundError (RuntimeError)           a query exceeds a bound on its memory, disk, or time
    ├── UnsupportedBackendError (NotImplementedError)  this engine cannot do this metric
    ├── NotOfferedError (NotImplementedError)    the venue does not publish this table
    ├── NotReadYetError (NotImplementedError)    the venue publishes it, cexkit does not read it yet
    ├── FetchError (OSError)                     an exchange could not be read
    │   ├── TransportError (ConnectionError)       no usable response: network, timeout, truncated body
    │   ├── RateLimitedError                       refused for too many requests, retries exhausted
    │   ├── BlockedError (PermissionError)         refused for our location or address
    │   ├── ResponseBoundError                     a response exceeds a bound on its bytes or its time
    │   └── VenueError                             the venue returned an error response
    ├── PayloadError (ValueError)                a response whose body is not what the endpoint promises
    ├── SchemaError (ValueError)                 a table that does not conform to its declaration
    ├── QualityError (ValueError)                data that fails a check which stops a publication
    └── DatasetError (OSError)                   a dataset that cannot be read or written
        ├── DatasetNotFoundError (FileNotFoundError)   no dataset at the location
        ├── DatasetAccessError (PermissionError)       no access with this token, or without one
        ├── DatasetUnreachableError (ConnectionError)  no response, or offline and not cached
        ├── NewerSchemaError                       written by a later cexkit
        ├── DamagedFileError                       a file is damaged or missing; others can be read
        ├── DataLossError                          a rebuild would drop keys; nothing was changed
        └── PublicationError                       could not be published; says what readers see now

    CexkitWarning (UserWarning)
    ├── SuspectRateWarning                       rates that look like percent, not fractions
    │   └── ForwardFilledRateWarning               rates repeated between settlements, as a join or fill does
    ├── OutOfRangeWarning                        values that cannot be; they count as null
    │   └── SignedQuantityWarning                  amounts below zero
    ├── MixedUnitsWarning                        prices of one coin in different units, not comparable
    ├── MissingSettlementsWarning                funding over a span that lacks settlements
    ├── PartialResultWarning                     some of several tokens failed
    ├── ClockSkewWarning                         the clocks of a venue and of this machine disagree
    ├── QuarantinedRowsWarning                   rows of a venue that cannot be used were left out, and why
    ├── UnclearUnitWarning                       a listed name with a number that may be a multiplier
    ├── ExcludedInstrumentsWarning               instruments known not to be coins were left out, and how many
    ├── UnknownSettingWarning                    a variable ``CEXKIT_…`` that is not a setting
    ├── UnpricedQuoteWarning                     values in a quote currency not treated as dollars
    └── NoReferenceWarning                       derivatives without a price to compare with
"""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from cexkit.text import masked, printable


class CexkitError(Exception):
    """Base of every error that cexkit raises on purpose.

    Its message is safe to show: credentials in URLs are masked and control characters escaped.

    Examples
    --------
    >>> try:
    ...     raise MissingColumnError("no column 'mark_price'")
    ... except CexkitError as error:
    ...     print(error)
    no column 'mark_price'
    >>> print(DatasetError("https://me:secret@data.example is not\\x07 there"))
    https://***@data.example is not\\x07 there
    """

    #: Control characters that its messages may hold.
    _kept: ClassVar[str] = "\n"

    def __init__(self, *args: object):
        kept = self._kept
        super().__init__(*(printable(masked(part), kept) if isinstance(part, str) else part for part in args))

    def __reduce__(self) -> tuple[object, ...]:
        # Without __init__, whose arguments a subclass has formatted already.
        return _restored, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        # KeyError would print the repr of its message
        return str(self.args[0]) if self.args else ""


def _restored(kind: type[CexkitError], args: tuple[object, ...], state: dict[str, object]) -> CexkitError:
    """Return an error as it was pickled."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(CexkitError, ValueError):
    """A setting or environment variable has a value that cannot be used."""


class InvalidInputError(CexkitError, ValueError):
    """An argument has an invalid value."""


class UnknownNameError(InvalidInputError, LookupError):
    """A name that cexkit does not know; the message lists the known names.

    Examples
    --------
    >>> raise UnknownNameError.of("exchange", "binanse", ["binance", "bybit"])
    Traceback (most recent call last):
    cexkit.errors.UnknownNameError: unknown exchange 'binanse'; did you mean 'binance'? Available: binance, bybit
    """

    @classmethod
    def of(cls, what: str, name: object, known: Iterable[str]) -> UnknownNameError:
        """Build the error from the requested name and the known names."""
        known = sorted(map(printable, known))
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        shown = ", ".join(known[:20]) + (f", … ({len(known)} in all)" if len(known) > 20 else "")
        return cls(f"unknown {what} {name!r}{hint} Available: {shown or 'none'}")


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


class QueryBoundError(CexkitError, RuntimeError):
    """A query exceeds a bound on its memory, temporary space, or time; the message names the bound and its setting."""


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
        HTTP status of the response, if any.
    retry_after : float | None
        Seconds that the venue told us to wait, if given.
    """

    _kept = ""  # it quotes the venue, whose newlines would begin a line of a log

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None):
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class TransportError(FetchError, ConnectionError):
    """No usable response: no connection, a timeout, a truncated body."""


class RateLimitedError(FetchError):
    """The venue refused because of too many requests, and the retries are exhausted."""


class BlockedError(FetchError, PermissionError):
    """The venue refuses requests from this location or address."""


class ResponseBoundError(FetchError):
    """A response exceeds a bound on its bytes or its time; the message names the bound and its setting."""


class VenueError(FetchError):
    """The venue returned an error response (its code and message are in the text)."""


class PayloadError(CexkitError, ValueError):
    """A response whose body is not what the endpoint promises.

    Attributes
    ----------
    endpoint : str
        The endpoint whose response it was.
    problem : str
        What is wrong with the response.
    row : int | None
        Row of the payload, from 0; None if the whole body is unreadable.
    field : str | None
        Field of that row.
    """

    _kept = ""

    def __init__(self, endpoint: str, problem: str, *, row: int | None = None, field: str | None = None):
        place = "".join([f", row {row}" if row is not None else "", f", field {field!r}" if field is not None else ""])
        super().__init__(f"{endpoint}{place}: {problem}")
        self.endpoint, self.problem, self.row, self.field = endpoint, printable(masked(problem)), row, field

    def __reduce__(self) -> tuple:
        # Rebuild from parts. By default, unpickling rebuilds from the message, which fails in another process.
        return partial(type(self), row=self.row, field=self.field), (self.endpoint, self.problem)


class SchemaError(CexkitError, ValueError):
    """A table that does not conform to its declaration."""


class QualityError(CexkitError, ValueError):
    """Data that fails a check which stops a publication."""


class DatasetError(CexkitError, OSError):
    """A dataset that cannot be read or written."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """No dataset exists at the given location."""


class DatasetAccessError(DatasetError, PermissionError):
    """This token, or a missing token, does not grant access to the dataset."""


class DatasetUnreachableError(DatasetError, ConnectionError):
    """A remote dataset did not respond, or it is to be read offline and is not in the cache."""


class NewerSchemaError(DatasetError):
    """The dataset was written by a later version of cexkit; upgrade to read it."""


class DamagedFileError(DatasetError):
    """A file of a dataset is missing, or its content is damaged; the message names it and the remedy."""


class DataLossError(DatasetError):
    """A rebuild that would drop keys without permission; nothing was changed."""


class PublicationError(DatasetError):
    """A dataset that was not published; the message states what was changed, usually nothing."""


class CexkitWarning(UserWarning):
    """Base of every warning that cexkit gives."""


class SuspectRateWarning(CexkitWarning):
    """Funding rates that look like percent where fractions are expected."""


class ForwardFilledRateWarning(SuspectRateWarning):
    """Funding rates that are repeated between settlements, so that each counts several times."""


class OutOfRangeWarning(CexkitWarning):
    """Values that their column cannot have, such as a price of zero; they count as null."""


class SignedQuantityWarning(OutOfRangeWarning):
    """Amounts below zero, such as quantities of shorts with a sign; they count as null."""


class MixedUnitsWarning(CexkitWarning):
    """Prices of one coin that differ so much that they are in different units; what compares them is null."""


class MissingSettlementsWarning(CexkitWarning):
    """Funding over a span in which settlements are missing or cannot be told; such totals are null."""


class UnpricedQuoteWarning(CexkitWarning):
    """Values in a quote currency that is not treated as dollars; their totals in dollars are null."""


class NoReferenceWarning(CexkitWarning):
    """Derivatives without a price to compare with, whose basis is null; the message names what was searched for."""


class PartialResultWarning(CexkitWarning):
    """Some of several tokens failed; the message names them and the reasons."""


class ClockSkewWarning(CexkitWarning):
    """The clocks of a venue and of this machine disagree; the earlier one decides which bars are complete."""


class QuarantinedRowsWarning(CexkitWarning):
    """Rows of a venue's response that cannot be used, or fail a check, were left out; the message states why."""


class UnclearUnitWarning(CexkitWarning):
    """A venue lists a name with a number that may be a multiplier; the instrument is kept with multiplier 1."""


class ExcludedInstrumentsWarning(CexkitWarning):
    """Instruments known not to be of the requested asset class were left out; the message states how many."""


class UnknownSettingWarning(CexkitWarning):
    """An environment variable named ``CEXKIT_…`` that is not a setting, so that its value has no effect."""


def warn(message: str, category: type[CexkitWarning]) -> None:
    """Warn at the caller's line outside cexkit, however many frames of cexkit are in between.

    The message is made safe to show, like the messages of errors.

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
    warnings.warn(printable(masked(message), "\n"), category, stacklevel=level)
