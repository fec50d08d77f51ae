"""Fixtures of the tests that start real processes over loopback, with a scripted model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.village import Village, build_village, processes_naming


@pytest.fixture
def village(tmp_path: Path) -> Village:
    return build_village(tmp_path)


@pytest.fixture(autouse=True)
def nothing_left_running(tmp_path: Path) -> Iterator[None]:
    """Every test here ends with no process of its own left."""
    yield
    assert processes_naming(str(tmp_path)) == []
