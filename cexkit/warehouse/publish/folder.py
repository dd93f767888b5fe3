"""Publishing to a folder: files first, the manifest last, and old files stay for one publication more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cexkit.errors import DatasetError, DatasetNotFoundError, InvalidInputError
from cexkit.warehouse.publish.content import Content, Step
from cexkit.warehouse.publish.losses import NO_LOSSES, AllowedLosses
from cexkit.warehouse.publish.plans import Piece, Plan, PublishedFile, PublishedState, compare
from cexkit.warehouse.publish.rules import allowed_losses, require_may_replace
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.keys import keys_path
from cexkit.warehouse.store.layout import KEYS, LOCK, MANIFEST, TABLES, TEMPORARY
from cexkit.warehouse.store.manifest import Manifest, read_manifest
from cexkit.warehouse.store.parquet import locked, write_atomic

#: Exists while a first publication is unfinished: then all data files in the folder are its own.
_UNFINISHED = ".unfinished-publication"
#: Files that writers need and readers do not see.
_OWN = (TEMPORARY, LOCK, _UNFINISHED)


class Folder:
    """A published copy in a folder. Readers of the copy never see half of it.

    Examples
    --------
    >>> Folder(Path("copy"))
    Folder('copy')
    """

    name = None

    def __init__(self, root: Path, *, allowed: AllowedLosses = NO_LOSSES):
        self.root, self.allowed = root, allowed

    def __repr__(self) -> str:
        return f"Folder({str(self.root)!r})"

    def plan(self, content: Content, tag: str | None = None) -> Plan:
        """Return what would change. A file leaves if neither the new manifest nor the one before names it."""
        if tag is not None:
            raise InvalidInputError("a folder has no tags; publish to a folder per release instead")
        published = self._there({piece.path for piece in content.pieces})
        content = content.beside(published)
        require_may_replace(content.manifest, published, str(self.root))
        lost = allowed_losses(content, published, self.root.joinpath, self.allowed, str(self.root))
        found = compare(str(self.root), content.pieces, published, lost)
        before = published.manifest.files if published.manifest else ()
        kept = {path for file in before for path in (file.path, keys_path(file))}
        leaving = tuple(path for path in found.delete if path not in kept) if found.add else ()
        return replace(found, delete=leaving)

    def put(self, content: Content, *, tag: str | None, step: Step) -> tuple[Plan, str | None, str]:
        """Copy what is new, put the manifest in place, delete what left a publication ago."""
        if any(self.root.resolve() in source.resolve().parents for source in _sources(content)):
            raise InvalidInputError(f"{self.root} is the warehouse itself, or above it; publish to another folder")
        with locked(self.root / LOCK):
            found = self.plan(content, tag)
            if not (self.root / MANIFEST).exists():
                write_atomic(self.root / _UNFINISHED, lambda temporary: temporary.touch())
            for piece in sorted(found.add, key=lambda piece: piece.path == MANIFEST):
                self._write(piece)
                step(piece.path)
            for path in found.delete:
                (self.root / path).unlink(missing_ok=True)
            for path in (self.root / _UNFINISHED, *self._temporaries()):
                path.unlink(missing_ok=True)
        return found, None, str(self.root)

    def _there(self, wanted: set[str]) -> PublishedState:
        """All files; those that are wanted with their hash."""
        paths = [path for path in self.root.rglob("*") if path.is_file() and not path.name.startswith(_OWN)]
        sized = {path.relative_to(self.root).as_posix(): path for path in sorted(paths)}
        files = {
            name: PublishedFile(path.stat().st_size, sha256(path) if name in wanted else None)
            for name, path in sized.items()
        }
        manifest = self._manifest()
        unfinished = manifest is None and (self.root / _UNFINISHED).exists()
        return PublishedState(files=files, manifest=manifest, unfinished=unfinished)

    def _manifest(self) -> Manifest | None:
        try:
            return read_manifest(self.root / MANIFEST)
        except DatasetNotFoundError:
            return None

    def _temporaries(self) -> list[Path]:
        """What a killed publication left; who holds the lock is the only one that writes."""
        folders = [path for name in (TABLES, KEYS) for path in (self.root / name).rglob(f"{TEMPORARY}*")]
        return [path for path in (*folders, *self.root.glob(f"{TEMPORARY}*")) if path.is_file()]

    def _write(self, piece: Piece) -> None:
        def write(temporary: Path) -> None:
            if isinstance(piece.source, bytes):
                temporary.write_bytes(piece.source)
            else:
                shutil.copyfile(piece.source, temporary)
            if sha256(temporary) != piece.sha256:
                raise DatasetError(f"{piece.path} changed while it was copied; nothing was published, try again")

        write_atomic(self.root / piece.path, write)


def _sources(content: Content) -> Iterator[Path]:
    return (piece.source for piece in content.pieces if isinstance(piece.source, Path))
