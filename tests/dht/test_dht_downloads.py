"""Large blobs over pinned TLS: several holders, liars, deaths, resuming, permissions."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pockethive.core.errors import NetworkError, StorageError
from pockethive.dht.blobs import EVERYONE, Audience
from pockethive.dht.carrier import HEAD, REFUSED, Answer, Kind, Reply
from pockethive.dht.chunks import CHUNK, Manifest, leaf
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.simulation import World
from pockethive.dht.testing import blob_server, hive, play, somebody
from pockethive.dht.tls import TlsCarrier

COUNT = 12
PARTS = [bytes([number]) * CHUNK for number in range(COUNT - 1)] + [b"the rest"]
LARGE = b"".join(PARTS)
MANIFEST = Manifest(len(LARGE), b"".join(map(leaf, PARTS)))
NAME = MANIFEST.name

Give = Callable[[int], Reply]
"""What a holder of the tests gives for a chunk."""


@contextlib.asynccontextmanager
async def holder(name: str, give: Give) -> AsyncIterator[Contact]:
    """A blob server that knows the manifest and gives chunks as it likes."""
    identity = somebody(name)

    def answer(peer: bytes, blob: str, index: int) -> Reply:
        return Reply(Kind.MANIFEST, MANIFEST.encode()) if index == HEAD else give(index)

    async with blob_server(identity, answer) as contact:
        yield contact


def honest(index: int) -> Reply:
    return Reply(Kind.CHUNK, PARTS[index])


def lying(index: int) -> Reply:
    return Reply(Kind.CHUNK, b"!" + PARTS[index][1:])


async def test_a_large_blob_comes_from_one_holder_and_is_kept(tmp_path: Path) -> None:
    async with hive(tmp_path / "a", tmp_path / "b") as (maker, reader):
        assert maker.blobs.put(LARGE, EVERYONE) == NAME
        size = await reader.fetch(NAME, [maker.contact], to=tmp_path / "out.bin")
        assert size == len(LARGE)
        assert (tmp_path / "out.bin").read_bytes() == LARGE
        assert reader.blobs.get(NAME) == LARGE
        assert not reader.blobs.allows(maker.identity.public, NAME), "nobody said it may go on"
        assert await reader.fetch(NAME) == len(LARGE), "it is here: nobody is asked"
        assert await reader.fetch_from([], NAME) == LARGE
        assert list((tmp_path / "b" / "blobs" / "partial").iterdir()) == []


async def test_a_small_blob_may_be_kept_for_others_and_copied(tmp_path: Path) -> None:
    async with hive(None, None, None) as (maker, reader, third):
        name = maker.blobs.put(b"small", EVERYONE)
        out = tmp_path / "small"
        assert await reader.fetch(name, [maker.contact], to=out, audience=EVERYONE) == 5
        assert out.read_bytes() == b"small"
        assert await third.fetch_from([reader.contact], name) == b"small"
        assert not third.blobs.has(name)


async def test_three_holders_share_the_work() -> None:
    asked: dict[str, set[int]] = {"a": set(), "b": set(), "c": set()}

    def noting(name: str) -> Give:
        def give(index: int) -> Reply:
            asked[name].add(index)
            return honest(index)

        return give

    async with (
        hive(None) as (reader,),
        holder("a", noting("a")) as a,
        holder("b", noting("b")) as b,
        holder("c", noting("c")) as c,
    ):
        assert await reader.fetch(NAME, [a, b, c]) == len(LARGE)
        assert reader.blobs.get(NAME) == LARGE
        assert all(asked.values()), asked
        assert set().union(*asked.values()) == set(range(COUNT))


async def test_of_three_holders_one_lies_and_one_dies_and_the_blob_comes_all_the_same() -> None:
    async with contextlib.AsyncExitStack() as stack:
        (reader,) = await stack.enter_async_context(hive(None))
        dying = contextlib.AsyncExitStack()
        loop, given = asyncio.get_running_loop(), 0

        def dies(index: int) -> Reply:
            nonlocal given
            given += 1
            if given == 3:
                asyncio.run_coroutine_threadsafe(dying.aclose(), loop)
            return honest(index)

        liar = await stack.enter_async_context(holder("liar", lying))
        mortal = await dying.enter_async_context(holder("mortal", dies))
        good = await stack.enter_async_context(holder("good", honest))
        assert await reader.fetch(NAME, [liar, mortal, good]) == len(LARGE)
        assert reader.blobs.get(NAME) == LARGE
        assert reader.counters["blob-bytes"] == 1
        assert given >= 3


async def test_a_holder_that_only_lies_is_dropped_and_named() -> None:
    async with hive(None) as (reader,), holder("liar", lying) as liar:
        with pytest.raises(NetworkError, match="other bytes than chunk"):
            await reader.fetch(NAME, [liar])
        assert reader.counters["blob-bytes"] == 1
        assert not reader.blobs.has(NAME)


async def test_a_manifest_of_another_blob_is_refused_and_counted() -> None:
    async with hive(None, None) as (reader, maker), holder("other", honest) as other:
        data = bytes(CHUNK) + b"another"
        name = maker.blobs.put(data, EVERYONE)
        with pytest.raises(NetworkError, match="another blob's"):
            await reader.fetch(name, [other])
        assert reader.counters["blob-manifest"] == 1
        assert await reader.fetch(name, [other, maker.contact]) == len(data)


async def test_a_holder_that_stops_answering_does_not_stall_the_end() -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck(index: int) -> Reply:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(20)
        return honest(index)

    async with (
        hive(None) as (reader,),
        holder("good", honest) as good,
        holder("stuck", stuck) as slow,
    ):
        try:
            async with asyncio.timeout(10):
                assert await reader.fetch(NAME, [slow, good]) == len(LARGE)
        finally:
            gate.set()


async def test_a_fetch_that_was_given_up_goes_on_where_it_ended(tmp_path: Path) -> None:
    asked: list[int] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def give(index: int) -> Reply:
        asked.append(index)
        if len(asked) == 6:
            loop.call_soon_threadsafe(enough.set)
        return honest(index) if len(asked) <= 6 else REFUSED

    async with hive(tmp_path) as (reader,), holder("holder", give) as contact:
        first = asyncio.create_task(reader.fetch(NAME, [contact]))
        await enough.wait()
        with pytest.raises(NetworkError, match="does not give"):
            await first
        assert not reader.blobs.has(NAME)
        left = missing(reader)
        assert 0 < len(left) < COUNT
        again: list[int] = []

        def rest(index: int) -> Reply:
            again.append(index)
            return honest(index)

        async with holder("another", rest) as another:
            assert await reader.fetch(NAME, [another]) == len(LARGE)
        assert sorted(again) == left


def missing(node: Node) -> list[int]:
    """What an interrupted fetch still has to get."""
    partial = node.blobs.begin(MANIFEST)
    partial.recheck()
    node.blobs.pause(partial)
    return partial.missing()


CHILD = """
import asyncio, sys
from pathlib import Path
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.rules import OpenRules
from pockethive.dht.testing import somebody

