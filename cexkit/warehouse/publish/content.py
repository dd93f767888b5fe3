"""The files of a publication, made from a warehouse whose every file was verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cexkit.errors import DatasetError, DatasetNotFoundError
from cexkit.warehouse.publish.card import CARD, card
from cexkit.warehouse.publish.comparison import Dataset
from cexkit.warehouse.publish.plans import Piece
from cexkit.warehouse.publish.spec import SPEC, describe, to_json
from cexkit.warehouse.quality import raise_on_failures, run_checks
from cexkit.warehouse.store.keys import broken_keys, keys_path
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.manifest import DataFile, Extent, Manifest
from cexkit.warehouse.store.parquet import sha256
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

    @property
    def manifest(self) -> Manifest:
        """The manifest of that moment."""
        return self._manifest


@dataclass(frozen=True, slots=True)
class Content:
    """All files that a published dataset has; the manifest is the last of them."""

    manifest: Manifest
    pieces: list[Piece]

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
        If a file that its manifest names is missing or is not the one named.
    QualityError
        If a blocking check fails.

    Examples
    --------
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> [piece.path for piece in assemble(Warehouse(SAMPLE_ROOT)).pieces][-3:-1]
    ['spec.json', 'README.md']
    """
    frozen = Frozen(warehouse)
    if not frozen.manifest.files:
        raise DatasetNotFoundError(f"there is nothing to publish in {frozen.root}; `cexkit pull` brings data in")
    _verify(frozen)
    # freshness is measured at the time of the data, so that publishing again later says the same
    quality = run_checks(frozen, now=frozen.manifest.updated_at, full=full)
    raise_on_failures(quality)
    spec = describe(frozen, quality)
    made = {SPEC: to_json(spec), CARD: card(spec, name=name, license=license), MANIFEST: frozen.manifest.to_json()}
    data = [piece for file in frozen.manifest.files for piece in _pieces(frozen.root, file)]
    return Content(frozen.manifest, [*data, *(Piece.of(path, text) for path, text in made.items())])


def _pieces(root: Path, file: DataFile) -> Iterator[Piece]:
    """Yield a data file and the file of its key digests."""
    yield Piece(file.path, file.bytes, file.sha256, root / file.path)
    if (name := keys_path(file)) is not None:
        yield Piece(name, (root / name).stat().st_size, file.keys_sha256, root / name)


def _verify(warehouse: Warehouse) -> None:
    wrong = [f"{file.path} {problem}" for file in warehouse.manifest.files if (problem := _wrong(warehouse.root, file))]
    wrong += broken_keys(warehouse.root, warehouse.manifest)
    if wrong:
        of = f"{len(wrong)} of {len(warehouse.manifest.files)} files of {warehouse.root}"
        raise DatasetError(
            f"{of} cannot be published: {'; '.join(wrong[:3])}{' …' if wrong[3:] else ''}. "
            "Nothing was published; make these files anew from Bronze (`cexkit pull`)"
        )


def _wrong(root: Path, file: DataFile) -> str | None:
    path = root / file.path
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != file.bytes:
        return f"has {path.stat().st_size:,} bytes, the manifest says {file.bytes:,}"
    return None if sha256(path) == file.sha256 else "has another content than the manifest says (sha256)"
