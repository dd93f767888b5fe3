"""``Tokens(["BTC", "ETH"])``: the methods of :class:`~cexkit.client.token.Token` for several names at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.client.return_types import ReturnType, check_return_type, to_return_type
from cexkit.client.token import Token, TokenMethods, default_market
from cexkit.client.token_base import PlanBuilder
from cexkit.errors import CexkitError, InvalidInputError, PartialResultWarning, warn
from cexkit.schema import INSTRUMENT_KEYS

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cexkit.client.market import Market
from cexkit.schema.names import OneOrMany, to_tuple


class Tokens(TokenMethods):
    """Several coins or symbols at once: every method returns one long frame.

    If some of them fail, methods return the others, and report the failures by a warning and in :attr:`failed`.

    Parameters
    ----------
    names : iterable of str
        Coins or symbols, see :class:`~cexkit.client.token.Token`.
    exchange, instrument_type, asset_class, market, return_type
        See :class:`~cexkit.client.token.Token`.

    Attributes
    ----------
    failed : dict of str to CexkitError
        Failures of the last method: name → error.

    Raises
    ------
    InvalidInputError
        If no name is given, or two names select the same instrument.
    CexkitError
        The first error, if all names fail; also raised by methods.

    Warns
    -----
    PartialResultWarning
        If some names fail.

    Examples
    --------
    >>> pair = Tokens(["BTC", "ETH"], exchange="okx", instrument_type="perp")
    >>> pair.price()[["base", "symbol"]].values.tolist()
    [['BTC', 'BTCUSDT'], ['ETH', 'ETHUSDT']]
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        exchange: OneOrMany = None,
        instrument_type: OneOrMany = None,
        asset_class: str | None = "crypto",
        market: Market | None = None,
        return_type: ReturnType = "pandas",
    ):
        if isinstance(names, str):
            raise InvalidInputError(
                f"Tokens takes several names, such as ['BTC', 'ETH']; for one there is Token({names!r})"
            )
        self.return_type = check_return_type(return_type)
        self.market = default_market() if market is None else market
        self.members: dict[str, Token] = {}
        self._unknown: dict[str, CexkitError] = {}
        filters = {"exchange": to_tuple(exchange), "instrument_type": to_tuple(instrument_type)}
        filters["asset_class"] = asset_class
        for name in dict.fromkeys(names):
            try:
                self.members[name] = Token(name, **filters, market=self.market, return_type=return_type)
            except CexkitError as error:
                self._unknown[str(name)] = error
        self.failed = dict(self._unknown)
        self._report("found", len(self.members))
        self._reject_duplicates()

    @property
    def instruments(self) -> pl.DataFrame:
        """The selected instruments of all names."""
        return pl.concat([member.instruments for member in self])

    def _ask(self, build_plan: PlanBuilder, return_type: ReturnType | None) -> Any:
        from tqdm.auto import tqdm

        kind = check_return_type(return_type or self.return_type)
        parts = []
        self.failed = dict(self._unknown)
        for name, member in tqdm(self.members.items(), unit=" tokens", disable=None, leave=False, delay=2):
            try:
                plan = build_plan(member._selection)
                parts.append(plan.to_ibis() if kind == "ibis" else plan.to_polars())
            except CexkitError as error:
                self.failed[name] = error
        self._report("answered", len(parts))
        return _union_tables(parts) if kind == "ibis" else to_return_type(pl.concat(parts), kind)

    def _report(self, outcome: str, count: int) -> None:
        """Raise the first error if all names failed; warn if some failed."""
        if not count:
            raise next(iter(self.failed.values()), InvalidInputError("Tokens takes at least one name"))
        if self.failed:
            reasons = "\n".join(f"  {name}: {error}" for name, error in self.failed.items())
            warn(f"{count} of {count + len(self.failed)} {outcome}, without:\n{reasons}", PartialResultWarning)

    def _reject_duplicates(self) -> None:
        """Raise if two names select one instrument: its rows would appear twice and count twice in every sum."""
        owner: dict[tuple[str, ...], str] = {}
        for name, member in self.members.items():
            for instrument in member.instruments.select(INSTRUMENT_KEYS).rows():
                if (other := owner.setdefault(instrument, name)) != name:
                    raise InvalidInputError(
                        f"{other} and {name} both select {' '.join(instrument)}; pass one of the two"
                    )

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Token]:
        return iter(self.members.values())

    def __getitem__(self, name: str) -> Token:
        return self.members[name]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.members)

    def __repr__(self) -> str:
        return f"Tokens({list(self.members)!r}): {self._summary()}"


def _union_tables(tables: list[ir.Table]) -> ir.Table:
    import ibis

    return ibis.union(*tables) if len(tables) > 1 else tables[0]