async def main():
    settings = NodeSettings(home=Path(sys.argv[1]))
    async with Node(settings, somebody("child"), OpenRules()) as node:
        await node.fetch(sys.argv[2], [Contact.parse(sys.argv[3])])

asyncio.run(main())
"""


@pytest.mark.processes
async def test_a_killed_process_leaves_what_the_next_one_goes_on_from(tmp_path: Path) -> None:
    asked: list[int] = []
    wanted, killed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def give(index: int) -> Reply:
        asked.append(index)
        if len(asked) < 8:
            return honest(index)
        loop.call_soon_threadsafe(wanted.set)  # eight are asked for: at least four were written
        asyncio.run_coroutine_threadsafe(killed.wait(), loop).result(30)
        return REFUSED

    async with holder("holder", give) as contact:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(tmp_path), NAME, str(contact)
        )
        try:
            async with asyncio.timeout(30):
                await wanted.wait()
        finally:
            child.kill()
            await child.wait()
            killed.set()
    async with hive(tmp_path) as (reader,), holder("another", honest) as another:
        assert len(missing(reader)) <= COUNT - 4
        assert await reader.fetch(NAME, [another]) == len(LARGE)
        assert reader.blobs.get(NAME) == LARGE


async def test_one_blob_that_many_want_is_fetched_once() -> None:
    asked: list[int] = []

    def give(index: int) -> Reply:
        asked.append(index)
        return honest(index)

    async with hive(None) as (reader,), holder("holder", give) as contact:
        sizes = await asyncio.gather(*(reader.fetch(NAME, [contact]) for _ in range(5)))
        assert set(sizes) == {len(LARGE)}
        assert sorted(asked) == list(range(COUNT))


async def test_a_stranger_is_refused_in_the_same_words_as_for_what_is_missing() -> None:
    async with hive(None, None, None) as (maker, friend, stranger):
        name = maker.blobs.put(LARGE, Audience(devices=frozenset([friend.identity.public])))
        missing = "0" * 64
        words = []
        for wanted in (name, missing):
            with pytest.raises(NetworkError) as caught:
                await stranger.fetch(wanted, [maker.contact])
            words.append(str(caught.value).replace(wanted, "NAME"))
        assert words[0] == words[1]
        carrier = TlsCarrier(stranger.identity)
        for index in (0, 5, 99, HEAD - 1):  # chunks are no side door
            with pytest.raises(NetworkError, match="does not give the blob"):
                await carrier.ask(maker.contact, name, index)
        await carrier.close()
        assert await friend.fetch(name, [maker.contact]) == len(LARGE)


async def test_permission_that_is_taken_back_ends_a_fetch_under_way() -> None:
    async with hive(None, None) as (maker, reader):
        name = maker.blobs.put(LARGE, EVERYONE)
        count = 0

        def allow(peer: bytes, blob: str) -> bool:
            nonlocal count
            count += 1
            return count < 5

        maker.allow_blobs(allow)
        with pytest.raises(NetworkError, match="does not give the blob"):
            await reader.fetch(name, [maker.contact])
        assert not reader.blobs.has(name)


async def test_a_blob_without_room_for_it_is_not_begun(tmp_path: Path) -> None:
    async with hive(None, tmp_path) as (maker, reader):
        name = maker.blobs.put(LARGE, EVERYONE)
        reader.blobs._quota = 5 * CHUNK
        with pytest.raises(StorageError, match="full"):
            await reader.fetch(name, [maker.contact])
        assert not (tmp_path / "blobs" / "partial").exists()


def test_simulated_devices_fetch_large_blobs_from_several_holders_too() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        first, second, reader = nodes
        name = first.blobs.put(LARGE, EVERYONE)
        second.blobs.put(LARGE, EVERYONE)
        world.net.cut = lambda a, b: first.contact.address in (a, b)
        assert await reader.fetch(name, [first.contact, second.contact]) == len(LARGE)
        world.net.cut = None
        assert reader.blobs.get(name) == LARGE

    assert play(story, 3, seed=4) == play(story, 3, seed=4)


def test_in_a_simulation_a_holder_that_is_cut_off_midway_is_replaced() -> None:
    async def story(world: World, nodes: list[Node]) -> None:
        first, second, reader = nodes
        for node in (first, second):
            node.blobs.put(LARGE, EVERYONE)
        given = 0

        def until_cut(answer: Answer) -> Answer:
            def give(peer: bytes, name: str, index: int) -> Reply:
                nonlocal given
                given += 1
                if given == 4:
                    world.net.cut = lambda a, b: first.contact.address in (a, b)
                return answer(peer, name, index)

            return give

        public, answer = world.net.answers[first.contact.address]
        world.net.answers[first.contact.address] = public, until_cut(answer)
        assert await reader.fetch(NAME, [first.contact, second.contact]) == len(LARGE)
        assert reader.blobs.get(NAME) == LARGE
        assert given >= 4

    play(story, 3, seed=5)
