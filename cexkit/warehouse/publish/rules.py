"""What a publication may replace: it publishes the whole state of a warehouse and never merges two."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from cexkit.errors import DatasetError, NewerSchemaError, PublicationError
from cexkit.schema import TABLES
from cexkit.warehouse.gold.build import MADE_OF, compute_gold
from cexkit.warehouse.publish.comparison import Dataset, find_losses
from cexkit.warehouse.publish.content import Content
from cexkit.warehouse.publish.losses import AllowedLosses, Loss
from cexkit.warehouse.publish.plans import PublishedState
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.warehouse import Warehouse

_ELSEWHERE = "publish to another place, or delete the files there first. Nothing was changed"
#: Files of a new repository; they are not worth protecting.
_FRESH = {".gitattributes", "README.md"}


def require_may_replace(manifest: Manifest, published: PublishedState, to: str) -> None:
    """Refuse to publish over something that is not an earlier state of the same dataset.

    Parameters
    ----------
    manifest : Manifest
        The state to publish.
    published : PublishedState
        The state of the target.
    to : str
        Name of the target, for messages.

    Raises
    ------
    NewerSchemaError
        If the published dataset has a later schema version.
    PublicationError
        If the published dataset is newer, is real where this one is simulated (or the other way round), or is not a
        dataset of cexkit.

    Examples
    --------
    >>> require_may_replace(Manifest(), PublishedState(), "here")
    """
    current = published.manifest
    if current is None:
        others = [] if published.unfinished else sorted(set(published.files) - _FRESH)
        if others:
            raise PublicationError(f"{to} is not a cexkit dataset: it contains {', '.join(others[:3])}; {_ELSEWHERE}")
        return
    if current.schema_version > manifest.schema_version:
        raise NewerSchemaError(
            f"{to} has schema version {current.schema_version}, newer than this dataset ({manifest.schema_version}); "
            "publishing would lose data. Run `cexkit migrate` on this warehouse, then publish it"
        )
    if current.simulated != manifest.simulated:
        kinds = {True: "simulated", False: "real"}
        raise PublicationError(
            f"{to} holds {kinds[current.simulated]} data, and this dataset is {kinds[manifest.simulated]}; {_ELSEWHERE}"
        )
    if current.updated_at > manifest.updated_at:
        theirs, mine = (f"{moment:%Y-%m-%d %H:%M:%S} UTC" for moment in (current.updated_at, manifest.updated_at))
        raise PublicationError(
            f"{to} holds a newer state, written at {theirs}; this one was written at {mine}. Nothing was changed. "
            "Update this warehouse (`cexkit pull`) and publish again, or publish to another place"
        )


def allowed_losses(
    content: Content, published: PublishedState, locate: Callable[[str], Path], allowed: AllowedLosses, to: str
) -> tuple[Loss, ...]:
    """Return the published keys that a publication removes; all of them are allowed.

    Parameters
    ----------
    content : Content
        The state to publish.
    published : PublishedState
        The state of the target.
    locate : callable
        Returns the local path of a published file, see :class:`cexkit.warehouse.publish.comparison.Dataset`.
    allowed : AllowedLosses
        Losses that the user allows.
    to : str
        Name of the target, for messages.

    Raises
    ------
    UnknownNameError
        If ``allowed`` names an unknown table or venue.
    PublicationError
        If other keys would be lost.
    """
    current = published.manifest or Manifest()
    allowed.require_known([content.manifest, current])
    found = find_losses(content.dataset, Dataset(current, locate))
    losses = tuple(loss for loss in found if not _is_recomputed(content.root, loss))
    allowed.require_covers(losses, to, partial(_count_excluded, content.root))
    return losses


def _is_recomputed(root: Path | None, loss: Loss) -> bool:
    """Return whether a Gold table is missing because it has no rows any more, by a Silver that lacks none of its keys.

    A row of a Gold table can disappear if its inputs are completed, such as one that was made while a venue was down.
    """
    if root is None or loss.table not in MADE_OF:
        return False
    try:
        return compute_gold(Warehouse(root), loss.table).is_empty()
    except DatasetError:
        return False


def _count_excluded(root: Path | None, loss: Loss) -> int:
    """Return how many responses are excluded from the table and venue of a loss."""
    if root is None or loss.table not in TABLES or loss.exchange is None:
        return 0
    return len(Ledger(root, loss.exchange, TABLES[loss.table]).excluded)
