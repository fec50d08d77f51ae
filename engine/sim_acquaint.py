"""Large simulated hives begin as if they had been together for a long, quiet time.

Meeting costs every device a greeting of every other, which is what joining costs and no part of
what runs cost. Here the devices start alone; then tables are filled by the rule of `dht.simulation`
and rosters with as many members as they hold, drawn by the seed. Who comes later joins as always.
"""

import random
from collections.abc import Sequence

from pockethive.core.canonical import from_text
from pockethive.core.entry import Entry
from pockethive.dht.simulation import seed_tables
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive

ACQUAINTED_FROM = 100  # devices; fewer meet each other really


async def acquaint(hive: SimulatedHive, seats: Sequence[Seat]) -> tuple[SimulatedDevice, ...]:
    """Start devices that know each other already."""
    dice = random.Random(f"acquaint {hive.seed}")  # noqa: S311 - it repeats itself
    devices = [SimulatedDevice(hive, seat, ()) for seat in seats]
    hive.devices.extend(devices)
    for device in devices:
        await device.start()
    seed_tables([device.node for device in devices], dice)
    adverts = [device.roster.advert for device in devices]
    known = [advert for advert in adverts if advert is not None]
    for device in devices:
        most = min(len(known), device.roster.capacity)
        _introduce(device, known if most == len(known) else dice.sample(known, most))
    return tuple(devices)


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
    roster._changed(roster.members)  # noqa: SLF001
