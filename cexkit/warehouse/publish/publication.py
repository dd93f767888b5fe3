"""``plan`` and ``publish``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cexkit.config import settings
from cexkit.warehouse.publish.content import Content, Step, assemble
from cexkit.warehouse.publish.held import held_error
from cexkit.warehouse.publish.losses import AllowedLosses, Loss
from cexkit.warehouse.publish.plans import Plan
from cexkit.warehouse.publish.target import target
from cexkit.warehouse.store.warehouse import Warehouse
from cexkit.warehouse.store.wording import counted, size_text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publication did. ``str`` of it is for people: a line, and one more per table and venue that lost keys.

    Attributes
    ----------
    plan : Plan
        What was changed, or would be.
    revision : str or None
        The commit that holds the dataset; None for a folder and for a dry run.
    url : str or None
        Where it can be looked at; None for a dry run.
    tag : str or None
        The tag that names the commit.
    dry_run : bool
        Whether nothing was done.
    """

    plan: Plan
    revision: str | None = None
    url: str | None = None
    tag: str | None = None
    dry_run: bool = False

    @property
    def changed(self) -> bool:
        """Whether readers see something else than before."""
        return self.plan.changes and not self.dry_run

    @property
    def lost(self) -> tuple[Loss, ...]:
        """Published keys that disappeared, or would disappear, as allowed."""
        return self.plan.lost

    def __str__(self) -> str:
        if self.dry_run:
            return f"{self.plan}\nnothing was changed: this was a dry run"
        tagged = f", tag {self.tag}" if self.tag else ""
        if not self.plan.changes:
            return f"nothing to publish: {self.url} holds it already{tagged}"
        files = f"{counted(len(self.plan.add), 'file')} ({size_text(self.plan.bytes)}) written"
        lost = "".join(f"\nlost, as allowed: {loss}" for loss in self.lost)
        return (
            f"published: {files}, {len(self.plan.delete):,} deleted, {len(self.plan.keep):,} kept: {self.url}{tagged}"
            f"{lost}"
        )


def plan(
    warehouse: Warehouse | str | Path,
    to: str | Path,
    *,
    allow_loss: str | Sequence[str] = (),
    license: str | None = None,
) -> Plan:
    """Return what publishing would change, without changing anything.

    Parameters and errors are those of :func:`publish`.

    Examples
    --------
    >>> import tempfile
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> len(plan(SAMPLE_ROOT, tempfile.mkdtemp()).delete)
    0
    """
    place = target(to, allowed=AllowedLosses.of(allow_loss))
    content = _content(warehouse, place.name, license)
    return _require_whole(content, place.plan(content))


def publish(
    warehouse: Warehouse | str | Path,
    to: str | Path,
    *,
    dry_run: bool = False,
    tag: str | None = None,
    step: Step | None = None,
    allow_loss: str | Sequence[str] = (),
    private: bool = False,
    license: str | None = None,
    full: bool = False,
) -> Publication:
    """Publish the state of a warehouse: only what changed is sent, and readers see all of it or none.

    Every file is held against the sha256 of the manifest before, and what the hub says it has after. A run that was
    cut is run again: what was uploaded is not uploaded anew, and where nothing is left to do nothing is done.

    A table with a damaged file is held back: readers see it as before, the other tables are published without a tag,
    and then an error names the file.

    A publication never removes published keys unless ``allow_loss`` names their table. Keys of replaced files are
    compared per instrument and month; the values of rows may change.

    Parameters
    ----------
    warehouse : Warehouse, str or Path
        What to publish; nothing in it is changed.
    to : str or Path
        ``hf://datasets/owner/name``, with ``@branch`` if it is not ``main``, or a folder for a published copy. A
        repository or branch that is not there is made. The token comes from the environment (``HF_TOKEN``).
    dry_run : bool
        Only plan.
    tag : str, optional
        Name of the release, such as ``v2026.06.30``: a tag on the commit.
    step : callable, optional
        Called with the path of each file that was sent, for a progress bar.
    allow_loss : str or sequence of str
        Tables (``"ohlcv_1h"``), or tables of a venue (``"ohlcv_1h:okx"``), whose published keys may disappear. Names
        that match no loss have no effect. Default: none.
    private : bool
        Whether a repository that is made is private.
    license : str, optional
        License of the data by its name on HuggingFace, for the card; by default the setting
        ``CEXKIT_PUBLISH_LICENSE``, else ``mit`` for simulated data and ``other`` for the rest.
    full : bool, default False
        True to check every row again, whatever is cached.

    Returns
    -------
    Publication

    Raises
    ------
    QualityError
        If a blocking check fails. If it is only the one of Bronze files, their table is held back.
    DatasetError
        If a folder cannot be written.
    NewerSchemaError
        If a later schema is published there.
    PublicationError
        If tables were held back because a file is missing or damaged; if published keys would be lost that
        ``allow_loss`` does not name, the published dataset is newer or another one, a tag has other content, or the hub
        refuses the commit.
    UnknownNameError
        If ``allow_loss`` names an unknown table or venue.
    InvalidInputError
        If ``to`` names no place, or ``allow_loss`` has another form.

    Examples
    --------
    >>> import tempfile
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> copy = tempfile.mkdtemp()
    >>> publish(SAMPLE_ROOT, copy).changed, publish(SAMPLE_ROOT, copy).changed
    (True, False)
    """
    place = target(to, allowed=AllowedLosses.of(allow_loss), private=private)
    content = _content(warehouse, place.name, license, full=full)
    tag = None if content.held else tag  # a release is whole
    if dry_run:
        return _require_whole(content, Publication(place.plan(content, tag), dry_run=True))
    done, revision, url = place.put(content, tag=tag, step=step or (lambda _: None))
    return _require_whole(content, Publication(done, revision, url, tag))


def _require_whole(content: Content, done: T) -> T:
    """Return what was done or planned; raise if tables were held back, stating it."""
    if content.held:
        raise held_error(content.held, str(done))
    return done


def _content(
    warehouse: Warehouse | str | Path, name: str | None, license: str | None, *, full: bool = False
) -> Content:
    opened = warehouse if isinstance(warehouse, Warehouse) else Warehouse(warehouse)
    return assemble(opened, name=name, license=license or settings().publish_license, full=full)
