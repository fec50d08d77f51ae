"""A device whose clock is wrong cannot join a private hive, and hears why."""

import time
from pathlib import Path

import pytest

from pockethive.core.errors import BadInvitation, WrongClock
from pockethive.dht.admission import NONCE_SIZE, Application
from pockethive.dht.contact import Contact
from pockethive.dht.identity import certify
from pockethive.dht.invitation import Invitation
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.testing import RULES, hive, somebody
from pockethive.joining import _first_answer, join_hive
from tests.hive.people import CHARTER, FOUNDER, owner_of


def invitation(*contacts: Contact, expires: float) -> Invitation:
    return Invitation(
        charter=CHARTER,
        contacts=contacts,
        secret=bytes(16),
        expires=int(expires),
        uses=1,
        inviter=contacts[0].public,
    ).signed(FOUNDER)


async def test_joining_says_by_how_much_the_clock_is_wrong() -> None:
    late, owner = somebody("late"), owner_of("anna")
    application = Application(
        invitation=bytes(32),
        nonce=bytes(NONCE_SIZE),
        owner=owner.public,
        owner_name="anna",
        device_name="laptop",
        certificate=certify(owner, late.public),
    )
    settings = NodeSettings(clock=lambda: time.time() - 7200)
    async with hive(None) as (founder,), Node(settings, late, RULES) as node:
        silent = Contact(somebody("nobody").public, "127.0.0.1", 9)
        link = invitation(founder.contact, silent, expires=time.time() + 60)
        with pytest.raises(WrongClock, match="7200 s behind the other's"):
            await _first_answer(node, link, application)


async def test_a_link_that_seems_expired_names_the_clock_that_says_so(tmp_path: Path) -> None:
    link = invitation(Contact(somebody("a").public, "127.0.0.1", 9), expires=time.time() - 1)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    with pytest.raises(BadInvitation, match=f"if this device's clock is right: it says {today}"):
        await join_hive(tmp_path, link.link(), "laptop")
