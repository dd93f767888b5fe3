"""Page: one response of a venue and the rows parsed from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cexkit.errors import PayloadError
from cexkit.exchanges.http.client import Response
from cexkit.exchanges.parsing import Context
from cexkit.schema.intervals import Window

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Page:
    """One response and what was made of it.

    Parameters
    ----------
    response : Response
        As received; goes to Bronze whatever it holds.
    endpoint : str
        Where it came from, such as ``um.fundingRate``.
    context : Context
        What parsing it takes beside the bytes.
    table : pyarrow.Table or None
        The rows; None where the body is malformed.
    error : PayloadError or None
        What was wrong with the body.
    skipped : Window or None
        The span that paging gave up because of it.
    companion : bool
        Whether it completes another page (by ``join_companions``) and holds no rows of its own.
    """

    response: Response
    endpoint: str
    context: Context
    table: pa.Table | None
    error: PayloadError | None = None
    skipped: Window | None = None
    companion: bool = False

    @property
    def is_file(self) -> bool:
        """Whether the body is a file of an archive, which is parsed later."""
        return self.endpoint.startswith("archive.")
