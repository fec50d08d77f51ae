"""Real nodes on loopback: sockets, threads, processes, and nothing left behind."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pockethive.core.errors import NetworkError, ProtocolError, SkillFailure, StorageError
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.record import Record, sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.testing import RULES, hive, key, somebody


def signed(node: Node, body: bytes = b"hello", where: str = "place") -> Record:
    expires = int(node.settings.clock()) + 600
    return sign_record(node.identity, NOTE, key(where), b"", expires, body)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_two_nodes_share_records_requests_and_a_witness(tmp_path: Path) -> None:
    async with hive(tmp_path / "a", tmp_path / "b") as (one, two):
        record = signed(one)
        assert await one.put(record) == 2
        assert await two.get(record.key) == (record,)
        two.serve("double", lambda peer, body: body * 2)
        assert await one.request(two.contact, "double", b"ab") == b"abab"
        assert await one.request(two.identity.public, "double", bytes(4096)) == bytes(8192)
        assert await one.decide(two.contact, b"n" * 20 + b"1") == b"1"
        assert await two.decide(two.contact, b"n" * 20 + b"2") == b"1"
        assert one.contacts() == (two.contact,)
        assert dict(one.counters) == dict(two.counters) == {}


async def test_a_stopped_node_leaves_no_task_socket_file_or_thread(tmp_path: Path) -> None:
    files, threads = open_files(), set(threading.enumerate())
    async with hive(tmp_path / "a", tmp_path / "b", None) as nodes:
        nodes[1].serve("slow", lambda peer, body: asyncio.sleep(60, b""))
        waiting = asyncio.ensure_future(nodes[0].request(nodes[1].contact, "slow", b""))
        name = nodes[1].blobs.put(b"blob")
        nodes[1].allow_blobs(lambda peer, blob: True)
        assert await nodes[2].fetch_from([nodes[1].contact], name) == b"blob"
        await nodes[0].decide(nodes[1].contact, b"n" * 20 + b"x")
    with pytest.raises(NetworkError, match="stopping"):
        await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert open_files() == files
    left = {thread.name for thread in set(threading.enumerate()) - threads}
    assert not any(name.startswith("pockethive") for name in left)


async def test_a_node_can_be_started_again_and_keeps_what_it_stored(tmp_path: Path) -> None:
    node = Node(NodeSettings(home=tmp_path), somebody("anna"), RULES)
    await node.start()
    record = signed(node)
    await node.put(record)
    await node.stop()
    await node.stop()
    with pytest.raises(NetworkError, match="does not run"):
        await node.get(record.key)
    await node.start()
    with pytest.raises(NetworkError, match="runs already"):
        await node.start()
    assert await node.get(record.key) == (record,)
    await node.stop()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
async def test_a_taken_port_is_named_with_the_cure(kind: socket.SocketKind, tmp_path: Path) -> None:
    files = open_files()
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        settings = NodeSettings(listen=("127.0.0.1", port), home=tmp_path)
        node = Node(settings, somebody("anna"), RULES)
        with pytest.raises(NetworkError, match=f"port {port} is taken .*choose another"):
            await node.start()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert open_files() == files
    await node.start()  # once the port is free
    assert node.contact.port == port
    await node.stop()


async def test_an_address_of_another_machine_is_refused() -> None:
    node = Node(NodeSettings(listen=("192.0.2.7", 0)), somebody("anna"), RULES)
    with pytest.raises(NetworkError, match="an address of this machine"):
        await node.start()


async def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    node = Node(NodeSettings(home=tmp_path / "home"), somebody("anna"), RULES)
    with pytest.raises(StorageError, match="cannot open the database"):
        await node.start()


async def test_two_nodes_do_not_share_a_home(tmp_path: Path) -> None:
    async with Node(NodeSettings(home=tmp_path), somebody("anna"), RULES):
        with pytest.raises(StorageError, match="another process uses this home"):
            await Node(NodeSettings(home=tmp_path), somebody("anna"), RULES).start()


async def test_a_wildcard_address_is_advertised_as_one_that_can_be_dialled() -> None:
    settings = NodeSettings(listen=("0.0.0.0", 0), advertise="127.0.0.1")
    async with Node(settings, somebody("anna"), RULES) as node:
        assert node.contact.host == "127.0.0.1"
        async with Node(NodeSettings(), somebody("bert"), RULES) as other:
            assert await other.join([node.contact]) == 1
    async with Node(NodeSettings(listen=("0.0.0.0", 0)), somebody("anna"), RULES) as node:
        assert node.contact.host != "0.0.0.0"


async def test_a_host_name_is_looked_up_and_an_unknown_one_reported() -> None:
    async with hive(None, None) as (one, two):
        named = Contact(one.identity.public, "localhost", one.contact.port)
        assert await two.join([named]) == 1
        nowhere = Contact(one.identity.public, "nowhere.invalid", 4400)
        with pytest.raises(NetworkError, match=r"nowhere\.invalid"):
            await two.join([nowhere])


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_nodes_speak_ipv6() -> None:
    settings = NodeSettings(listen=("::1", 0))
    async with (
        Node(settings, somebody("anna"), RULES) as one,
        Node(settings, somebody("bert"), RULES) as two,
    ):
        assert Contact.parse(str(one.contact)) == one.contact
        assert await two.join([one.contact]) == 1
        record = signed(one)
        assert await two.put(record) == 2
        assert await one.get(record.key) == (record,)
        name = one.blobs.put(b"six")
        one.allow_blobs(lambda peer, blob: True)
        assert await two.fetch_from([one.contact], name) == b"six"


async def test_a_handlers_failure_is_told_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hive(None, None) as (one, two):

        def broken(peer: bytes, body: bytes) -> bytes:
            raise RuntimeError("secret path")

        def refusing(peer: bytes, body: bytes) -> bytes:
            raise SkillFailure("not today")

        def odd(peer: bytes, body: bytes) -> Any:
            return "text"

        two.serve("broken", broken)
        two.serve("refusing", refusing)
        two.serve("odd", odd)
        two.serve("long", lambda peer, body: bytes(8193))
        for method, told in [
            ("broken", "handler failed"),
            ("refusing", "not today"),
            ("odd", "handler failed"),
            ("long", "another type or size"),
            ("unknown", "no such method"),
        ]:
            with pytest.raises(ProtocolError, match=told) as caught:
                await one.request(two.contact, method, b"")
            assert "secret" not in str(caught.value)
    assert "secret path" in caplog.text
    assert all(record.levelno == logging.ERROR for record in caplog.records)


async def test_the_rules_refuse_at_home_and_at_the_peer() -> None:
    async with hive(None, None) as (one, two):
        spam = sign_record(one.identity, "spam", key("x"), b"", 2**33, b"")
        with pytest.raises(ProtocolError, match="does not store"):
            await one.put(spam)
        with pytest.raises(ProtocolError, match="20 bytes and a value"):
            await one.decide(two.contact, b"short")
        with pytest.raises(ValueError, match="not a free method name"):
            one.serve("witness", lambda peer, body: body)


def test_a_node_runs_in_a_thread_of_its_own() -> None:
    async def story() -> bytes:
        async with hive(None, None) as (one, two):
            two.serve("thread", lambda peer, body: threading.current_thread().name.encode())
            return await one.request(two.contact, "thread", b"")

    names: list[bytes] = []
    thread = threading.Thread(target=lambda: names.append(asyncio.run(story())), name="nest")
    thread.start()
    thread.join(20)
    assert names == [b"nest"]


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from pockethive.dht.identity import Identity
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.rules import OpenRules

async def main():
    home = Path(sys.argv[1])
    async with Node(NodeSettings(home=home), Identity.load_or_create(home), OpenRules()) as node:
        node.serve("echo", lambda peer, body: body)
        print(node.contact, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def _start(home: Path) -> tuple[asyncio.subprocess.Process, Contact]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, str(home), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    return process, Contact.parse(line.decode())


async def _kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()
    vars(process)["_transport"].close()  # asyncio closes it in `__del__`


@pytest.mark.processes
async def test_another_process_answers_and_keeps_its_promises_through_kill_9(
    tmp_path: Path,
) -> None:
    process, contact = await _start(tmp_path / "home")
    try:
        async with Node(NodeSettings(), somebody("anna"), RULES) as node:
            await node.join([contact])
            assert await node.request(contact, "echo", os.urandom(100)) != b""
            record = signed(node)
            assert await node.put(record) == 2
            promise = node.decide(contact, b"n" * 20 + b"first")
            assert await promise == b"first"
            await _kill(process)
            process, again = await _start(tmp_path / "home")
            assert again.public == contact.public
            async with Node(NodeSettings(), somebody("bert"), RULES) as reader:
                await reader.join([again])
                assert await reader.decide(again, b"n" * 20 + b"second") == b"first"
                assert await reader.get(record.key) == (record,)
    finally:
        await _kill(process)


async def test_identity_made_on_disk_serves_a_node(tmp_path: Path) -> None:
    identity = Identity.load_or_create(tmp_path)
    async with Node(NodeSettings(home=tmp_path), identity, RULES) as node:
        assert node.contact.public == identity.public
    made = {path.name for path in tmp_path.iterdir()}  # noqa: ASYNC240 - the test waits for it
    assert {"device.key", "records.sqlite", "cells.sqlite", "blobs"} <= made
