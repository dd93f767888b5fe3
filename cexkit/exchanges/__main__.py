"""Write the generated page: ``python -m cexkit.exchanges`` from the project's root."""

from __future__ import annotations

from pathlib import Path

from cexkit.exchanges.coverage import coverage
from cexkit.exchanges.registry import EXCHANGES


def generated() -> dict[str, str]:
    """Path below the project's root → text, for every file made from the descriptors."""
    return {"docs/reference/coverage.md": coverage(EXCHANGES)}


if __name__ == "__main__":
    for path, text in generated().items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
