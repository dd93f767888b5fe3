"""Partitions: Bronze by day, Silver by the period of its files."""

from __future__ import annotations

import dagster as dg

from cexkit.schema import Table

#: Before this no venue here settled funding or served hourly bars in this form.
FIRST_DAY = "2019-01-01"

#: The running day counts: it is read hour by hour.
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1)
#: The running year counts: its file is rewritten as days come in.
YEARS = dg.TimeWindowPartitionsDefinition(start="2019", fmt="%Y", cron_schedule="0 0 1 1 *", end_offset=1)


def file_periods(table: Table) -> dg.PartitionsDefinition | None:
    """The partitions of a Silver table: one a file; None for a table in one file.

    A month that is running lies in daily files, so a table by months is made by days: an hour's refresh makes a day
    anew, not a month. A day of a month that was put together makes its month.
    """
    return {"all": None, "year": YEARS, "month": DAYS}[table.period]
