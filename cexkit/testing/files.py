"""A web server of one folder on this machine, with ranges, as any static host of files."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from cexkit.testing._hub_repo import Refused
from cexkit.testing._hub_routes import HubRequest
from cexkit.testing.hub import LoopbackHub
from cexkit.testing.loopback import Reply


class LoopbackFiles(LoopbackHub):
    """The files below a folder, on the sockets of a :class:`LoopbackHub`: its log, latency and faults too.

    Parameters
    ----------
    root : Path
        The folder. What changes in it is served as it is then.
    **options
        See :class:`LoopbackHub`.

    Examples
    --------
    >>> import httpx
    >>> from cexkit.warehouse.store.layout import MANIFEST
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> with LoopbackFiles(SAMPLE_ROOT) as files:
    ...     httpx.get(f"{files.url}/{MANIFEST}", headers={"Range": "bytes=0-0"}).text
    '{'
    """

    def __init__(self, root: Path, **options):
        super().__init__(**options)
        self.root = root

    @staticmethod
    def route_of(method: str, path: str) -> str:
        """All paths are files."""
        return "file" if method in ("GET", "HEAD") else "unknown"

    def respond(self, request: HubRequest, body: BinaryIO) -> Reply | Path:
        """The file of that path."""
        path = (self.root / unquote(request.path).lstrip("/")).resolve()
        if request.route != "file" or not path.is_relative_to(self.root.resolve()) or not path.is_file():
            raise Refused(404, "", "no such file")
        return path

    def headers_of(self, request: HubRequest, path: Path) -> dict[str, str]:
        """What changes when the file does."""
        state = path.stat()
        return {"ETag": f'"{state.st_mtime_ns:x}-{state.st_size:x}"'}
