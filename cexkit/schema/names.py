"""Names as users write them: exactly, or in another case."""

from __future__ import annotations

import string
from collections.abc import Collection, Iterable

from cexkit.errors import AmbiguousInstrumentError, InvalidInputError, UnknownNameError

# Only ASCII, because a letter of another alphabet can have the uppercase form of another letter.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


OneOrMany = str | Iterable[str] | None


def to_tuple(names: OneOrMany) -> tuple[str, ...] | None:
    """Return names as a tuple, which can be read repeatedly; None for all.

    Examples
    --------
    >>> to_tuple("okx"), to_tuple(name for name in ["okx", "bybit"]), to_tuple(None)
    (('okx',), ('okx', 'bybit'), None)
    """
    if names is None:
        return None
    if isinstance(names, str):
        return (names,)
    try:
        return tuple(names)
    except TypeError:
        raise InvalidInputError(f"names must be text or a list of texts, got {names!r}; pass their names") from None


def fold(name: str) -> str:
    """Return a name with ASCII letters in lowercase.

    Examples
    --------
    >>> fold("1000PEPEUSDT"), fold("ÄB")
    ('1000pepeusdt', 'Äb')
    """
    return name.translate(_LOWER)


def alike(name: object, known: Iterable[str]) -> list[str]:
    """Return the known names that a name can mean: itself, else those that differ in the case of ASCII letters.

    Examples
    --------
    >>> alike("KPEPE", ["kPEPE", "KPEPE"]), alike("kpepe", ["kPEPE", "KPEPE"])
    (['KPEPE'], ['KPEPE', 'kPEPE'])
    """
    if not isinstance(name, str):
        return []
    names = set(known)
    if name in names:
        return [name]
    wanted = fold(name)
    return sorted(each for each in names if isinstance(each, str) and fold(each) == wanted)


def resolve(what: str, name: object, known: Collection[str]) -> str:
    """Return the known name that a name means.

    Raises
    ------
    UnknownNameError
        If it means none; the message lists the known names.
    AmbiguousInstrumentError
        If it means several; the message lists them.

    Examples
    --------
    >>> resolve("exchange", "BINANCE", ["binance", "okx"])
    'binance'
    """
    found = alike(name, known)
    if not found:
        raise UnknownNameError.of(what, name, {each for each in known if isinstance(each, str)})
    if len(found) > 1:
        choices = " or ".join(map(repr, found))
        raise AmbiguousInstrumentError(f"{what} {name!r} means several in another case; write {choices}")
    return found[0]


def resolve_all(what: str, names: Iterable[object] | None, known: Collection[str]) -> tuple[str, ...] | None:
    """Return each known name that some names mean, once; None for all.

    Examples
    --------
    >>> resolve_all("exchange", ["OKX", "okx", "binance"], ["binance", "okx"])
    ('okx', 'binance')
    """
    return None if names is None else tuple(dict.fromkeys(resolve(what, name, known) for name in names))
