"""Where a dataset can be: what ``connect(where)`` takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from cexkit.errors import DatasetNotFoundError, InvalidInputError
from cexkit.store.layout import MANIFEST

SAMPLE = "sample"
SAMPLE_ROOT = Path(__file__).parent.parent / "_sample"

#: Told of bytes as they come in.
Seen = Callable[[int], object]
#: A statement for DuckDB and its bound values.
Statement = tuple[str, dict[str, object]]

_HUB = re.compile(r"hf://datasets/(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?/?", re.ASCII)
_FORMS = "'sample', a folder, hf://datasets/org/name[@revision], http(s)://…, s3://bucket/prefix"


class Location:
    """A place that holds a dataset. Subclasses say how its files are asked for.

    Attributes
    ----------
    where : str
        The place as it is shown; never with a secret in it.
    remote : bool
        Whether files come over a network.
    pinned : bool
        Whether the place can only ever hold one state of the dataset (a commit).
    direct : bool
        Whether DuckDB can read from it without the cache.
    """

    where: str
    remote: ClassVar[bool] = True
    pinned: bool = False
    direct: bool = True

    @property
    def place(self) -> str:
        """What a cache knows the place by."""
        return self.where

    @property
    def prefix(self) -> str:
        """What the addresses of all its files begin with."""
        raise NotImplementedError

    def pin(self) -> Location:
        """The same place at the state it has now."""
        return self

    def at(self, revision: str) -> Location:
        """The same place at a state that was found before."""
        return self

    def revision_of(self, text: str) -> str:
        """What names the state of the dataset: for most places the hash of the manifest's content."""
        import hashlib

        return hashlib.sha256(text.encode()).hexdigest()

    def read(self, path: str) -> str:
        """Text of a small file."""
        raise NotImplementedError

    def download(self, path: str, folder: Path, seen: Seen) -> Path:
        """Bring a file into a folder."""
        raise NotImplementedError

    def url(self, path: str) -> str:
        """The address of a file for DuckDB."""
        return self.prefix + path

    def statements(self) -> list[Statement]:
        """What DuckDB must be told before it can read from here."""
        return []

    def ping(self) -> None:
        """Ask for something small."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.where!r})"


class Folder(Location):
    """A folder on this machine."""

    remote = False

    def __init__(self, root: Path):
        self.root = root
        self.where = "the embedded sample" if root == SAMPLE_ROOT else str(root)

    @property
    def prefix(self) -> str:
        return f"{self.root.absolute()}/"

    def read(self, path: str) -> str:
        try:
            return (self.root / path).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise DatasetNotFoundError(
                f"no dataset at {self.root} (no {path} in it); `cexkit pull --warehouse {self.root} …` makes one, "
                "and connect() without an argument opens the embedded sample"
            ) from None

    def ping(self) -> None:
        self.read(MANIFEST)


def locate(where: str | Path | None = None) -> Location:
    """The place that a user names.

    Parameters
    ----------
    where : str or Path, optional
        ``"sample"`` for the embedded sample (``"./sample"`` for a folder of that name), a folder,
        ``hf://datasets/org/name[@revision]``, an ``http(s)://`` prefix or ``s3://bucket/prefix``. By default
        the setting ``CEXKIT_DATA``, else the sample.

    Raises
    ------
    InvalidInputError
        If it is none of these.

    Examples
    --------
    >>> locate("sample").where
    'the embedded sample'
    >>> locate("hf://datasets/org/name@v1").where
    'hf://datasets/org/name@v1'
    """
    if where is None:
        from cexkit.config import settings

        where = settings().data or SAMPLE
    if where == SAMPLE:
        return Folder(SAMPLE_ROOT)
    if "\0" in str(where):
        raise InvalidInputError(f"not a place: {str(where)!r}")
    if "://" in str(where):
        return _remote(str(where))
    return Folder(Path(where).expanduser())


def _remote(where: str) -> Location:
    scheme = where.split("://")[0].lower()
    if scheme == "hf":
        return _hub(where)
    parts = urlsplit(where)
    if parts.username or parts.password or parts.query or parts.fragment:
        # not repeated, for what stands there may be a secret
        raise InvalidInputError("an address of a dataset has no user, password, '?' or '#'; it is a prefix of files")
    if scheme in ("http", "https") and parts.netloc:
        from cexkit.store.remote import Web

        return Web(where.rstrip("/"))
    if scheme == "s3" and parts.netloc:
        from cexkit.store.remote import Bucket

        return Bucket(parts.netloc, parts.path.strip("/"))
    raise InvalidInputError(f"{where!r} is no place of a dataset; those that can be opened: {_FORMS}")


def _hub(where: str) -> Location:
    from cexkit.store.hub import Hub

    found = _HUB.fullmatch(where)
    if not found:
        raise InvalidInputError(f"{where!r} names no dataset of the hub; write hf://datasets/org/name[@revision]")
    return Hub(found["repo"], found["revision"] or "main")
