"""A TCP server that sends bytes as a function states them: what no library for servers would send."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

CHUNK = b"0" * 65_536


class RawServer:
    """Calls ``reply(server, connection, request)`` in a thread per request; ``sent`` is the number of bytes taken."""

    def __init__(self, reply: Callable[[RawServer, socket.socket, str], None]):
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []
        self.sent = 0
        self.stopped = threading.Event()

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._listener.close()

    def send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        self.sent += len(data)

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := connection.recv(65_536)):
                    return
                head += data
            request = head.decode("latin-1").split("\r\n")[0]
            self.requests.append(request)
            with contextlib.suppress(OSError):  # the client has gone
                self._reply(self, connection, request)


def head(status: str = "200 OK", **headers: str) -> bytes:
    """The head of a response that ends with its connection."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def endless(server: RawServer, connection: socket.socket, request: str) -> None:
    """A body without an end."""
    server.send(connection, head())
    while not server.stopped.is_set():
        server.send(connection, CHUNK)


def dribbled(data: Callable[[], Iterator[bytes]], pause: float = 0.05):
    """A response one byte at a time."""

    def reply(server: RawServer, connection: socket.socket, request: str) -> None:
        for piece in data():
            for byte in piece:
                if server.stopped.is_set():
                    return
                server.send(connection, bytes([byte]))
                time.sleep(pause)

    return reply


def fixed(data: bytes):
    """The same bytes for every request."""

    def reply(server: RawServer, connection: socket.socket, request: str) -> None:
        server.send(connection, data)

    return reply
