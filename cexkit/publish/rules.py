"""What may take the place of what: a publication is a warehouse's whole state, never a union of two."""

from __future__ import annotations

from cexkit.errors import NewerSchemaError, PublicationError
from cexkit.publish.plans import There
from cexkit.schema import TABLES
from cexkit.store.manifest import Manifest

_ANYWAY = "if this is meant, publish with replace=True (`--replace`)"
#: What a fresh repository has, beside which nothing can be lost.
_FRESH = {".gitattributes", "README.md"}


def require_may_replace(manifest: Manifest, there: There, to: str, *, replace: bool = False) -> None:
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
    >>> require_may_replace(Manifest(), There(), "here")
    """
    held = there.manifest
    if held is not None and held.schema_version > manifest.schema_version:
        raise NewerSchemaError(
            f"{to} has schema version {held.schema_version}, this dataset {manifest.schema_version}; readers would "
            "lose what the later one has. Make the warehouse anew with the current cexkit and publish that"
        )
    if replace:
        return
    if held is None:
        if beside := sorted(set(there.files) - _FRESH):
            raise PublicationError(f"{to} is no dataset of cexkit: it holds {', '.join(beside[:3])}; {_ANYWAY}")
        return
    problem = _problem(manifest, held)
    if problem:
        raise PublicationError(f"{to} {problem}; nothing was changed. {_ANYWAY.capitalize()}")


def _problem(manifest: Manifest, held: Manifest) -> str | None:
    """Why a manifest may not take the place of another one."""
    if held.simulated != manifest.simulated:
        kinds = {True: "simulated", False: "real"}
        return f"holds {kinds[held.simulated]} data, and this is {kinds[manifest.simulated]}"
    if held.updated_at > manifest.updated_at:
        theirs, ours = (f"{moment:%Y-%m-%d %H:%M:%S} UTC" for moment in (held.updated_at, manifest.updated_at))
        return f"holds a newer state, of {theirs}; this is of {ours}"
    if lost := _lost(manifest, held):
        return f"holds what this dataset lacks: {'; '.join(lost[:3])}{f' and {len(lost) - 3} more' if lost[3:] else ''}"
    return None


def _lost(manifest: Manifest, held: Manifest) -> list[str]:
    """Tables, venues and times that a reader has now and would not have after."""
    ours, theirs = _spans(manifest), _spans(held)
    lost = []
    for (table, exchange), (start, end) in sorted(theirs.items(), key=str):
        name = f"{table}{f' of {exchange}' if exchange else ''}"
        if (table, exchange) not in ours:
            lost.append(name)
            continue
        first, last = ours[table, exchange]
        if None in (start, end, first, last) or TABLES[table].layer == "gold":
            continue
        if first > start:
            lost.append(f"{name} from {start:%Y-%m-%d %H:%M} to {first:%Y-%m-%d %H:%M}")
        if last < end:
            lost.append(f"{name} from {last:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}")
    return lost


def _spans(manifest: Manifest) -> dict[tuple[str, str | None], tuple]:
    """First and last time of each table and venue."""
    files: dict[tuple[str, str | None], list] = {}
    for file in manifest.files:
        files.setdefault((file.table, file.exchange), []).append(file)
    return {
        place: (
            min((file.start for file in found if file.start), default=None),
            max((file.end for file in found if file.end), default=None),
        )
        for place, found in files.items()
    }
