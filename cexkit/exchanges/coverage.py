"""What is read of which venue, what no venue offers and why: one page, made from the descriptors."""

from __future__ import annotations

from collections.abc import Mapping

from cexkit.exchanges.base import Exchange
from cexkit.schema import TABLES
from cexkit.schema.symbols import INSTRUMENT_TYPES

_HEAD = """# Coverage

Generated from the venues' descriptors by `python -m cexkit.exchanges`; do not edit.

What each venue gives of each table, by kind of instrument:

- **read**: cexkit reads it from the venue's API; **read, files**: years of it also from the venue's archive.
- **not offered**: the venue does not publish it; the number is that of the reason below the table.
- **not read yet**: the venue may publish it, cexkit has no reader for it.
- **–**: there is no such thing, such as funding of spot.

Asking for what is not read is an error that says the same.
"""


def coverage(exchanges: Mapping[str, Exchange]) -> str:
    """The coverage page.

    Parameters
    ----------
    exchanges : mapping of name to Exchange
        The venues, in the order they are shown.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> from cexkit.exchanges.registry import EXCHANGES
    >>> print(coverage({"binance": EXCHANGES["binance"]}).split("##")[1])
     binance
    <BLANKLINE>
    | table | spot | perp | future |
    |---|---|---|---|
    | `instruments` | read | read | read |
    ...
    """
    return "\n".join([_HEAD, *(_section(found) for found in exchanges.values())])


def _section(found: Exchange) -> str:
    reasons = list(dict.fromkeys(found.not_offered.values()))
    names = [name for name, table in TABLES.items() if table.layer == "silver" and table.made_with is None]
    rows = [
        " | ".join([f"| `{name}`", *(_cell(found, name, kind, reasons) for kind in INSTRUMENT_TYPES)]) + " |"
        for name in names
    ]
    table = "\n".join(
        [f"| table | {' | '.join(INSTRUMENT_TYPES)} |", "|---" * (1 + len(INSTRUMENT_TYPES)) + "|", *rows]
    )
    why = "\n".join(f"{number}. {reason}." for number, reason in enumerate(reasons, 1))
    return "\n\n".join([f"## {found.name}", table, *([why] if why else [])]) + "\n"


def _cell(found: Exchange, name: str, kind: str, reasons: list[str]) -> str:
    key = (name, kind)
    if kind not in TABLES[name].instrument_types:
        return "–"
    if key in found.sources:
        return "read, files" if key in found.archives else "read"
    return f"not offered ({reasons.index(found.not_offered[key]) + 1})" if key in found.not_offered else "not read yet"
