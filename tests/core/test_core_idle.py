"""The idle gate: transcripts of a day at a device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.idle import Gate, GateSettings, Reading

QUIET = Reading(load=0.05, plugged=True, battery=0.9, celsius=50.0, user_idle=600.0)


def play(*looks: tuple[float, Reading]) -> list[tuple[bool, str]]:
    """What a gate says to readings at their seconds."""
    gate = Gate(GateSettings())
    return [(said.open, said.reason) for said in (gate.handle(seen, at) for at, seen in looks)]


def every(step: float, begin: float, end: float, seen: Reading) -> list[tuple[float, Reading]]:
    """The same reading again and again."""
    return [(begin + step * n, seen) for n in range(int((end - begin) / step) + 1)]


def opened(looks: list[tuple[float, Reading]]) -> list[float]:
    """The seconds at which the gate opened or closed."""
    found, before = [], False
    for (at, _), (is_open, _) in zip(looks, play(*looks), strict=True):
        if is_open != before:
            found.append(at)
            before = is_open
    return found


def test_it_opens_after_a_minute_of_quiet_and_not_before() -> None:
    assert opened(every(2, 0, 120, QUIET)) == [60]


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (Reading(load=0.31), "other programs are busy"),
        (Reading(plugged=False, battery=0.79), "it runs on battery"),
        (Reading(plugged=False), "it runs on battery"),
        (Reading(user_idle=3.0), "somebody uses it"),
        (Reading(celsius=85.0), "it is hot"),
    ],
)
def test_it_closes_at_once_and_says_why(seen: Reading, why: str) -> None:
    said = play(*every(2, 0, 60, QUIET), (62, seen))
    assert said[-2:] == [(True, "it is idle"), (False, why)]


def test_after_load_a_new_minute_of_quiet_is_wanted() -> None:
    looks = [*every(2, 0, 60, QUIET), (62, Reading(load=1.0)), *every(2, 64, 140, QUIET)]
    assert opened(looks) == [60, 62, 124]


def test_a_short_burst_while_it_waits_begins_the_minute_anew() -> None:
    looks = [*every(2, 0, 58, QUIET), (60, Reading(load=0.9)), *every(2, 62, 140, QUIET)]
    assert opened(looks) == [122]


def test_load_around_the_limit_does_not_let_it_flap() -> None:
    looks = [(2.0 * n, Reading(load=0.29 if n % 5 else 0.31)) for n in range(1_000)]
    assert opened(looks) == []


def test_unplugged_it_waits_five_minutes_even_with_a_full_battery() -> None:
    unplugged = Reading(load=0.0, plugged=False, battery=1.0)
    looks = every(2, 0, 60, QUIET) + every(2, 62, 400, unplugged)
    assert opened(looks) == [60, 62, 362]
    assert "unplugged" in play(*looks)[40][1]


def test_heat_is_waited_out_from_its_last_moment() -> None:
    hot = Reading(load=0.0, celsius=90.0)
    looks = every(2, 0, 60, QUIET) + every(2, 62, 70, hot) + every(2, 72, 500, QUIET)
    assert opened(looks) == [60, 62, 370]


def test_what_is_unknown_is_no_reason_to_close() -> None:
    assert opened(every(2, 0, 100, Reading())) == [60]


def test_a_sleep_of_the_device_is_no_quiet() -> None:
    looks = [*every(2, 0, 10, QUIET), *every(2, 5_000, 5_100, QUIET)]
    assert opened(looks) == [5_060]


@given(st.lists(st.tuples(st.floats(0.1, 20), st.booleans()), max_size=200))
def test_it_is_never_open_within_a_minute_of_load(steps: list[tuple[float, bool]]) -> None:
    gate, now, loaded = Gate(GateSettings()), 0.0, 0.0
    for step, busy in steps:
        now += step
        said = gate.handle(Reading(load=1.0 if busy else 0.0), now)
        loaded = now if busy else loaded
        assert not (said.open and now - loaded < 59.99)
        assert not (busy and said.open)
