"""Proxies on this machine: HTTP and SOCKS 5, each in front of one server, whatever host is requested."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit


class LoopbackProxy:
    """A proxy that passes every request on to one server and remembers the requested hosts."""

    scheme = "http"

    def __init__(self, upstream: str):
        parts = urlsplit(upstream)
        self.hosts: list[str] = []
        self._upstream = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{self.scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> LoopbackProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, ConnectionError), client, socket.create_connection(self._upstream) as server:
            answer = self.greet(client, server)
            back = threading.Thread(target=answer, args=(server, client), daemon=True)
            back.start()
            try:
                _pump(client, server)
            finally:
                back.join(5)  # closing sooner would cut the response off

    def greet(self, client: socket.socket, server: socket.socket) -> Callable[[socket.socket, socket.socket], None]:
        """Read where the client wants to go, pass on the head of a plain request, and return what passes responses on.

        A plain request is the only one of its connection, because the next one may go to another host; the client
        reads so in the response.
        """
        method, target, rest = _head(client).split(b" ", 2)
        if method == b"CONNECT":
            self.hosts.append(target.decode().partition(":")[0])
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            return _pump
        parts = urlsplit(target.decode())
        self.hosts.append(parts.hostname or "")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        server.sendall(_closing(b" ".join([method, path.encode(), rest])))
        return _answer_once


class LoopbackSocks(LoopbackProxy):
    """A SOCKS 5 proxy without a password."""

    scheme = "socks5"

    def greet(self, client: socket.socket, server: socket.socket) -> Callable[[socket.socket, socket.socket], None]:
        """Read where the client wants to go, and return what passes responses on."""
        _, count = _read(client, 2)
        _read(client, count)
        client.sendall(b"\x05\x00")
        kind = _read(client, 4)[3]
        if kind == 3:
            self.hosts.append(_read(client, _read(client, 1)[0]).decode())
        else:
            self.hosts.append(_read(client, {1: 4, 4: 16}[kind]).hex())
        _read(client, 2)
        client.sendall(b"\x05\x00\x00\x01" + bytes(4) + struct.pack(">H", 1))
        return _pump


def _head(source: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += source.recv(1) or _cut()
    return head


def _closing(head: bytes) -> bytes:
    head = re.sub(rb"\r\nconnection: [^\r]*", b"", head, flags=re.IGNORECASE)
    return head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def _answer_once(server: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        client.sendall(_closing(_head(server)))
    _pump(server, client)


def _read(source: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        found += source.recv(count - len(found)) or _cut()
    return found


def _cut() -> bytes:
    raise ConnectionError


def _pump(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(1 << 16):
            to.sendall(part)
    for end in (source, to):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
