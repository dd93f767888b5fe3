"""Where a dataset can be published: ``hf://datasets/owner/name[@branch]`` or a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from cexkit.errors import InvalidInputError
from cexkit.warehouse.publish.content import Content, Step
from cexkit.warehouse.publish.losses import NO_LOSSES, AllowedLosses
from cexkit.warehouse.publish.plans import Plan
from cexkit.warehouse.store.locations import folder_of, hub_address

_COMMIT = re.compile(r"[0-9a-f]{40}")


class Target(Protocol):
    """A place that can say what it holds and be made to hold a content."""

    #: What readers call the dataset there; None for a folder, which is called differently from each place.
    name: str | None

    def plan(self, content: Content, tag: str | None = None) -> Plan:
        """What would change; nothing is."""

    def put(self, content: Content, *, tag: str | None, step: Step) -> tuple[Plan, str | None, str]:
        """Make it so. Returns what was changed, the revision that now holds it, and its address."""


def target(to: str | Path, *, allowed: AllowedLosses = NO_LOSSES, private: bool = False) -> Target:
    """Return the place that ``to`` names; a publication to it may lose only the allowed keys.

    Raises
    ------
    InvalidInputError
        If it names none.

    Examples
    --------
    >>> target("hf://datasets/me/data@next").branch
    'next'
    >>> target("s3://bucket/data")
    Traceback (most recent call last):
    cexkit.errors.InvalidInputError: cannot publish to s3://…; to hf://datasets/owner/name[@branch] or a folder
    """
    scheme, separator, _ = str(to).partition("://")
    if not separator:
        from cexkit.warehouse.publish.folder import Folder

        return Folder(folder_of(to), allowed=allowed)
    if scheme != "hf":
        # the rest is not repeated, for a secret may stand there
        raise InvalidInputError(f"cannot publish to {scheme}://…; to hf://datasets/owner/name[@branch] or a folder")
    repo, branch = hub_address(str(to))
    if _COMMIT.fullmatch(branch):
        raise InvalidInputError(f"cannot publish to the commit {branch}; name a branch")
    from cexkit.warehouse.publish.hub import Hub

    return Hub(repo, branch, allowed=allowed, private=private)
