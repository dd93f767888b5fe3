"""The page of the sample's BTC, made once."""

from __future__ import annotations

import pytest

import cexkit
from cexkit.client.tearsheet import tearsheet


@pytest.fixture(scope="session")
def sheet():
    return tearsheet(cexkit.connect("sample"), "BTC")
