"""What may take the place of what: a publication is a warehouse's whole state, never a union of two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from cexkit.errors import NewerSchemaError, PublicationError
from cexkit.schema import TABLES
from cexkit.warehouse.publish.plans import PublishedState
from cexkit.warehouse.store.layout import span_of
from cexkit.warehouse.store.manifest import DataFile, Extent, Manifest

_ANYWAY = "if this is meant, publish with replace=True (`--replace`)"
#: What a fresh repository has, beside which nothing can be lost.
_FRESH = {".gitattributes", "README.md"}


def require_may_replace(manifest: Manifest, published: PublishedState, to: str, *, replace: bool = False) -> None:
    """Refuse to publish what would take something away from readers.

    Parameters
    ----------
    manifest : Manifest
        What is to be published.
    there : There
        What the place holds.
    to : str
        Name of the place, for messages.
    replace : bool
        Let it take the place of another or newer dataset; an older schema never may.

    Raises
    ------
    NewerSchemaError
        If what is there has a later schema version.
    PublicationError
        If what is there is newer, is real where this is simulated (or the other way), has venues, tables or times
        that this lacks, or is no dataset of cexkit.

    Examples
    --------
    >>> require_may_replace(Manifest(), PublishedState(), "here")
    """
    current = published.manifest
    if current is not None and current.schema_version > manifest.schema_version:
        raise NewerSchemaError(
            f"{to} has schema version {current.schema_version}, this dataset {manifest.schema_version}; readers would "
            "lose what the later one has. Make the warehouse anew with the current cexkit and publish that"
        )
    if replace:
        return
    if current is None:
        if beside := sorted(set(published.files) - _FRESH):
            raise PublicationError(f"{to} is no dataset of cexkit: it holds {', '.join(beside[:3])}; {_ANYWAY}")
        return
    problem = _problem(manifest, current)
    if problem:
        raise PublicationError(f"{to} {problem}; nothing was changed. {_ANYWAY.capitalize()}")


def _problem(manifest: Manifest, current: Manifest) -> str | None:
    """Why a manifest may not take the place of another one."""
    if current.simulated != manifest.simulated:
        kinds = {True: "simulated", False: "real"}
        return f"holds {kinds[current.simulated]} data, and this is {kinds[manifest.simulated]}"
    if current.updated_at > manifest.updated_at:
        theirs, ours = (f"{moment:%Y-%m-%d %H:%M:%S} UTC" for moment in (current.updated_at, manifest.updated_at))
        return f"holds a newer state, of {theirs}; this is of {ours}"
    if lost := _lost(manifest, current):
        return f"holds what this dataset lacks: {'; '.join(lost[:3])}{f' and {len(lost) - 3} more' if lost[3:] else ''}"
    return None


def _lost(manifest: Manifest, current: Manifest) -> list[str]:
    """Tables, venues and times that a reader has now and would not have after."""
    ours, lost = _by_venue(manifest), []
    for (table, exchange), files in _by_venue(current).items():
        name = f"{table}{f' of {exchange}' if exchange else ''}"
        if (table, exchange) not in ours:
            lost.append(name)
        elif TABLES[table].layer != "gold":
            lost += [f"{name} from {span}" for span in _missing(files, ours[table, exchange])]
    return lost


def _by_venue(manifest: Manifest) -> dict[tuple[str, str | None], list[DataFile]]:
    files = defaultdict(list)
    for file in manifest.files:
        files[file.table, file.exchange].append(file)
    return files


def _missing(before: list[DataFile], after: list[DataFile]) -> Iterator[str]:
    """Times at either end, and of whole files between, that are gone."""
    old, new = Extent.of(before), Extent.of(after)
    if old.start is None or new.start is None:
        return
    if old.start < new.start:
        yield _format_span(old.start, new.start)
    spans = [span_of(file.period) for file in after]
    for file in before:
        within = file.start and new.start <= file.start and file.end <= new.end
        if within and not any(span.start <= file.end and file.start < span.end for span in spans):
            yield _format_span(file.start, file.end)
    if new.end < old.end:
        yield _format_span(new.end, old.end)


def _format_span(start: datetime, end: datetime) -> str:
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
