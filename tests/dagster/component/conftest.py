"""Fixtures of the component's tests."""

import pytest

from gristmill.settings import Settings


@pytest.fixture(autouse=True)
def _inline(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in this process, with a home of the test's own."""
    monkeypatch.setenv("GRISTMILL_DEFAULT_POOL", "inline")
