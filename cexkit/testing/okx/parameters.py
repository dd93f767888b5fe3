"""Parameters of requests to OKX, and OKX's errors for invalid ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

#: Bars by their name, and by how much they are off the UTC grid.
BARS = {
    "1m": ("1m", timedelta(0)),
    "1H": ("1h", timedelta(0)),
    "1D": ("1d", timedelta(hours=-8)),
    "1Dutc": ("1d", timedelta(0)),
}


class RequestError(Exception):
    """An error that OKX reports in a response with status 200."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


def require_param(params: Mapping[str, str], name: str) -> str:
    """Return a parameter, or raise OKX's error if it is missing or empty."""
    if not params.get(name):
        raise RequestError("50014", f"Parameter {name} can not be empty.")
    return params[name]


def parse_number(params: Mapping[str, str], name: str) -> int | None:
    """Return a parameter as an integer; None if it is missing."""
    text = params.get(name)
    if text is not None and not text.isdecimal():
        raise RequestError("51000", f"Parameter {name} error")
    return None if text is None else int(text)


def parse_bar(params: Mapping[str, str]) -> tuple[str, timedelta]:
    """Return the interval of the ``bar`` parameter, and the offset of its bars from the UTC grid."""
    if params.get("bar", "1m") not in BARS:
        raise RequestError("51000", "Parameter bar error")
    return BARS[params.get("bar", "1m")]
