"""Fixtures that any test may ask for. Those that need servers are in tests/integration/conftest.py."""

from __future__ import annotations

import secrets

import pytest


@pytest.fixture
def suffix() -> str:
    """Twelve characters that no other test has: for names of topics, consumer groups, transactional ids."""
    return secrets.token_hex(6)
