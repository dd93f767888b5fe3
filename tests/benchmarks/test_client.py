"""The client beside its alternatives, on 4 million rows, or 50 million with ``--long``; see ``client_report.py``.

Requests, bytes and memory are the same on every machine and must be kept within; times are shown.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def test_client(tmp_path, request):
    spec = importlib.util.spec_from_file_location("client_report", Path(__file__).parent / "client_report.py")
    report = sys.modules["client_report"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    rows = report.measure(tmp_path, long=request.config.getoption("--long"))
    kept = [row for row in rows if row.question == "30 days in a closed month" and "cold" in row.way and row.aim]
    assert len(kept) == 4
    assert [row for row in kept if not row.met] == []
    assert [row for row in rows if "again" in row.way and row.requests] == []
    assert [row for row in rows if "one connection" in row.question and not row.met] == []
