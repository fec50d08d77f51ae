"""The control socket: a running node is asked by its user, and by nobody else."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.cli.command_line import run_command
from pockethive.control import CARD, MAX_ASKING, MAX_REQUEST, Card, ControlServer, NotRunning, parse
from pockethive.control import ask as ask_node
from pockethive.core.canonical import to_text
from pockethive.core.errors import BadEncoding, BadInput, Failure
from pockethive.device import Device, DeviceSettings
from pockethive.dht.record import Record
from pockethive.dht.server import HiveServer
from pockethive.service import NodeService, ServiceSettings
from tests.operate.conftest import Beside

CARDS = st.builds(
    Card,
    pid=st.integers(1, 2**22),
    device=st.text(max_size=43),
    contact=st.text(max_size=80),
    socket=st.text(max_size=80),
    metrics=st.text(max_size=30),
)


@given(card=CARDS)
def test_a_card_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, card: Card
) -> None:
    folder = tmp_path_factory.getbasetemp()
    card.write(folder)
    assert Card.read(folder) == card


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
    lambda value: json.dumps({"v": 1, "pid": value}).encode()
))  # fmt: skip
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        value = parse(data)
    except BadEncoding:
        return
    assert value["v"] == 1


def test_a_damaged_card_counts_as_none(tmp_path: Path) -> None:
    for text in (b"", b"{}", b'{"v":1,"pid":"x"}', b'{"v":1,"pid":1}', b"[1]", b'{"v":2}'):
        (tmp_path / CARD).write_bytes(text)
        assert Card.read(tmp_path) is None
        with pytest.raises(NotRunning, match="no node runs in this home"):
            ask_node(tmp_path, "status")


def test_a_running_node_says_how_it_is_and_keeps_notes(beside: Beside) -> None:
    status = ask_node(beside.folder, "status")
    assert (status["device"], status["pid"]) == (beside.device.id, os.getpid())
    assert status["ready"]
    assert ask_node(beside.folder, "peers") == []
    fields = {"key": "colour", "value": to_text(b"blue"), "seconds": 60}
    assert ask_node(beside.folder, "put", **fields) == {"copies": 1}
    (seen,) = ask_node(beside.folder, "get", key="colour")
    assert (seen["kind"], seen["body"]["value"], seen["genuine"]) == ("note", "blue", True)
    assert seen["author"] == beside.device.id
    (member,) = ask_node(beside.folder, "get", key="members")
    assert member["body"]["device"] == beside.device.id


def test_whoever_asks_to_read_with_care_has_the_node_walk_disjoint_paths(
    beside: Beside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths: list[bool] = []
    collect = HiveServer.collect

    async def noted(
        self: HiveServer, key: bytes, *, careful: bool = False, nearest: int | None = None
    ) -> tuple[Record, ...]:
        paths.append(careful)
        return await collect(self, key, careful=careful, nearest=nearest)

    monkeypatch.setattr(HiveServer, "collect", noted)
    ask_node(beside.folder, "put", key="k", value=to_text(b"v"), seconds=60)
    home = ["--home", str(beside.folder.parent)]
    for options in (home, [*home, "--careful"]):
        assert run_command(["get", "k", *options]) == 0
    contact = f"--join={beside.device.contact}"
    for options in ([contact], [contact, "--careful"]):
        assert run_command(["get", "k", *options, "--home", str(beside.folder / "other")]) == 0
    assert paths == [False, True, False, True]
    assert capsys.readouterr().out.count("'value': 'v'") == 4


@pytest.mark.parametrize(
    ("do", "fields", "said"),
    [
        ("dance", {}, "does not know how to 'dance'"),
        ("get", {"key": ""}, "is no key"),
        ("get", {"key": 5}, "key is text"),
        ("get", {"key": "k", "careful": "yes"}, "careful is true or false"),
        ("put", {"key": "k", "value": "AA", "seconds": 0.5}, "whole number"),
        ("put", {"key": "members", "value": "AA", "seconds": 60}, "name of something else"),
        ("put", {"key": "k", "value": "AA", "seconds": 10**9}, "cannot live for"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    beside: Beside, do: str, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        ask_node(beside.folder, do, **fields)


def test_a_slot_full_of_longer_lived_notes_says_what_helps(beside: Beside) -> None:
    def put(value: bytes, seconds: int) -> object:
        fields = {"key": "k", "value": to_text(value), "seconds": seconds}
        return ask_node(beside.folder, "put", **fields)

    put(b"a", 3_000)
    put(b"b", 2_000)
    with pytest.raises(Failure, match="--life"):
        put(b"c", 60)
    put(b"d", 3_600)
    (seen,) = ask_node(beside.folder, "get", key="k")
    assert seen["body"]["value"] == "d"


def test_only_its_user_reaches_the_socket(beside: Beside) -> None:
    assert stat.S_IMODE(Path(beside.card.socket).stat().st_mode) == 0o600
    assert stat.S_IMODE(beside.folder.stat().st_mode) == 0o700


def test_noise_is_refused_and_does_not_keep_others_from_asking(beside: Beside) -> None:
    def talk(data: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(10)
            one.connect(beside.card.socket)
            one.sendall(data)
            return one.recv(1_000)

    assert b'"ok":false' in talk(b"\xff\x00\n")
    assert b'"ok":false' in talk(b"[" * 5_000 + b"\n")
    assert b"at most" in talk(b"x" * (MAX_REQUEST + 10) + b"\n")
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(MAX_ASKING + 2)]
    try:
        for one in crowd:
            one.settimeout(10)
            one.connect(beside.card.socket)
        assert [one.recv(1) for one in crowd[MAX_ASKING:]] == [b"", b""]
    finally:
        for one in crowd:
            one.close()
    assert ask_node(beside.folder, "status")["ready"]


def test_a_path_too_long_for_the_kernel_gets_a_short_private_one(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / "node"
    device = Device(DeviceSettings(home=folder.parent, folder=folder))
    service = NodeService(device, ServiceSettings())
    device.start()
    try:
        card = device.call(service.start())
        assert len(card.socket) < 100
        assert stat.S_IMODE(Path(card.socket).parent.stat().st_mode) == 0o700
        assert ask_node(folder, "status")["device"] == device.id
        device.call(service.stop())
        assert not Path(card.socket).parent.exists()
        assert not (folder / CARD).exists()
    finally:
        device.stop()


def test_a_socket_left_by_a_killed_process_is_replaced(beside: Beside, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "control.sock"))
    Card(pid=1, device="", contact="", socket=str(folder / "control.sock"), metrics="").write(
        folder
    )
    with pytest.raises(NotRunning):
        ask_node(folder, "status")
    server = ControlServer({})
    beside.device.call(server.start(folder))
    with pytest.raises(BadInput, match="does not know"):
        ask_node(folder, "status")
    beside.device.call(server.stop())
