"""What a step of bringing data in did, and what it could not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime

from cexkit.schema.intervals import Window

Step = Callable[[str], object]
#: In place of a table where a venue could not be read at all.
ALL_TABLES = "all tables"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was not brought in, and why."""

    exchange: str
    table: str
    symbol: str | None
    window: Window | None
    message: str

    def __str__(self) -> str:
        place = " ".join(str(part) for part in (self.exchange, self.table, self.symbol, self.window) if part)
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a step did; reports add up.

    Attributes
    ----------
    responses : int
        Answers kept in Bronze.
    rows : int
        Rows written to Silver.
    quarantined : int
        Rows that failed a check and are kept apart.
    files : tuple of str
        Files written, below the warehouse.
    problems : tuple of Problem
        What is missing because of an error; empty where all went well.
    spans : tuple of Window
        What the responses can hold rows of, one for each table: a file of an archive holds more than was asked for.
    """

    responses: int = 0
    rows: int = 0
    quarantined: int = 0
    files: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    spans: tuple[Window, ...] = ()

    def __add__(self, other: Report) -> Report:
        return Report(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(Report)))

    def __str__(self) -> str:
        lines = [f"{self.responses} responses kept, {self.rows} rows written, {self.quarantined} rows quarantined"]
        return "\n".join([*lines, *(f"problem: {problem}" for problem in self.problems)])


@dataclass(slots=True)
class Tally:
    """A report in the making."""

    responses: int = 0
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    span: Window | None = None

    def add(self, start: datetime | None, end: datetime | None) -> None:
        """One more response was kept, with rows of this span."""
        self.responses += 1
        if start is not None and end is not None:
            self.span = (
                Window(min(start, self.span.start), max(end, self.span.end)) if self.span else Window(start, end)
            )

    def report(self) -> Report:
        spans = (self.span,) if self.span else ()
        return Report(responses=self.responses, files=tuple(self.files), problems=tuple(self.problems), spans=spans)
