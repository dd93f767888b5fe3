"""``python -m cexkit.testing.simulation [folder]`` writes the sample, by default the one inside the package."""

from __future__ import annotations

import sys
from pathlib import Path

from cexkit.testing.simulation.sample import write
from cexkit.warehouse.store.locations import SAMPLE_ROOT


def main() -> None:
    """Write the sample and print what each table takes."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE_ROOT
    sizes = write(root)
    lines = [f"{name:22}{size / 1e3:10,.0f} kB" for name, size in sizes.items()]
    sys.stdout.write("\n".join([*lines, f"{'all':22}{sum(sizes.values()) / 1e3:10,.0f} kB", f"in {root}", ""]))


if __name__ == "__main__":
    main()
