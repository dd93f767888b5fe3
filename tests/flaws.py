"""What is wrong with the bad rows of a response whose other rows are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cexkit.exchanges.rows import quarantined

if TYPE_CHECKING:
    import pyarrow as pa


def flaw(table: pa.Table) -> str:
    """Return what is wrong with the one row that is quarantined; the table must hold another one."""
    found = quarantined(table)
    assert (found.count, table.num_rows) == (1, 1), found
    return found.reasons[0]
