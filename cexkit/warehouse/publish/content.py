"""The files of a publication, made from a warehouse whose every file was verified."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from cexkit.errors import DatasetNotFoundError, QualityError
from cexkit.schema import TABLES
from cexkit.warehouse.publish.card import CARD, card
from cexkit.warehouse.publish.comparison import Dataset
from cexkit.warehouse.publish.held import Held, damaged_tables, held_error, tables_without_bronze
from cexkit.warehouse.publish.plans import Piece, PublishedState
from cexkit.warehouse.publish.spec import SPEC, describe, to_json, with_tables
from cexkit.warehouse.quality import raise_on_failures, run_checks
from cexkit.warehouse.store.keys import keys_path
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.manifest import DataFile, Extent, Manifest
from cexkit.warehouse.store.warehouse import Warehouse

Step = Callable[[str], None]


class Frozen(Warehouse):
    """A warehouse as it was at one moment, whatever is written to it meanwhile.

    Examples
    --------
    >>> Frozen(Warehouse("nothing-here")).manifest.files
    ()
    """

    def __init__(self, warehouse: Warehouse):
        super().__init__(warehouse.root)
        self._manifest = warehouse.manifest

    def without(self, tables: Container[str]) -> Frozen:
        """Return the same state without some tables."""
        other = Frozen(self)
        other._manifest = replace(self.manifest, files=tuple(f for f in self.manifest.files if f.table not in tables))
        return other

    @property
    def manifest(self) -> Manifest:
        """The manifest of that moment."""
        return self._manifest


@dataclass(frozen=True, slots=True)
class Content:
    """All files that a published dataset has; the manifest is the last of them.

    Attributes
    ----------
    manifest : Manifest
        The state to publish, without tables that are held back.
    pieces : list of Piece
        Its files.
    spec : dict
        Content of ``spec.json``.
    held : mapping of str to HeldTable
        Tables that are held back, and why.
    name, license : str, optional
        Of the dataset, for the card.
    """

    manifest: Manifest
    pieces: list[Piece]
    spec: dict[str, Any]
    held: Held = field(default_factory=dict)
    name: str | None = None
    license: str | None = None
    #: Folder of the warehouse, whose ledgers explain why keys are lost; None if unknown.
    root: Path | None = None

    def beside(self, published: PublishedState) -> Content:
        """Return the content in which the tables that are held back stay as they are published."""
        before = published.manifest.files if published.manifest else ()
        kept = [file for file in before if file.table in self.held]
        if not kept:
            return self
        files = sorted((*self.manifest.files, *kept), key=lambda file: (file.table, file.exchange or "", file.period))
        manifest = replace(self.manifest, files=tuple(files))
        spec = with_tables(self.spec, kept)
        names = [path for file in kept for path in (file.path, keys_path(file)) if path in published.files]
        stay = [Piece(path, published.files[path].size, "", b"", stays=True) for path in names]
        data = [piece for piece in self.pieces if piece.path not in {SPEC, CARD, MANIFEST}]
        made = _made(spec, manifest, self.name, self.license)
        return replace(self, manifest=manifest, spec=spec, pieces=[*data, *stay, *made])

    @property
    def title(self) -> str:
        """One line that says what it is."""
        files = self.manifest.files
        rows, tables = Extent.of(files).rows, len({file.table for file in files})
        return f"{self.manifest.updated_at:%Y-%m-%d %H:%M} UTC: {rows:,} rows in {tables} tables"

    @property
    def dataset(self) -> Dataset:
        """The manifest and its files on this machine, to compare with a published state."""
        return Dataset(self.manifest, {p.path: p.source for p in self.pieces if isinstance(p.source, Path)}.__getitem__)


def assemble(
    warehouse: Warehouse, *, name: str | None = None, license: str | None = None, full: bool = False
) -> Content:
    """Verify a warehouse and make what is published of it.

    Parameters
    ----------
    warehouse : Warehouse
        The dataset; only results of checks are cached in it.
    name : str, optional
        What readers call it (``hf://datasets/owner/name``), for the card.
    license : str, optional
        License of the data by its name on HuggingFace, for the card.
    full : bool, default False
        True to check every row again, whatever is cached.

    Raises
    ------
    DatasetNotFoundError
        If it holds nothing.
    DatasetError
        If each table has a file that is missing or is not the one that the manifest names. Otherwise the tables with
        such files are held back.
    QualityError
        If a blocking check fails; if it is only the one of Bronze files, the table is held back.

    Examples
    --------
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> [piece.path for piece in assemble(Warehouse(SAMPLE_ROOT)).pieces][-3:-1]
    ['spec.json', 'README.md']
    """
    frozen = Frozen(warehouse)
    if not frozen.manifest.files:
        raise DatasetNotFoundError(f"there is nothing to publish in {frozen.root}; `cexkit pull` brings data in")
    held = damaged_tables(frozen.root, frozen.manifest)
    names = [name for name, table in TABLES.items() if table.layer == "silver" and name not in held]
    intact = frozen.without(held)
    # freshness is measured at the time of the data, so that publishing again later says the same
    quality = run_checks(intact, names, now=frozen.manifest.updated_at, full=full)
    held = {**held, **tables_without_bronze(frozen.root, quality)}
    quality, intact = quality.filter(~pl.col("table_name").is_in(list(held))), frozen.without(held)
    _require_publishable(intact, quality, held)
    spec = describe(intact, quality)
    data = [piece for file in intact.manifest.files for piece in _pieces(frozen.root, file)]
    pieces = [*data, *_made(spec, intact.manifest, name, license)]
    return Content(intact.manifest, pieces, spec, held, name, license, frozen.root)


def _pieces(root: Path, file: DataFile) -> Iterator[Piece]:
    """Yield a data file and the file of its key digests."""
    yield Piece(file.path, file.bytes, file.sha256, root / file.path)
    if (name := keys_path(file)) is not None:
        yield Piece(name, (root / name).stat().st_size, file.keys_sha256, root / name)


def _require_publishable(intact: Frozen, quality: pl.DataFrame, held: Held) -> None:
    """Raise if nothing is left to publish, or a blocking check fails."""
    if not intact.manifest.files:
        raise held_error(held, "there are none, so nothing was published")
    try:
        raise_on_failures(quality, intact.root)
    except QualityError as error:
        if held:
            raise held_error(held, f"not published, because {error}") from error
        raise


def _made(spec: dict[str, Any], manifest: Manifest, name: str | None, license: str | None) -> list[Piece]:
    """Return the files that are made for a publication."""
    made = {SPEC: to_json(spec), CARD: card(spec, name=name, license=license), MANIFEST: manifest.to_json()}
    return [Piece.of(path, text) for path, text in made.items()]
