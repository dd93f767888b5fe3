"""Proxies and certificates that environment variables name: whether they can be used, and which proxy applies to a URL.

The clients of venues, hubs, and websockets each read these variables and fail in ways that do not name them.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from cexkit.config import environment
from cexkit.errors import ConfigError

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
#: Files or folders of certificates that clients trust instead of those they bring.
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")
_KEY_LOG = "SSLKEYLOGFILE"
_SCHEMES = ("http", "https", "socks5", "socks5h")
#: What reads SOCKS: httpx, and websockets.
_SOCKS_MODULES = ("socksio", "python_socks")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
#: A host, a suffix of hosts, or an IPv4 range, perhaps with a port; clients refuse other letters than those of ASCII.
_HOST = re.compile(r"[\w.*-]*(?::\d+)?(?:/\d+)?", re.ASCII)

#: Proxies of httpx clients: those of the environment must not stand before servers on this machine.
LOOPBACK_MOUNTS = dict.fromkeys([f"all://{host}" for host in _LOOPBACK])


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy of a URL, and the variable that names it; its URL may contain a password."""

    variable: str
    url: str = field(repr=False)

    @property
    def is_socks(self) -> bool:
        """True if it is a SOCKS proxy, which only some clients can use."""
        return self.url.startswith("socks")


def require_usable_network(url: str | None = None) -> None:
    """Raise if a variable for proxies or certificates has a value that cannot be used.

    Parameters
    ----------
    url : str, optional
        Address of a request; ranges of ``NO_PROXY`` that contain it are refused, because clients ignore ranges.

    Raises
    ------
    ConfigError
        Naming the variable and what to do.
    """
    found = environment()
    read = [each for name in (*_PROXIES, "NO_PROXY") if (each := _variable(found, name))]
    read += [name for name in (*_CERTIFICATES, _KEY_LOG) if found.get(name)]
    _check_all(tuple((name, found[name]) for name in read))
    if url is not None and (entry := _range_around(url, found)) and _proxy(url, found):
        raise ConfigError(
            f"{_variable(found, 'NO_PROXY')} must name hosts, got the range {entry}, which contains "
            f"{_host(url)}; add the address itself"
        )


def proxy_of(url: str) -> Proxy | None:
    """Return the proxy that the environment names for a URL; None for hosts of ``NO_PROXY`` and for this machine."""
    found = environment()
    return None if _range_around(url, found) else _proxy(url, found)


def is_loopback(url: str) -> bool:
    """Return whether a URL names this machine.

    Examples
    --------
    >>> is_loopback("ws://127.0.0.1:9000/stream"), is_loopback("https://data.example")
    (True, False)
    """
    host = _host(url)
    return (f"[{host}]" if ":" in host else host) in _LOOPBACK


def tls_context() -> ssl.SSLContext:
    """Return the context of HTTPS connections, with the certificates that httpx trusts.

    Reading the certificates takes about 30 ms, so clients share one context until a variable or its file changes.

    Examples
    --------
    >>> tls_context() is tls_context()
    True
    """
    found = environment()
    return _tls_context(*((found.get(name), _changed(found.get(name))) for name in (*_CERTIFICATES[:2], _KEY_LOG)))


def network_hint(url: str, error: BaseException | None = None) -> str:
    """Return the variables that a failed request depended on, as the end of a message; empty without any."""
    if error is not None and "CERTIFICATE_VERIFY_FAILED" in str(error):
        trusted = [name for name in _CERTIFICATES[:2] if environment().get(name)]
        if trusted:
            return f"; the trusted certificates are those of {trusted[0]}"
        return "; if your network inspects traffic, set SSL_CERT_FILE to the file of its certificates"
    proxy = proxy_of(url)
    return f"; the request goes through the proxy of {proxy.variable}" if proxy else ""


@lru_cache(maxsize=8)
def _tls_context(*variables: tuple[str | None, int | None]) -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


def _changed(path: str | None) -> int | None:
    """Return when a file was changed, in nanoseconds; None if there is none."""
    try:
        return os.stat(path).st_mtime_ns if path else None
    except (OSError, ValueError):
        return None


def _variable(found: Mapping[str, str], name: str) -> str | None:
    """Return the spelling of a variable that clients read: lower case counts first; None if it is not set."""
    lower = name.lower()
    if lower in found:
        return lower if found[lower] else None
    return name if found.get(name) else None


