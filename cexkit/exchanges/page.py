"""Page: one response of a venue and the rows parsed from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cexkit.errors import PayloadError
from cexkit.exchanges.http.client import Response
from cexkit.exchanges.http.clocks import describe_skew
from cexkit.exchanges.parsing import Context
from cexkit.schema.intervals import Window

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Page:
    """One response and the rows parsed from it.

    Parameters
    ----------
    response : Response
        Raw response; stored in Bronze whatever it contains.
    endpoint : str
        Endpoint of the response, such as ``um.fundingRate``.
    context : Context
        Inputs of the parser in addition to the bytes.
    table : pyarrow.Table or None
        Parsed rows; None if the body is malformed.
    error : PayloadError or None
        Problem with the body; None if the body is well-formed.
    skipped : Window or None
        Time span that pagination skipped because of the error.
    companion : bool
        True if the response only completes another page (see ``join_companions``) and yields no rows.
    """

    response: Response
    endpoint: str
    context: Context
    table: pa.Table | None
    error: PayloadError | None = None
    skipped: Window | None = None
    companion: bool = False

    @property
    def clock_problem(self) -> str | None:
        """Text that states the clocks of the venue and of this machine if they disagree; None if they agree."""
        return describe_skew(self.response) if self.context.skewed else None

    @property
    def row_span(self) -> Window | None:
        """The span of its rows; None without rows or times."""
        import pyarrow.compute as pc

        if not self.table or "timestamp" not in self.table.column_names:
            return None
        times = pc.min_max(self.table["timestamp"]).as_py()
        return Window(times["min"], times["max"] + timedelta(microseconds=1))

    @property
    def is_file(self) -> bool:
        """True if the body is an archive file, which is parsed later."""
        return self.endpoint.startswith("archive.")
