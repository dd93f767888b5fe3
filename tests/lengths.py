"""How many generated examples a test has: few by default, and more with ``--long``."""

from __future__ import annotations

import os

#: Set by ``conftest.py`` where tests run with ``--long``: decorators are evaluated before a test can ask for options.
LONG = "LONG_FORM_OF_TESTS"


def examples(short: int, long: int) -> int:
    """Return the number of examples for ``hypothesis.settings(max_examples=…)``."""
    return long if os.environ.get(LONG) else short
