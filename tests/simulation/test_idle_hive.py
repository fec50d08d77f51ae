"""A hive left alone: nothing grows, little is said, nobody is forgotten (weeks: `bench.soak`)."""

import asyncio

from bench.soak import sizes
from pockethive.simulation import Seat, SimulatedHive

HOUR = 3_600.0
DEVICES = 5


def test_an_idle_hive_stays_as_it_is_and_is_quiet() -> None:
    with SimulatedHive(seed=3) as hive:
        hive.start([Seat() for _ in range(DEVICES)])
        hive.play(asyncio.sleep(2 * HOUR), 3 * HOUR)
        before, said = sizes(hive), hive.world.net.bytes
        hive.play(asyncio.sleep(6 * HOUR), 7 * HOUR)
        after = sizes(hive)
        for name in ("tasks", "roster", "records", "record_bytes", "cells"):
            assert after[name] <= before[name], name
        assert after["members"] == DEVICES**2
        assert (hive.world.net.bytes - said) / DEVICES / 360 < 2_000  # a minute and device


def test_a_device_that_dies_is_forgotten_and_a_parted_one_is_found_again() -> None:
    with SimulatedHive(seed=4) as hive:
        devices = hive.start([Seat() for _ in range(DEVICES)])
        dead, parted, *others = devices
        hive.at(hive.now + 1, lambda: hive.kill(dead))
        hive.at(hive.now + 1, lambda: hive.part([parted]))
        hive.play(asyncio.sleep(15 * 60), HOUR)
        known = {member.device for member in others[0].roster.members}
        assert known == {device.id for device in others}
        hive.heal()
        hive.play(asyncio.sleep(15 * 60), HOUR)
        for device in (parted, *others):
            known = {member.device for member in device.roster.members}
            assert known == {each.id for each in (parted, *others)}
