"""What is due of an instrument: the files and spans that a run requests, less what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cexkit.exchanges.archives import plan as archive_plan
from cexkit.exchanges.archives import requested_twice
from cexkit.exchanges.registry import exchange
from cexkit.schema import Table
from cexkit.schema.intervals import Window, merged
from cexkit.schema.symbols import Instrument
from cexkit.warehouse.ingest.completeness import CompletenessRule, common
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.inventory_entries import subtract


@dataclass(frozen=True, slots=True)
class Due:
    """What a run requests of a table of one instrument.

    Attributes
    ----------
    files : int
        Files of the venue's archive.
    file_requests : int
        Requests for them, were none there.
    spans : tuple of Window
        What is requested from the venue's API.
    lost : Window or None
        What the venue does not retain any more.
    before : tuple of Window
        Spans for which the venue is asked whether it has rows before a listing time.
    """

    files: int
    file_requests: int
    spans: tuple[Window, ...]
    lost: Window | None
    before: tuple[Window, ...] = ()

    def without(self, window: Window) -> Due:
        """Return what is due outside of a window."""
        return replace(self, spans=tuple(part for span in self.spans for part in subtract(span, [window])))


def find_due(
    inventory: Inventory,
    table: Table,
    instrument: Instrument,
    parts: Sequence[Window],
    repeats: Sequence[Window] | None,
    before: Sequence[Window],
    earliest: datetime | None,
    now: datetime,
) -> Due:
    """Return what is due.

    Parameters
    ----------
    inventory, table, instrument
        Of what.
    parts : sequence of Window
        Parts of the requested span in which it was listed.
    repeats : sequence of Window or None
        Missing spans to request again; None: request everything.
    before : sequence of Window
        See :class:`Due`.
    earliest : datetime or None
        Oldest time that the venue's API retains.
    now : datetime
        Current time.
    """
    venue = exchange(instrument.exchange)
    archive = venue.archives.get((table.name, instrument.instrument_type))
    files, file_requests, spans = 0, 0, tuple(parts)
    if archive is not None and archive.preferred:
        made = [archive_plan(archive, instrument, part, datetime.now(UTC)) for part in parts]
        files = sum(len(each.files) for each in made)
        spans = tuple(rest for each in made for rest in each.rest)
        file_requests = files * (2 if archive.checksums else 1)
        if archive.compared and earliest is not None:
            # what the API still retains is requested too, to be compared with the files
            kept = (Window(min(max(part.start, earliest), part.end), part.end) for part in parts)
            spans = merged([*spans, *kept])
        held = (piece.window for each in made for piece in each.files)
        spans = merged([*spans, *requested_twice(archive, spans, held, earliest)])
    rule = CompletenessRule.of(table, venue.source(table.name, instrument.instrument_type))
    due = [part for span in spans for part in _unread(inventory, instrument, span, repeats, rule, now)]
    if earliest is not None and repeats is not None and due and due[0].start < earliest:
        # what was read while the venue retained it
        done = inventory.recent(instrument, Window(due[0].start, earliest))
        due = [part for span in due for part in subtract(span, done)]
    lost = None
    if earliest is not None and due and due[0].start < earliest:
        lost = Window(due[0].start, min(earliest, due[-1].end))
        due = [Window(max(part.start, earliest), part.end) for part in due if part.end > earliest]
    return Due(files, file_requests, tuple(part for part in due if not part.empty), lost, tuple(before))


def _unread(
    inventory: Inventory,
    instrument: Instrument,
    span: Window,
    repeats: Sequence[Window] | None,
    rule: CompletenessRule,
    now: datetime,
) -> tuple[Window, ...]:
    """Return the parts of a span that a run requests."""
    if repeats is None:
        return (span,)
    again = (common(part, span) for part in repeats)
    unread = inventory.due(instrument, span, now, rule.overlap)
    return merged(part for part in (*unread, *again) if not part.empty)
