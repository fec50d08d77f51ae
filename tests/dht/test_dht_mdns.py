"""Discovery on the loopback interface by multicast DNS."""

import asyncio
import socket

import pytest
from zeroconf.asyncio import AsyncServiceInfo

from pockethive.core.canonical import to_text
from pockethive.core.errors import NetworkError
from pockethive.dht import mdns
from pockethive.dht.contact import Contact
from pockethive.dht.mdns import Announcer, discover
from pockethive.dht.testing import somebody

LOOPBACK = ["127.0.0.1"]
CONTACT = Contact(somebody("anna").public, "127.0.0.1", 4400)


async def test_devices_of_one_hive_find_each_other_with_their_keys() -> None:
    announcer = Announcer(CONTACT, "home", LOOPBACK)
    # It may say so, but whoever hears it over IPv4 does not know on which link that address is.
    local = Announcer(Contact(somebody("bert").public, "fe80::9%3", 4400), "home", LOOPBACK)
    try:
        await announcer.start()
        await local.start()
    except NetworkError as error:
        pytest.skip(f"no multicast on loopback here: {error}")
    found, other = await asyncio.gather(
        discover("home", 2.5, LOOPBACK), discover("office", 2.5, LOOPBACK)
    )
    await local.stop()
    await announcer.stop()
    await announcer.stop()
    assert found == (CONTACT,)
    assert other == ()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def announcement(*addresses: bytes, link: int | None = None) -> AsyncServiceInfo:
    return AsyncServiceInfo(
        mdns.SERVICE,
        f"x.{mdns.SERVICE}",
        addresses=list(addresses),
        port=4400,
        properties={"key": to_text(CONTACT.public), "hive": "home"},
        interface_index=link,
    )


def test_a_link_local_address_comes_with_its_link_or_not_at_all() -> None:
    local = socket.inet_pton(socket.AF_INET6, "fe80::9")
    wide = socket.inet_pton(socket.AF_INET6, "2001:db8::9")
    four = bytes((192, 0, 2, 9))
    for link, expected in (
        (3, {"fe80::9%3", "2001:db8::9", "192.0.2.9"}),
        (None, {"2001:db8::9", "192.0.2.9"}),
    ):
        found = mdns._contacts(announcement(local, wide, four, link=link), "home")
        assert {contact.host for contact in found} == expected
        assert {Contact.parse(str(contact)) for contact in found} == set(found)


async def test_a_name_is_not_announced_and_the_reason_is_said() -> None:
    with pytest.raises(NetworkError, match=r"example\.org: only addresses"):
        await Announcer(Contact(CONTACT.public, "example.org", 4400), "home").start()


async def test_without_the_interface_nothing_is_found_and_the_reason_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "pockethive.dht.mdns")
    assert await discover("home", 0.1, ["192.0.2.7"]) == ()
    assert "join a known contact instead" in caplog.text
    with pytest.raises(NetworkError, match="no discovery"):
        await Announcer(CONTACT, "home", ["192.0.2.7"]).start()
