"""Every code block of the docs runs, block after block as one script."""

from __future__ import annotations

import re
import shutil

import pytest

from cexkit.analytics._registry import METRICS


def blocks(path) -> str:
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^( *)```python\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL)
    assert found, f"{path.name} has no Python"
    return "\n".join("\n".join(line.removeprefix(indent) for line in code.splitlines()) for indent, code in found)


def test_add_a_metric(project_root):
    try:
        exec(compile(blocks(project_root / "docs/how-to/add-a-metric.md"), "add-a-metric", "exec"), {})
        assert METRICS["bar_range_bps"].kind == "row"
    finally:
        METRICS.pop("bar_range_bps", None)


@pytest.mark.spark
def test_spark(project_root, capsys):
    pytest.importorskip("pyspark", reason="needs the extra `spark`")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    exec(compile(blocks(project_root / "docs/how-to/spark.md"), "spark", "exec"), {})
    assert "apr" in capsys.readouterr().out


def test_collect_liquidations(project_root, capsys):
    exec(compile(blocks(project_root / "docs/how-to/collect-liquidations.md"), "collect-liquidations", "exec"), {})
    assert "0 rows written" in capsys.readouterr().out
