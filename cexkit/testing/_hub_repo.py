"""What a hub holds: blobs by their hash, and repositories whose every commit is a whole tree of files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

#: What the hub writes into a new repository: files of these kinds go to large file storage.
ATTRIBUTES = "".join(f"*.{kind} filter=lfs diff=lfs merge=lfs -text\n" for kind in ("parquet", "zst", "zip", "bin"))
LARGE_KINDS = (".parquet", ".zst", ".zip", ".bin")
LARGE_BYTES = 10 << 20


class Refused(Exception):
    """A request that is answered with an error, as the hub words it."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def git_sha1(content: bytes) -> str:
    """The name git gives a file.

    Examples
    --------
    >>> git_sha1(b"")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Blobs:
    """Contents by name, as files of a folder; a blob is there whole or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def __contains__(self, name: str) -> bool:
        return self.path(name).is_file()

    def add(self, name: str, content: Path) -> None:
        """Take a file over."""
        os.replace(content, self.path(name))

    def add_bytes(self, name: str, content: bytes) -> None:
        temporary = self.temporary()
        temporary.write_bytes(content)
        self.add(name, temporary)

    def temporary(self) -> Path:
        return self.folder / f".tmp-{uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a tree: ``oid`` is git's name of it, ``sha256`` that of its content where it is a large file."""

    oid: str
    size: int
    sha256: str | None = None

    @property
    def blob(self) -> str:
        """Name of its content."""
        return self.sha256 or self.oid

    def info(self, path: str) -> dict:
        """As the hub shows it."""
        large = {"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": 134}} if self.sha256 else {}
        return {"type": "file", "oid": self.oid, "size": self.size, "path": path, **large}


@dataclass(frozen=True, slots=True)
class Commit:
    """One state of a repository."""

    oid: str
    parent: str | None
    tree: dict[str, Entry]
    title: str
    at: datetime


@dataclass(slots=True)
class Repo:
    """A dataset repository. Replacing a branch's commit is the one step that readers see."""

    id: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def at(self, revision: str) -> Commit:
        """The commit of a branch, tag or sha."""
        name = revision.removeprefix("refs/heads/")
        oid = self.branches.get(name) or self.tags.get(name) or name
        if oid not in self.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self.commits[oid]

    def history(self, revision: str) -> list[Commit]:
        """The commits of a revision, newest first."""
        found = [self.at(revision)]
        while found[-1].parent:
            found.append(self.commits[found[-1].parent])
        return found

    def put(self, branch: str, tree: dict[str, Entry], title: str) -> Commit:
        """Make this tree the state of a branch."""
        parent = self.branches.get(branch)
        at = datetime.now(UTC)
        named = json.dumps([parent, title, at.isoformat(), uuid4().hex, sorted(tree)])
        commit = Commit(hashlib.sha1(named.encode()).hexdigest(), parent, tree, title, at)
        self.commits[commit.oid] = commit
        self.branches[branch] = commit.oid
        return commit

    def change(self, branch: str, lines: Iterable[dict], blobs: Blobs) -> Commit:
        """Apply the lines of a commit request: all of them or none."""
        with self.lock:
            head = self.at(branch)
            tree, title = dict(head.tree), ""
            for line in lines:
                value = line["value"]
                if line["key"] == "header":
                    title = value.get("summary", "")
                    if value.get("parentCommit") not in (None, head.oid):
                        raise Refused(412, "PreconditionFailed", "A commit has happened since. Please refresh.")
                else:
                    _apply(line["key"], value, tree, blobs)
            return self.put(branch, tree, title)

    def tag(self, name: str, revision: str) -> None:
        """Name a commit for good."""
        with self.lock:
            if name in self.tags:
                raise Refused(409, "TagExists", f"Tag {name} already exists")
            self.tags[name] = self.at(revision).oid


def _apply(key: str, value: dict, tree: dict[str, Entry], blobs: Blobs) -> None:
    path = value["path"]
    if key == "file":
        content = base64.b64decode(value["content"])
        blobs.add_bytes(git_sha1(content), content)
        tree[path] = Entry(git_sha1(content), len(content))
    elif key == "lfsFile":
        tree[path] = _large(value["oid"], blobs)
    elif key == "deletedFile":
        if path not in tree:
            raise Refused(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
        del tree[path]
    elif key == "deletedFolder":
        for inside in [name for name in tree if name.startswith(path.rstrip("/") + "/")]:
            del tree[inside]
    else:
        raise Refused(400, "BadRequest", f"unknown operation {key}")


def _large(sha256: str, blobs: Blobs) -> Entry:
    if sha256 not in blobs:
        raise Refused(400, "LfsObjectMissing", f"large file {sha256} was not uploaded")
    size = blobs.path(sha256).stat().st_size
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return Entry(git_sha1(pointer.encode()), size, sha256)
