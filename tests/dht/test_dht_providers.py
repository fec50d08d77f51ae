"""Provider records: who may say that a blob is with him, and finding it that way."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.actors.entries import Entries
from pockethive.actors.witnessing import HiveRules
from pockethive.core.canonical import encode
from pockethive.core.errors import BadEncoding, NetworkError, ProtocolError, StorageError
from pockethive.dht.blobs import EVERYONE
from pockethive.dht.chunks import CHUNK, name_of
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.providers import (
    LIFE,
    PROVIDER,
    provider_key,
    read_provider,
    read_providers,
    sign_provider,
)
from pockethive.dht.record import Record, sign_record, sign_tombstone
from pockethive.dht.rules import OpenRules, Rules
from pockethive.dht.simulation import World
from pockethive.dht.testing import NOW, hive, note, play, somebody

ANNA, BERT = somebody("anna"), somebody("bert")
NAME = name_of(b"a blob")
HERE = Contact(ANNA.public, "192.0.2.7", 4400)


def record_with(body: bytes, slot: bytes = b"") -> Record:
    return sign_record(ANNA, PROVIDER, provider_key(NAME), slot, int(NOW), body)


def all_rules() -> list[Rules]:
    return [OpenRules(), HiveRules(ANNA, Entries(ANNA, "hive"), NOW)]


def test_a_provider_says_where_it_is_and_how_much_it_gives() -> None:
    record = sign_provider(ANNA, HERE, NAME, 77, int(NOW))
    found = read_provider(record)
    assert (found.contact, found.size) == (HERE, 77)
    for rules in all_rules():
        rules.check(record, NOW)
        assert rules.limit(PROVIDER).max_ttl >= LIFE
        assert rules.limit(PROVIDER).max_body >= len(record.body)
    assert len({provider_key(NAME), provider_key(name_of(b"b")), bytes.fromhex(NAME)[:20]}) == 3


def test_a_record_that_names_another_device_is_refused() -> None:
    elsewhere = replace(HERE, public=BERT.public)
    record = sign_provider(ANNA, elsewhere, NAME, 77, int(NOW))
    for rules in all_rules():
        with pytest.raises(ProtocolError, match="another device"):
            rules.check(record, NOW)
    assert read_providers([record]) == ()


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"v": 1, "contact": str(HERE)},
        {"v": 2, "contact": str(HERE), "size": 1},
        {"v": True, "contact": str(HERE), "size": 1},
        {"v": 1, "contact": str(HERE), "size": -1},
        {"v": 1, "contact": str(HERE), "size": 2**40},
        {"v": 1, "contact": str(HERE), "size": True},
        {"v": 1, "contact": 7, "size": 1},
        {"v": 1, "contact": "nobody@nowhere", "size": 1},
        {"v": 1, "contact": str(HERE), "size": 1, "more": 1},
    ],
)
def test_what_is_no_provider_record_of_version_1_is_refused(value: dict[str, object]) -> None:
    for rules in all_rules():
        with pytest.raises(BadEncoding):
            rules.check(record_with(encode(value)), NOW)


def test_an_author_has_one_place_a_blob() -> None:
    good = encode({"v": 1, "contact": str(HERE), "size": 1})
    for rules in all_rules():
        rules.check(record_with(good), NOW)
        rules.check(sign_tombstone(ANNA, record_with(good)), NOW)
        with pytest.raises(BadEncoding, match="one place"):
            rules.check(record_with(good, slot=b"another"), NOW)


@given(st.binary(max_size=500))
def test_noise_in_a_provider_record_is_left_out(body: bytes) -> None:
    assert read_providers([record_with(body), note(ANNA)]) == ()


async def test_a_blob_is_found_through_those_who_provide_it() -> None:
    data = bytes(CHUNK) + b"more"
    async with hive(None, None, None) as (maker, other, reader):
        name = maker.blobs.put(data, EVERYONE)
        assert await maker.provide(name) == 3
        (found,) = await reader.providers(name)
        assert (found.contact, found.size) == (maker.contact, len(data))
        assert await maker.providers(name) == (), "oneself is not another"
        assert await reader.fetch(name) == len(data)
        assert await other.fetch(name, [reader.contact]) == len(data), "that one may not give it"
        with pytest.raises(NetworkError, match="none is known"):
            await reader.fetch(name_of(b"nobody has this"))


async def test_only_what_somebody_may_fetch_is_announced() -> None:
    async with hive(None, None) as (maker, _):
        with pytest.raises(StorageError, match="no such blob"):
            await maker.provide(NAME)
        name = maker.blobs.put(b"own")
        with pytest.raises(StorageError, match="nobody may fetch"):
            await maker.provide(name)
        maker.allow_blobs(lambda peer, blob: True)
        assert await maker.provide(name) == 2


def test_an_announcement_is_renewed_while_the_blob_is_here_and_no_longer() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        maker, reader = nodes[0], nodes[-1]
        name = maker.blobs.put(b"wanted", EVERYONE)
        await maker.provide(name)
        await asyncio.sleep(3 * LIFE)
        assert [one.contact for one in await reader.providers(name)] == [maker.contact]
        maker.blobs.drop(name)
        await asyncio.sleep(2 * LIFE)
        assert await reader.providers(name) == ()

    play(story, 4, seed=3)