def _proxy(url: str, found: Mapping[str, str]) -> Proxy | None:
    scheme = url.partition("://")[0].lower()
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    if is_loopback(url) or _is_excluded(_host(url), found.get(_variable(found, "NO_PROXY") or "", "")):
        return None
    for name in (f"{scheme.upper()}_PROXY", "ALL_PROXY"):
        if variable := _variable(found, name):
            # websockets refuses a user without a password
            return Proxy(variable, re.sub(r"(://[^:@/]+)@", r"\1:@", _with_scheme(found[variable])))
    return None


def _is_excluded(host: str, no_proxy: str) -> bool:
    entries = [entry.strip().lower().lstrip("*") for entry in no_proxy.split(",")]
    if "*" in (entry.strip() for entry in no_proxy.split(",")):
        return True
    return any(entry and (host == entry.lstrip(".") or host.endswith(f".{entry.lstrip('.')}")) for entry in entries)


def _range_around(url: str, found: Mapping[str, str]) -> str | None:
    """Return the entry of ``NO_PROXY`` that is a range of addresses around the host of a URL."""
    variable = _variable(found, "NO_PROXY")
    with suppress(ValueError):  # the host is a name
        address = ipaddress.ip_address(_host(url))
        for entry in found[variable].split(",") if variable else ():
            with suppress(ValueError):
                if "/" in entry and address in ipaddress.ip_network(entry.strip(), strict=False):
                    return entry.strip()
    return None


@lru_cache
def _check_all(values: tuple[tuple[str, str], ...]) -> None:
    """Raise for the first variable that cannot be used; a set of values that can be used is not checked again."""
    for variable, value in values:
        name = variable.upper()
        if name == "NO_PROXY":
            _check_exclusions(variable, value)
        elif name in _PROXIES:
            _check_proxy(variable, _with_scheme(value))
        elif name == _KEY_LOG:
            _check_key_log(value)
        else:
            _check_certificates(variable, value)


def _check_proxy(variable: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts = port = None
    plain = parts and parts.hostname and parts.path in ("", "/") and not (parts.query or parts.fragment)
    # The value may contain a password, so no message repeats it.
    if not plain or port == 0 or not url.isprintable() or " " in url or parts.scheme not in _SCHEMES:
        raise ConfigError(
            f"{variable} must be http://host:port, https://host:port, or socks5://host:port, got another form; "
            "correct it or unset it"
        )
    if parts.scheme.startswith("socks") and any(find_spec(name) is None for name in _SOCKS_MODULES):
        raise ConfigError(
            f"{variable} names a SOCKS proxy, which needs packages that are not installed; run "
            f"`pip install 'cexkit[socks]'`, or unset {variable}"
        )


def _check_exclusions(variable: str, value: str) -> None:
    for entry in filter(None, (entry.strip() for entry in value.split(","))):
        host = entry.partition("://")[2].rstrip("/") if "://" in entry else entry
        if _HOST.fullmatch(host):
            continue
        with suppress(ValueError):
            if ipaddress.IPv6Address(host).scope_id is None:
                continue
        raise ConfigError(
            f"{variable} must be names and addresses of hosts separated by commas, got {entry!r}; write IPv6 addresses "
            "without brackets, zones, and ranges, and names in ASCII (xn--…)"
        )


def _check_certificates(variable: str, value: str) -> None:
    if variable == "SSL_CERT_DIR":
        folders = value.split(os.pathsep)
        problem = None if any(Path(folder).is_dir() for folder in folders) else "no such folder"
    else:
        problem = None if Path(value).is_dir() and variable != "SSL_CERT_FILE" else _unreadable(value)
    if problem:
        kind = "a folder" if variable == "SSL_CERT_DIR" else "a file"
        raise ConfigError(
            f"{variable} must name {kind} of certificates, got {value!r}: {problem}; correct it or unset it"
        )


def _unreadable(path: str) -> str | None:
    """Return why a file of certificates cannot be used; None if it can."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return "no certificate in PEM format in it"
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return None


def _check_key_log(path: str) -> None:
    try:
        with open(path, "ab"):
            return
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
    raise ConfigError(
        f"{_KEY_LOG} must name a file that can be written, got {path!r}: {problem}; correct it or unset it"
    )


def _with_scheme(value: str) -> str:
    return value if "://" in value else f"http://{value}"


def _host(url: str) -> str:
    """Return the host of a URL in lower case; empty if there is none."""
    with suppress(ValueError):
        return urlsplit(url).hostname or ""
    return ""
