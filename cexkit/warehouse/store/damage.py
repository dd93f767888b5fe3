"""Damaged files: how they are noticed, and the errors that name them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cexkit.errors import DamagedFileError
from cexkit.schema import Table

#: What to do about a damaged file, at the end of a message.
RESTORE = "restore it from a copy, or make it again from Bronze with `cexkit rebuild`; other tables can be read"


def sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damaged(path: str | Path, problem: object, action: str = RESTORE) -> DamagedFileError:
    """Return the error for a file that cannot be read; ``problem`` is the reason or the exception."""
    if isinstance(problem, FileNotFoundError):
        return DamagedFileError(f"{path} is missing; {action}")
    reason = str(problem).partition("\n")[0].rstrip(".")
    return DamagedFileError(f"{path} is damaged ({reason}); {action}")


def require_columns(path: str | Path, names: Sequence[str], table: Table) -> None:
    """Raise DamagedFileError if a file lacks a required column of its table."""
    lacking = [field.name for field in table.fields if not field.nullable and field.name not in names]
    if lacking:
        raise DamagedFileError(
            f"{table.name}: {path} lacks required columns {', '.join(lacking)}; another version of cexkit wrote the "
            "dataset, and this one cannot read it"
        )
