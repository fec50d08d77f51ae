"""Large simulated hives begin as if they had been together for a long, quiet time.

Meeting costs every device a greeting of every other, which is what joining costs and no part of
what runs cost. Here the devices start alone; then tables and shelves are filled by the rules of
`dht.simulation`, rosters with as many members as they hold, drawn by the seed, and whoever seeks
work on the bulletin looks as rarely as one who found none for long. Who comes later joins really.
"""

import random
from collections.abc import Sequence

from pockethive.core.canonical import from_text
from pockethive.core.entry import Entry
from pockethive.core.notice import SHARDS
from pockethive.core.scout import Scout
from pockethive.core.seeker import MOST_SECONDS, TIMER
from pockethive.dht.simulation import place_records, seed_tables
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive

ACQUAINTED_FROM = 100  # devices; fewer meet each other really


async def acquaint(hive: SimulatedHive, seats: Sequence[Seat]) -> tuple[SimulatedDevice, ...]:
    """Start devices that know each other already."""
    dice = random.Random(f"acquaint {hive.seed}")  # noqa: S311 - it repeats itself
    devices = [SimulatedDevice(hive, seat, ()) for seat in seats]
    hive.devices.extend(devices)
    for device in devices:
        await device.start()
    nodes = [device.node for device in devices]
    seed_tables(nodes, dice)
    adverts = [device.roster._advert for device in devices]  # noqa: SLF001 - record and entry
    place_records(nodes, [advert[0] for advert in adverts if advert is not None])
    known = [advert[1] for advert in adverts if advert is not None]
    for device in devices:
        most = min(len(known), device.roster.capacity)
        _calm(device, dice)
        _introduce(device, known if most == len(known) else dice.sample(known, most))
    return tuple(devices)


def _calm(device: SimulatedDevice, dice: random.Random) -> None:
    """It has read the whole bulletin more than once, and there was nothing for it; and the list of
    members so often that it does so rarely."""
    roster, wall = device.roster, device.node.settings.clock()
    roster._step = roster._half_life()  # noqa: SLF001 - as hours would
    roster._due = wall + dice.uniform(0.0, roster._step)  # noqa: SLF001
    scout, hands = device.machines.get("scout"), device._hands  # noqa: SLF001 - as hours would
    if not isinstance(scout, Scout) or scout._seeker is None or hands is None:  # noqa: SLF001
        return
    scout._seeking = True  # noqa: SLF001
    scout._seeker._turn = SHARDS + dice.randrange(SHARDS)  # noqa: SLF001
    scout._seeker._pause = MOST_SECONDS  # noqa: SLF001
    first = device.clock() + dice.uniform(0.0, MOST_SECONDS)
    hands._set_timer(f"scout|{TIMER}", first)  # noqa: SLF001


def _introduce(device: SimulatedDevice, known: Sequence[Entry]) -> None:
    """Fill a roster as if all these had been greeted a moment ago."""
    roster = device.roster
    now = device.node.settings.clock()
    for entry in known:
        roster._known.setdefault(entry.author, entry)  # noqa: SLF001 - as greetings would
        roster._heard[entry.author] = now  # noqa: SLF001
    told = {from_text(entry.author, 32) for entry in known}
    told.update(contact.public for contact in device.node.contacts())
    roster._told |= told  # noqa: SLF001
    roster._tidings.change()  # noqa: SLF001
