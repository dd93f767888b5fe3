"""``tearsheet()``: one coin's perpetuals on one page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from cexkit.client.tearsheet.data import TearsheetData
from cexkit.client.tearsheet.sections import page
from cexkit.schema.asset_class import ASSET_CLASS, warn_of_excluded
from cexkit.schema.intervals import TimeLike
from cexkit.warehouse.store.parquet import write_atomic

if TYPE_CHECKING:
    from cexkit.client.market import Market
    from cexkit.schema.names import OneOrMany


@dataclass(frozen=True, repr=False)
class Tearsheet:
    """The page, as text and, where it was written, as a file; a notebook shows it in a frame of its own."""

    base: str
    html: str
    path: Path | None = None

    def save(self, path: str | Path) -> Tearsheet:
        """Write the page, whole or not at all.

        Raises
        ------
        DatasetError
            If the folder cannot be written.
        """
        place = write_atomic(Path(path), lambda file: file.write_text(self.html, encoding="utf-8"))
        return Tearsheet(self.base, self.html, place)

    def __repr__(self) -> str:
        return f"<Tearsheet of {self.base}, {len(self.html.encode()) / 1e3:,.0f} kB, {self.path or 'not saved'}>"

    def _repr_html_(self) -> str:
        # a frame of its own: rules of the page are not to change the notebook
        return f'<iframe srcdoc="{escape(self.html)}" style="width:100%;height:80vh;border:1px solid #8888"></iframe>'


def tearsheet(
    market: Market,
    name: str,
    path: str | Path | None = None,
    *,
    exchange: OneOrMany = None,
    asset_class: str | None = "crypto",
    start: TimeLike | None = None,
    end: TimeLike | None = None,
    days: int = 60,
) -> Tearsheet:
    """One page on the perpetuals of a coin, as one HTML file that asks no network for anything.

    Parameters
    ----------
    market : Market
        The dataset, as :func:`cexkit.connect` opens it; it must have table ``instruments``.
    name : str
        A coin (``"BTC"``) or a symbol (``"BTCUSDT"``).
    path : str or Path, optional
        File to write; by default none.
    exchange : str or iterable of str, optional
        Venues; by default all that list it. Funding is then compared within them.
    asset_class : str or None, default "crypto"
        Class of the perpetuals and of those that they are compared with. ``"crypto"`` leaves out instruments known to
        be of another class, unless the name means nothing else; the page states how many. None: all.
    start, end : str, date or datetime, optional
        Half-open window, UTC. By default it ends with the last day that the dataset has of the coin.
    days : int
        Length of the window where ``start`` is not given.

    Returns
    -------
    Tearsheet
        The same bytes for the same data and version.

    Raises
    ------
    UnknownNameError
        If the dataset lists no perpetual of the coin at these venues, or none of the class.
    InvalidInputError
        If the window makes no sense, or nothing is stored of the coin.

    Warns
    -----
    ExcludedInstrumentsWarning
        If perpetuals are left out because of their class, with their number.

    Examples
    --------
    >>> import cexkit
    >>> sheet = tearsheet(cexkit.connect("sample"), "BTC", exchange="okx", days=10)
    >>> sheet.html.startswith("<!doctype html>"), "SIMULATED" in sheet.html, "http://" in sheet.html
    (True, True, False)
    """
    data = TearsheetData.of(market, name, exchange, start, end, days, asset_class)
    warn_of_excluded("tearsheet", data.outsiders[ASSET_CLASS], data.asset_class)
    sheet = Tearsheet(data.base, _html(data))
    return sheet if path is None else sheet.save(path)


def _html(data: TearsheetData) -> str:
    from importlib.metadata import version

    import jinja2

    tiles, sections = page(data)
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("cexkit.client", "tearsheet/templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template("tearsheet.html").render(
        data=data,
        venues=data.main_perps["exchange"].to_list(),
        simulated=data.market.simulated,
        tiles=tiles,
        sections=sections,
        version=version("cexkit"),
    )
