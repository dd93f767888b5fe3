"""Where a dataset can be published: ``hf://datasets/owner/name[@branch]`` or a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from cexkit.errors import InvalidInputError
from cexkit.publish.content import Content, Step
from cexkit.publish.plans import Plan

_HUB = re.compile(r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<branch>[^@/]+))?/?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Target(Protocol):
    """A place that can say what it holds and be made to hold a content."""

    #: What readers call the dataset there; None for a folder, which is called differently from each place.
    name: str | None

    def plan(self, content: Content, tag: str | None = None) -> Plan:
        """What would change; nothing is."""

    def put(self, content: Content, *, tag: str | None, step: Step) -> tuple[Plan, str | None, str]:
        """Make it so. Returns what was changed, the revision that now holds it, and its address."""


def target(to: str | Path, *, replace: bool, private: bool = False) -> Target:
    """The place that ``to`` names.

    Raises
    ------
    InvalidInputError
        If it names none.

    Examples
    --------
    >>> target("hf://datasets/me/data@next", replace=False).branch
    'next'
    >>> target("s3://bucket/data", replace=False)
    Traceback (most recent call last):
    cexkit.errors.InvalidInputError: cannot publish to 's3://bucket/data'; hf://datasets/owner/name[@branch] or a folder
    """
    if not str(to).startswith("hf://") and "://" not in str(to):
        from cexkit.publish.folder import Folder

        return Folder(Path(to).expanduser(), replace=replace)
    found = _HUB.fullmatch(str(to))
    if not found:
        raise InvalidInputError(f"cannot publish to {str(to)!r}; hf://datasets/owner/name[@branch] or a folder")
    branch = unquote(found["branch"] or "main")
    if _COMMIT.fullmatch(branch):
        raise InvalidInputError(f"cannot publish to the commit {branch}; name a branch")
    from cexkit.publish.hub import Hub

    return Hub(found["repo"], branch, replace=replace, private=private)
