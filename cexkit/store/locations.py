"""Where a dataset can be: what ``connect(where)`` takes."""

from __future__ import annotations

from pathlib import Path

from cexkit.errors import DatasetNotFoundError, InvalidInputError
from cexkit.store.layout import MANIFEST

SAMPLE = "sample"
SAMPLE_ROOT = Path(__file__).parent.parent / "_sample"


def resolve(where: str | Path | None = None) -> Path:
    """The local folder of a dataset.

    Parameters
    ----------
    where : str or Path, optional
        ``"sample"`` for the embedded sample (``"./sample"`` for a folder of that name) or a folder. By
        default the setting ``CEXKIT_DATA``, else the sample.

    Raises
    ------
    DatasetNotFoundError
        If no dataset is there.
    InvalidInputError
        If it is a place that cannot be read.

    Examples
    --------
    >>> resolve("sample").name
    '_sample'
    """
    if where is None:
        from cexkit.config import settings

        where = settings().data or SAMPLE
    if where == SAMPLE:
        return SAMPLE_ROOT
    if "://" in str(where):
        raise InvalidInputError(
            f"{where!r}: only folders and the sample can be opened so far; download it and connect to the folder"
        )
    root = Path(where).expanduser()
    if not (root / MANIFEST).is_file():
        raise DatasetNotFoundError(
            f"no dataset at {root} (no {MANIFEST} in it); `cexkit pull --warehouse {root} …` makes one, "
            "and connect() without an argument opens the embedded sample"
        )
    return root
