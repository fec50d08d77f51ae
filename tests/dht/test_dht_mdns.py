"""Discovery on the loopback interface by multicast DNS."""

import asyncio

import pytest

from pockethive.core.errors import NetworkError
from pockethive.dht.contact import Contact
from pockethive.dht.mdns import Announcer, discover
from pockethive.dht.testing import somebody

LOOPBACK = ["127.0.0.1"]
CONTACT = Contact(somebody("anna").public, "127.0.0.1", 4400)


async def test_devices_of_one_hive_find_each_other_with_their_keys() -> None:
    announcer = Announcer(CONTACT, "home", LOOPBACK)
    try:
        await announcer.start()
    except NetworkError as error:
        pytest.skip(f"no multicast on loopback here: {error}")
    found, other = await asyncio.gather(
        discover("home", 2.5, LOOPBACK), discover("office", 2.5, LOOPBACK)
    )
    await announcer.stop()
    await announcer.stop()
    assert found == (CONTACT,)
    assert other == ()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_without_the_interface_nothing_is_found_and_the_reason_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "pockethive.dht.mdns")
    assert await discover("home", 0.1, ["192.0.2.7"]) == ()
    assert "join a known contact instead" in caplog.text
    with pytest.raises(NetworkError, match="no discovery"):
        await Announcer(CONTACT, "home", ["192.0.2.7"]).start()
