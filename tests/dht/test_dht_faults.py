"""The scenarios of `bench.faults`, small: the promises are kept among broken nodes."""

import pytest

from bench.faults import Size, measure

SMALL = {
    "dead": Size(nodes=40, count=15),
    "stale": Size(nodes=30, count=8),
    "expired": Size(nodes=24, count=12),
    "lying": Size(nodes=40, count=60),
    "churn": Size(nodes=16, count=8),
}


@pytest.mark.parametrize("name", SMALL)
def test_the_promise_is_kept_on_a_small_network(name: str) -> None:
    figures = measure(name, 2, SMALL[name])
    assert figures["kept"], figures


def test_a_scenario_with_one_seed_has_one_trace() -> None:
    size = Size(nodes=24, count=10)
    assert measure("lying", 5, size) | {"cpu_seconds": 0} == measure("lying", 5, size) | {
        "cpu_seconds": 0
    }
