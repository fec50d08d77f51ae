"""Changes in bursts: the first is told at once, the last soon, those between not at all."""

import asyncio

from pockethive.actors.tidings import GATHERED_SECONDS, Tidings
from pockethive.dht.simulation import World


def test_a_burst_of_changes_is_told_twice_however_many_they_are() -> None:
    world, told = World(1), list[tuple[float, int]]()
    changes = 0

    async def story() -> None:
        nonlocal changes
        tidings = Tidings(lambda: told.append((world.loop.time(), changes)))
        for _ in range(100):
            changes += 1
            tidings.change()
            await asyncio.sleep(0.001)
        await asyncio.sleep(1.0)
        changes += 1
        tidings.change()
        changes += 1
        tidings.change()
        tidings.flush()
        tidings.flush()
        changes += 1
        tidings.change()
        tidings.stop()

    world.run(story())
    world.run(asyncio.sleep(2 * GATHERED_SECONDS))
    world.close()
    counts = [count for _, count in told]
    assert counts == [1, 100, 101, 102], "nothing is told twice, nor what was stopped"
    assert told[1][0] - told[0][0] == GATHERED_SECONDS
