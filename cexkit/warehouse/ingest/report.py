"""Ingestion reports and problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime

from cexkit.schema.intervals import Window
from cexkit.text import masked, printable

Step = Callable[[str], object]
#: Replaces the table name if a venue could not be read at all.
ALL_TABLES = "all tables"


@dataclass(frozen=True, slots=True)
class Problem:
    """An ingestion failure and its cause, in one printable line without credentials."""

    exchange: str
    table: str
    symbol: str | None
    window: Window | None
    message: str

    def __post_init__(self) -> None:
        # Venues supply parts of it, and it is stored and shown in many places.
        object.__setattr__(self, "message", printable(masked(self.message)))

    def __str__(self) -> str:
        place = " ".join(str(part) for part in (self.exchange, self.table, self.symbol, self.window) if part)
        return f"{printable(place)}: {self.message}"


@dataclass(frozen=True, slots=True)
class ClockProblem(Problem):
    """Clocks of a venue and of this machine that disagree. A report has at most one per venue."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an ingestion step; reports can be added.

    Attributes
    ----------
    responses : int
        Responses stored in Bronze.
    rows : int
        Rows written to Silver.
    quarantined : int
        Rows that failed a check and were quarantined.
    files : tuple of str
        Files written, relative to the warehouse.
    problems : tuple of Problem
        Data missing because of an error; empty if all steps succeeded.
    spans : tuple of Window
        Window that the responses can hold rows of, one per table. An archive file holds more than was requested.
    """

    responses: int = 0
    rows: int = 0
    quarantined: int = 0
    files: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    spans: tuple[Window, ...] = ()

    def __add__(self, other: Report) -> Report:
        known = {problem.exchange for problem in self.problems if isinstance(problem, ClockProblem)}
        added = [p for p in other.problems if not (isinstance(p, ClockProblem) and p.exchange in known)]
        parts = {part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(Report)}
        return Report(**parts | {"problems": (*self.problems, *added)})

    def __str__(self) -> str:
        lines = [f"{self.responses} responses kept, {self.rows} rows written, {self.quarantined} rows quarantined"]
        return "\n".join([*lines, *(f"problem: {problem}" for problem in self.problems)])


@dataclass(slots=True)
class Tally:
    """A report under construction."""

    responses: int = 0
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    span: Window | None = None

    def add(self, start: datetime | None, end: datetime | None) -> None:
        """Count one more stored response, with rows of this span."""
        self.responses += 1
        if start is not None and end is not None:
            self.span = (
                Window(min(start, self.span.start), max(end, self.span.end)) if self.span else Window(start, end)
            )

    def report(self) -> Report:
        spans = (self.span,) if self.span else ()
        return Report(responses=self.responses, files=tuple(self.files), problems=tuple(self.problems), spans=spans)
