"""The real ``huggingface_hub`` of this process, pointed to a loopback hub."""

from __future__ import annotations

import pytest
from huggingface_hub import constants


def point(patch: pytest.MonkeyPatch, url: str) -> None:
    """Ask this hub instead of the public one, until the patch is undone."""
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
