"""Dataset locations that ``connect(source)`` accepts."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cexkit.errors import InvalidInputError
from cexkit.warehouse.store.base import Location
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.manifest import manifest_text

SAMPLE = "sample"
SAMPLE_ROOT = Path(__file__).parents[2] / "_sample"

_HUB = re.compile(r"hf://datasets/(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./%-]*?))?/?", re.ASCII)
_FORMS = "'sample', a folder, hf://datasets/org/name[@revision], http(s)://…, s3://bucket/prefix"


class Folder(Location):
    """A folder on this machine."""

    remote = False

    def __init__(self, root: Path):
        self.root = root
        self.address = "the embedded sample" if root == SAMPLE_ROOT else str(root)

    @property
    def prefix(self) -> str:
        return f"{self.root.absolute()}/"

    def url(self, path: str) -> str:
        # DuckDB treats an address as a pattern: unescaped, `data[1]` would also mean `data1`.
        return glob.escape(self.prefix) + path

    def read(self, path: str) -> str:
        return manifest_text(self.root / path)

    def ping(self) -> None:
        self.read(MANIFEST)


def locate(source: str | Path | None = None) -> Location:
    """Return the location that a user names.

    Parameters
    ----------
    source : str or Path, optional
        ``"sample"`` for the embedded sample (``"./sample"`` for a folder of that name), a folder,
        ``hf://datasets/org/name[@revision]``, an ``http(s)://`` prefix or ``s3://bucket/prefix``. Default:
        the setting ``CEXKIT_DATA``, else the sample.

    Raises
    ------
    InvalidInputError
        If ``source`` has none of these forms.

    Examples
    --------
    >>> locate("sample").address
    'the embedded sample'
    >>> locate("hf://datasets/org/name@v1").address
    'hf://datasets/org/name@v1'
    """
    if source is None:
        from cexkit.config import settings

        source = settings().data or SAMPLE
    if source == SAMPLE:
        return Folder(SAMPLE_ROOT)
    return _remote(str(source)) if "://" in str(source) else Folder(folder_of(source))


def folder_of(source: str | Path) -> Path:
    """Return the folder that a user names; ``~`` expands to a home folder.

    Raises
    ------
    InvalidInputError
        If ``source`` does not name a folder.

    Examples
    --------
    >>> folder_of("data")
    PosixPath('data')
    """
    try:
        if "\0" not in str(source):
            return Path(source).expanduser()
    except RuntimeError:  # the user of that name has no home folder
        pass
    raise InvalidInputError(f"not a folder: {str(source)!r}")


def hub_address(source: str) -> tuple[str, str]:
    """Return the repository and revision of a dataset on the hub.

    Parameters
    ----------
    source : str
        ``hf://datasets/org/name[@revision]``; a revision may be percent-encoded, as the hub's own client wants it.

    Raises
    ------
    InvalidInputError
        If ``source`` does not have this form.

    Examples
    --------
    >>> hub_address("hf://datasets/org/name"), hub_address("hf://datasets/org/name@refs%2Fpr%2F1")
    (('org/name', 'main'), ('org/name', 'refs/pr/1'))
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    found = _HUB.fullmatch(source)
    if not found:
        raise InvalidInputError(f"{source!r} names no dataset of the hub; write hf://datasets/org/name[@revision]")
    try:
        validate_repo_id(found["repo"])
    except HFValidationError as error:
        raise InvalidInputError(f"{source!r} names no dataset of the hub: {error}") from error
    return found["repo"], unquote(found["revision"] or "main")


def _remote(source: str) -> Location:
    scheme = source.split("://")[0].lower()
    if scheme == "hf":
        from cexkit.warehouse.store.hub import Hub

        return Hub(*hub_address(source))
    # Errors do not repeat the address, because it may contain a secret.
    try:
        parts = urlsplit(source)
    except ValueError:
        raise InvalidInputError("an address of a dataset whose host cannot be read") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidInputError("an address of a dataset has no user, password, '?' or '#'; it is a prefix of files")
    if scheme in ("http", "https") and parts.netloc:
        from cexkit.warehouse.store.remote import Web

        return Web(source.rstrip("/"))
    if scheme == "s3" and parts.netloc:
        from cexkit.warehouse.store.remote import Bucket

        return Bucket(parts.netloc, parts.path.strip("/"))
    raise InvalidInputError(f"source must be one of {_FORMS}, got {source!r}")
