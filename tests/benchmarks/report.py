"""Benchmark results as the table of the docs: ``python tests/benchmarks/report.py benchmarks.json``."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks.md"
HEAD = """\
# Benchmarks

Metrics beside what a user would write, 3 million rows of 100 instruments; fastest of several rounds, all in one run.
Milliseconds depend on the machine, the ratios much less. Made by

```sh
python -m pytest tests/benchmarks --benchmark-json=benchmarks.json
python tests/benchmarks/report.py benchmarks.json
```

"Same steps" is the metric written by hand with the same rules (NaN is null, time order per instrument); "shortest"
leaves them out and takes the rows to be sorted.
"""


def main(results: Path) -> None:
    found = json.loads(results.read_text())["benchmarks"]
    least: dict[str, dict[str, float]] = defaultdict(dict)
    for one in found:
        key = one["params"].get("version") or one["params"]["name"]
        least[one["group"]][key] = one["stats"]["min"] * 1e3
    parts = [HEAD, "\n| metric | cexkit, ms | alternative | ms | ratio |\n|---|---|---|---|---|\n"]
    for group, times in least.items():
        for other, ms in times.items():
            if other != "cexkit" and "cexkit" in times:
                ratio = times["cexkit"] / ms
                parts.append(f"| {group} | {times['cexkit']:.1f} | {other} | {ms:.1f} | {ratio:.2f} |\n")
    parts.append("\n| metric on 1,000 rows | polars, ms | pandas, ms |\n|---|---|---|\n")
    small = [least.get(f"1,000 rows on {library}", {}) for library in ("polars", "pandas")]
    parts += [f"| {name} | {small[0][name]:.2f} | {small[1][name]:.2f} |\n" for name in small[0]]
    PAGE.write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
