"""The sockets of a loopback hub: bodies in both directions, ranges, and what goes wrong."""

from __future__ import annotations

import json
import re
import socket
import struct
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from cexkit.testing._hub_repo import Refused
from cexkit.testing.loopback import Fault, Reply

_CHUNK = 1 << 16


class _Reset(Exception):
    """The connection is to be reset now."""


class _Body:
    """A request's body as it comes in, plain or in chunks; ``limit`` is where the connection breaks."""

    def __init__(self, handler: HubHandler, limit: int | None):
        self._file, self._limit = handler.rfile, limit
        self._chunked = "chunked" in handler.headers.get("Transfer-Encoding", "")
        self._left = self._next() if self._chunked else int(handler.headers.get("Content-Length") or 0)
        self.received = 0

    def _next(self) -> int:
        size = int(self._file.readline().split(b";")[0], 16)
        if size == 0:
            self._file.readline()
        return size

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that is left."""
        parts: list[bytes] = []
        while self._left and size != 0:
            part = self._file.read(min(self._left, _CHUNK, size if size > 0 else _CHUNK))
            if not part:
                raise ConnectionResetError("the client hung up")
            parts.append(part)
            self._count(len(part))
            size -= len(part) if size > 0 else 0
        return b"".join(parts)

    def _count(self, size: int) -> None:
        self.received += size
        self._left -= size
        if self._limit is not None and self.received >= self._limit:
            raise _Reset
        if self._chunked and not self._left:
            self._file.readline()
            self._left = self._next()


class HubHandler(BaseHTTPRequestHandler):
    """One connection of a :class:`cexkit.testing.hub.LoopbackHub`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _go(self) -> None:
        hub, parts = self.server.hub, urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._logged, fault = hub.begin(self.command, parts.path, parts.query, headers)
        writes = self.command in {"PUT", "POST"}
        self._after = getattr(fault, "after", None)
        body = _Body(self, self._after if writes else None)
        try:
            hub.stopping.wait(hub.latency_seconds + (fault.stall_seconds if fault else 0.0))
            reply = self._reply(fault, body)
            while body.read(_CHUNK):
                pass
            if fault is not None and fault.sent is None and (writes or self._after is None):
                raise _Reset
            self._send(reply)
        except _Reset:
            self._hang_up(abruptly=getattr(fault, "abrupt", True))
        finally:
            self._logged.received = body.received

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _go

    def _reply(self, fault: Fault | None, body: _Body) -> Reply | Path:
        if fault is not None and (instead := fault.change(Reply())).status != HTTPStatus.OK:
            return instead
        try:
            return self.server.hub.respond(self._logged.request, body)
        except Refused as refused:
            error_headers = {"X-Error-Code": refused.code} if refused.code else {}
            content = json.dumps({"error": refused.message}).encode()
            return Reply(refused.status, content, error_headers | {"X-Error-Message": refused.message})

    def _send(self, reply: Reply | Path) -> None:
        if isinstance(reply, Path):
            self._send_file(reply)
            return
        headers = {"Content-Type": "application/json"} | reply.headers | {"Content-Length": str(len(reply.body))}
        self._head(reply.status, headers)
        self._write(reply.body)

    def _send_file(self, path: Path) -> None:
        """A file, or the range of it that was asked for."""
        size = path.stat().st_size
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        headers |= self.server.hub.headers_of(self._logged.request, path)
        first, last = 0, size - 1
        byte_range = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if byte_range:
            first = int(byte_range[1]) if byte_range[1] else max(0, size - int(byte_range[2]))
            last = min(size - 1, int(byte_range[2])) if byte_range[1] and byte_range[2] else size - 1
            if first >= size:
                self._head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
                return
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._head(206 if byte_range else 200, headers | {"Content-Length": str(last - first + 1)})
        with path.open("rb") as file:
            file.seek(first)
            left = last - first + 1
            while left and self.command != "HEAD":
                part = file.read(min(left, _CHUNK))
                left -= len(part)
                self._write(part)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._logged.status = status
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *map(": ".join, headers.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1"))

    def _write(self, content: bytes) -> None:
        if self.command == "HEAD":
            return
        if self._after is not None and self._logged.sent + len(content) > self._after:
            self.wfile.write(content[: self._after - self._logged.sent])
            self._logged.sent = self._after
            raise _Reset
        self.wfile.write(content)
        self._logged.sent += len(content)

    def _hang_up(self, *, abruptly: bool) -> None:
        if abruptly:
            # lingering for 0 s makes close() send RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Silent; see ``LoopbackHub.log``."""
