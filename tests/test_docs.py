"""Every code block of the docs runs, block after block as one script."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

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


def test_add_an_exchange(project_root, tmp_path):
    """The made-up venue passes the contract that all inherit; in a process of its own, for it is registered."""
    script = tmp_path / "moonbase.py"
    run = (
        "\nimport sys, pytest\n"
        "which = '(moonbase or v1.pairs) and not recorded'\n"
        "words = ['tests/exchanges/test_contract.py', '-vv', '-k', which, '-p', 'no:cacheprovider']\n"
        "sys.exit(pytest.main(words))\n"
    )
    script.write_text(blocks(project_root / "docs/how-to/add-an-exchange.md") + run)
    words = [sys.executable, str(script)]
    done = subprocess.run(words, cwd=project_root, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    for part in ("neighbouring", "any_bytes", "half_open", "truth_comes_back"):
        assert part in done.stdout
