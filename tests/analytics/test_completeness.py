"""No metric without a full docstring, an example that runs, values worked by hand, and a naive oracle."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import cexkit
from cexkit.analytics.catalog import METRICS

HERE = Path(__file__).parent
#: All that there is to be, by kind of thing measured.
EXPECTED = """
    funding_interval funding_apr funding_apy cumulative_funding funding_pnl funding_spend_usd
    funding_zscore funding_pct_rank funding_regime weighted_funding funding_spread
    basis basis_bps annualized_basis constant_maturity_basis carry_return
    oi_change oi_quadrant oi_to_volume oi_to_market_cap taker_imbalance cvd
    liquidation_summary liquidation_intensity_bps liquidation_cascades liquidation_heatmap
    returns log_returns drawdown beta correlation realized_volatility amihud corwin_schultz
    vwap resample price_divergence_bps volume_share dominance herfindahl
"""


def _tests() -> list[tuple[str, bool]]:
    """Source of every test function here with its module's constants, and whether hypothesis drives it."""
    found = []
    for path in HERE.rglob("test_*.py"):
        if path.name in ("test_completeness.py", "test_parity.py", "test_core.py", "test_accessors.py"):
            continue
        if "plotting" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        constants = "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                start = min([node.lineno, *(mark.lineno for mark in node.decorator_list)]) - 1
                source = "\n".join(text.splitlines()[start : node.end_lineno])
                found.append((f"{constants}\n{source}", "given(" in source))
    return found


TESTS = _tests()


def _speaks_of(source: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", source) is not None


def test_every_metric_is_there():
    assert set(METRICS) == set(EXPECTED.split())


@pytest.mark.parametrize("name", sorted(METRICS))
class TestEveryMetric:
    def test_is_exported_and_documented(self, name):
        text = METRICS[name].function.__doc__ or ""
        assert name in cexkit.__all__
        for section in ("Parameters", "Returns", "Examples"):
            assert re.search(rf"^\s*{section}\n\s*-+$", text, flags=re.MULTILINE), f"{name} has no {section}"
        assert ">>>" in text
        assert METRICS[name].meaning.endswith((".", ":"))

    def test_has_values_worked_by_hand(self, name):
        assert any(not driven and _speaks_of(source, name) for source, driven in TESTS)

    def test_has_a_naive_oracle_under_hypothesis(self, name):
        assert any(driven and _speaks_of(source, name) for source, driven in TESTS)
