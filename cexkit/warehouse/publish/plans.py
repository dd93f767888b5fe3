"""What a publication changes: the files a dataset is to have, held against those a place has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cexkit.text import printable
from cexkit.warehouse.publish.losses import Loss
from cexkit.warehouse.store.layout import KEYS, TABLES
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.wording import counted, size_text


@dataclass(frozen=True)
class Piece:
    """A file that the published dataset has: on disk, or made for the publication.

    If it ``stays``, the place has it already, whatever its content, and it has no source here.
    """

    path: str
    size: int
    sha256: str
    source: Path | bytes = field(repr=False)
    stays: bool = False

    @classmethod
    def of(cls, path: str, text: str) -> Piece:
        """A file made of a text.

        Examples
        --------
        >>> Piece.of("a.txt", "").sha256[:8]
        'e3b0c442'
        """
        content = text.encode()
        return cls(path, len(content), hashlib.sha256(content).hexdigest(), content)

    @cached_property
    def git_sha1(self) -> str:
        """The name git gives it, by which a hub knows small files."""
        digest = hashlib.sha1(b"blob %d\0" % self.size)
        if isinstance(self.source, bytes):
            digest.update(self.source)
        else:
            with self.source.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file that a place has, known by the hash of its content or by git's name of it."""

    size: int
    sha256: str | None = None
    git_sha1: str | None = None

    def is_same(self, piece: Piece) -> bool:
        """Whether its content is that of the piece."""
        if piece.stays:
            return True
        if self.size != piece.size:
            return False
        return self.sha256 == piece.sha256 if self.sha256 else self.git_sha1 == piece.git_sha1


@dataclass(frozen=True, slots=True)
class PublishedState:
    """What a place holds now.

    Attributes
    ----------
    revision : str or None
        The commit it was seen at; None for a folder, and for a repository that is still to be made.
    files : mapping of str to PublishedFile
        By path.
    manifest : Manifest or None
        None if the place holds no manifest.
    unfinished : bool
        True if an interrupted first publication left data files that no manifest ever named.
    """

    revision: str | None = None
    files: Mapping[str, PublishedFile] = field(default_factory=dict)
    manifest: Manifest | None = None
    unfinished: bool = False


@dataclass(frozen=True)
class Plan:
    """What a publication will do. ``str`` of it is for people.

    Attributes
    ----------
    to : str
        Where to.
    revision : str or None
        The commit it was planned against; None for a folder, and for a repository that is still to be made.
    add, keep : tuple of Piece
        Files that are new or changed, and files that are there already.
    delete : tuple of str
        Paths of data files and key digests that leave.
    lost : tuple of Loss
        Published keys that disappear, as allowed.

    Examples
    --------
    >>> print(compare("folder", [Piece.of("tables/a", "x")], PublishedState(files={"tables/b": PublishedFile(1, "…")})))
    plan: folder
      1 file to write, 1 byte
        tables/a (1 byte)
      1 data file to delete
        tables/b
      0 files kept, 0 bytes
    """

    to: str
    revision: str | None
    add: tuple[Piece, ...]
    delete: tuple[str, ...]
    keep: tuple[Piece, ...]
    lost: tuple[Loss, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.add or self.delete)

    @property
    def bytes(self) -> int:
        """Bytes to upload at most; what the hub has from an earlier try is not sent again."""
        return sum(piece.size for piece in self.add)

    @property
    def kept_bytes(self) -> int:
        """Bytes that are there already."""
        return sum(piece.size for piece in self.keep)

    def __str__(self) -> str:
        lines = [f"plan: {self.to}{f' at {self.revision}' if self.revision else ''}"]
        lines.append(f"  {_count(self.add, 'file')} to write, {size_text(self.bytes)}")
        lines += [f"    {piece.path} ({counted(piece.size, 'byte')})" for piece in self.add]
        lines.append(f"  {_count(self.delete, 'data file')} to delete")
        lines += [f"    {path}" for path in self.delete]
        lines.append(f"  {_count(self.keep, 'file')} kept, {size_text(self.kept_bytes)}")
        lines += [f"  lost, as allowed: {loss}" for loss in self.lost]
        return "\n".join(printable(line) for line in lines)


def _count(things: tuple, what: str) -> str:
    return counted(len(things), what)


def compare(to: str, pieces: list[Piece], published: PublishedState, lost: tuple[Loss, ...] = ()) -> Plan:
    """Return the plan that makes a place hold these pieces, and no other data files or key digests.

    Other files, such as a license or a picture, are kept.
    """
    same = {p.path for p in pieces if p.path in published.files and published.files[p.path].is_same(p)}
    wanted = {piece.path for piece in pieces}
    old = [path for path in published.files if path.startswith((f"{TABLES}/", f"{KEYS}/")) and path not in wanted]
    return Plan(
        to=to,
        revision=published.revision,
        add=tuple(piece for piece in pieces if piece.path not in same),
        delete=tuple(sorted(old)),
        keep=tuple(piece for piece in pieces if piece.path in same),
        lost=lost,
    )
