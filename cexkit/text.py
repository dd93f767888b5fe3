"""Text from outside, made safe to show: control characters are escaped, credentials in URLs are masked.

Venues, hubs, and manifests supply names and messages. A terminal executes some of their characters, and a log or a
dataset card takes a newline in them for the end of a line.
"""

from __future__ import annotations

import re

MASK = "***"

#: User and password of a URL. A password may contain ``/`` and ``@``; after a host and port, ``@`` is in the path.
#: Without a scheme, or where an address is malformed, only a user with a password is one: ``a//b@c`` may be a path.
_PASSWORD = r"[^\s/?#@:'\"]*:(?!\d+(?:[/?#]|$))[^\s'\"]*"
_USER = re.compile(
    rf"(?:(?<=://)(?:[^\s/?#'\"]*|{_PASSWORD})|(?:(?<=//)(?<![:/\w]//)|(?<=:/)(?!/)|(?<=//datasets/)){_PASSWORD})@"
)
_SECRET_NAMES = "token|secret|signature|credential|passw|passphrase|pwd|api-?_?key|accesskey|policy|auth|session|jwt"
#: Parameters of a URL that grant access, signed URLs of S3, GCS, Azure, and CloudFront included. Their delimiters may
#: be percent-encoded, because a URL can be a parameter of another one.
_NAME = r"(?:(?!%3D)[^\s=&;#'\"])*"
_PARAMETER = re.compile(
    rf"((?:[?&;#]|%3F|%26|%23)(?:{_NAME}(?:{_SECRET_NAMES}){_NAME}|{_NAME}key|sig|sign|hmac|pass|code|key-pair-id)"
    r"(?:=|%3D))(?:(?!%26|%23)[^\s&;#'\"])*",
    re.IGNORECASE,
)

#: Tokens outside of URLs: those of Hugging Face, and what a header of authorization holds.
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}|(?<=\bBearer )[^\s'\"]+|(?<=\bBasic )[A-Za-z0-9+/]{8,}=*")


def printable(text: str, keep: str = "") -> str:
    """Return a text with every character that is not printable escaped as in a Python literal.

    Control characters, line separators, marks that reverse the direction of writing, and lone surrogates count as not
    printable; ``keep`` names those that stay.

    Examples
    --------
    >>> print(printable("BTC\\x1b[2J\\u202eTDSU\\n"))
    BTC\\x1b[2J\\u202eTDSU\\n
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def printable_json(text: str) -> str:
    """Return JSON, or lines of it, with the characters that are not printable escaped as JSON escapes them.

    Examples
    --------
    >>> printable_json('{"symbol": "\\x7f\\u202e"}')
    '{"symbol": "\\\\u007f\\\\u202e"}'
    """
    # JSON contains such characters only inside its strings, except for the newlines between its tokens.
    return "".join(each if each.isprintable() or each == "\n" else _escape_json(each) for each in text)


def _escape_json(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def masked(text: str) -> str:
    """Return a text in which ``***`` replaces credentials.

    These are users, passwords, and signed parameters of URLs, tokens of Hugging Face, and authorization headers.

    Examples
    --------
    >>> masked("https://me:secret@venue.example/bars?symbol=BTCUSDT&token=abc")
    'https://***@venue.example/bars?symbol=BTCUSDT&token=***'
    >>> masked("Authorization: Bearer abc.def")
    'Authorization: Bearer ***'
    """
    text = _TOKEN.sub(MASK, text)
    if "/" not in text and "?" not in text and "%3" not in text:
        return text
    return _PARAMETER.sub(rf"\g<1>{MASK}", _USER.sub(f"{MASK}@", text))
