"""Fixtures that any test may ask for. Those that need servers are in tests/integration/conftest.py."""

from __future__ import annotations

import secrets

import hypothesis
import pytest

# How long an example takes is no property of what is tested: on a machine that is busy, it would fail now and then.
_SLOW = [hypothesis.HealthCheck.too_slow]
# The same examples each time: a rare one would fail one run, and be lost. Others: --hypothesis-profile=default.
hypothesis.settings.register_profile(
    "sallyport", deadline=None, suppress_health_check=_SLOW, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("sallyport")


@pytest.fixture
def suffix() -> str:
    """Twelve characters that no other test has: for names of topics, consumer groups, transactional ids."""
    return secrets.token_hex(6)
