"""Owners, linked homes, remembered devices, and what a home's hive keeps."""

import sqlite3
import stat
from pathlib import Path

import pytest

from pockethive.cli.command_line import run_command as main
from pockethive.core.canonical import from_text
from pockethive.core.errors import BadInput, Failure, StorageError
from pockethive.dht.admission import EXPIRED, UNKNOWN, USED_UP
from pockethive.dht.charter import Charter, FounderKey
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity, OwnerKey, certified
from pockethive.dht.testing import NOW, RULES, somebody
from pockethive.founding import Founder, found_hive
from pockethive.hive_store import HiveStore, hive_of, invitation_name
from pockethive.home import NODE, Person, keep_person, own, person_of
from pockethive.linking import answer_link, install_link, request_link
from pockethive.peers import MAX_PEERS, PeerFile
from tests.hive.people import CHARTER, STRANGER


def test_a_linked_home_has_its_owners_certificates_and_makes_no_key(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    keep_person(first, Person(name="Anna"))
    answer = answer_link(first, request_link(second))
    person = install_link(second, answer)
    owner = OwnerKey.load_or_create(first).public
    assert person == person_of(second) == Person(name="Anna", linked=owner)
    for name in (NODE, "swarm-1/device-3"):
        made = own(second, second / name)
        device = Identity.load_or_create(second / name).public
        assert from_text(made.owner_key) == owner
        assert certified(owner, device, from_text(made.certificate))
    assert not (second / "owner.key").exists()
    with pytest.raises(Failure, match="link again"):
        own(second, second / "swarm-2" / "owner")


def test_certificates_for_another_device_or_damaged_ones_are_refused(tmp_path: Path) -> None:
    answer = answer_link(tmp_path / "a", request_link(tmp_path / "b"))
    request_link(tmp_path / "c")
    with pytest.raises(BadInput, match="not for this device"):
        install_link(tmp_path / "c", answer)
    for text in (answer[:-5], "pockethive-certificate:AAAA", "", answer + answer):
        with pytest.raises(BadInput):
            install_link(tmp_path / "b", text)
    for text in ("pockethive-request:", "pockethive-request:e30", answer):
        with pytest.raises(BadInput):
            answer_link(tmp_path / "a", text)
    install_link(tmp_path / "b", answer)
    with pytest.raises(BadInput, match="not in this home"):
        answer_link(tmp_path / "b", request_link(tmp_path / "c"))


def test_an_owner_links_a_device_with_three_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = ["--home", str(tmp_path / "old")], ["--home", str(tmp_path / "new")]

    def says(*words: str) -> str:
        assert main(words) == 0
        return capsys.readouterr().out

    assert "Anna" in says("owner", "init", "--name", "Anna", *old)
    request = tmp_path / "request.txt"
    request.write_text(says("owner", "link", "--request", *new))
    answer = says("owner", "link", str(request), *old)
    assert "Anna's" in says("owner", "link", answer.strip(), *new)
    assert '"linked": true' in says("owner", "show", "--json", *new)
    assert "on another device" in says("owner", "show", *new)


@pytest.mark.parametrize(
    "words",
    [
        ["owner", "show"],
        ["owner", "link"],
        ["owner", "link", "nowhere.txt"],
        ["owner", "init", "--name", "two\nlines"],
        ["members"],
        ["members", "--revoke", "laptop"],
        ["invite", "--expires", "soon"],
        ["invite", "--hive", "No Name", "--at", "10.0.0.1:7"],
        ["invite", "--hive", "", "--at", "10.0.0.1:7"],
        ["invite", "--uses", "0", "--at", "10.0.0.1:7"],
        ["invite", "--expires", "31d", "--at", "10.0.0.1:7"],
        ["invite", "--qr", "code.gif", "--at", "10.0.0.1:7"],
        ["invite", "--at", "somewhere"],
        ["invite"],
        ["join", "pockethive://join/"],
        ["join", "hello"],
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main([*words, "--home", str(tmp_path / "home")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith("pockethive: ")
    assert "Traceback" not in said.err
    assert not (tmp_path / "home" / "hive.key").exists()


@pytest.mark.parametrize("time", ["0s", "100ms", "31d"])
def test_an_invitation_lives_for_a_time_that_makes_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], time: str
) -> None:
    assert main(["invite", "--expires", time, "--at", "10.0.0.1:7", "--home", str(tmp_path)]) == 2
    assert (
        "it lives from one second to 30 days (for example --expires 24h" in capsys.readouterr().err
    )


def test_a_founded_hive_keeps_its_keys_to_itself(tmp_path: Path) -> None:
    found_hive(tmp_path, "village", "desk").close()
    found_hive(tmp_path, "village", "desk").close()  # a second time changes nothing
    for name in ("hive.key", "hive.sqlite", "owner.key", "node/device.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    store = hive_of(tmp_path)
    assert store is not None
    listed = store.newest()
    assert listed is not None
    assert [member.device_name for member in listed.members] == ["desk"]
    assert listed.version == 1
    with pytest.raises(BadInput, match="cannot be revoked"):
        founder_of(tmp_path, store).revoke("desk", listed.members[0].device)
    with pytest.raises(BadInput, match="nobody"):
        founder_of(tmp_path, store).revoke("phone", listed.members[0].device)
    with pytest.raises(StorageError, match="belongs to the hive"):
        store.belong(Charter(STRANGER.public, "other"))
    store.close()


def founder_of(home: Path, store: HiveStore) -> Founder:
    founder = Founder.of(home, store)
    assert founder is not None
    return founder


def test_a_list_is_signed_anew_before_its_records_expire() -> None:
    clock = [NOW]
    store = HiveStore(None)
    founder = Founder(FounderKey.from_seed(bytes(32)), store, lambda: clock[0])
    from tests.hive.people import listed as entry

    founder.found("village", entry(somebody("a")))
    before = store.records()
    assert not founder.renew()
    clock[0] += 16 * 86_400
    assert founder.renew()
    after = store.records()
    assert [record.body for record in after] == [record.body for record in before]
    assert min(record.expires for record in after) > max(record.expires for record in before)
    store.close()


def test_an_invitation_is_counted_once_a_device_whoever_counts(tmp_path: Path) -> None:
    path = tmp_path / "hive.sqlite"
    node, command = HiveStore(path), HiveStore(path)  # two processes of one home
    node.belong(CHARTER)
    command.invite(b"v" * 32, 2, int(NOW) + 60, NOW)
    name = invitation_name(b"v" * 32)
    a, b, c = b"a" * 32, b"b" * 32, b"c" * 32

    def use(store: HiveStore, device: bytes, now: float = NOW) -> str:
        with store.changing():
            return store.count_use(name, device, now, listed=device == a)

    assert [use(node, a), use(command, a), use(command, b)] == ["", "", ""]
    assert use(node, c) == USED_UP
    assert use(node, a, NOW + 61) == EXPIRED
    with node.changing():
        assert node.count_use(bytes(32), a, NOW, listed=False) == UNKNOWN
    node.close()
    command.close()


def test_a_revoked_device_is_not_let_in_again_by_any_open_invitation(tmp_path: Path) -> None:
    store = HiveStore(tmp_path / "hive.sqlite")
    store.belong(CHARTER)
    names = []
    for letter in (b"v", b"w"):
        store.invite(letter * 32, 3, int(NOW) + 60, NOW)
        names.append(invitation_name(letter * 32))
    bad, good = b"b" * 32, b"g" * 32
    with store.changing():
        assert store.count_use(names[0], bad, NOW, listed=False) == ""
        store.bar([bad])
        assert store.count_use(names[0], bad, NOW, listed=False) == USED_UP
        assert store.count_use(names[0], good, NOW, listed=False) == USED_UP  # its secret is known
        assert store.count_use(names[1], bad, NOW, listed=False) == USED_UP
        assert store.count_use(names[1], good, NOW, listed=False) == ""
    store.close()


def test_what_fails_inside_a_change_changes_nothing(tmp_path: Path) -> None:
    store = HiveStore(tmp_path / "hive.sqlite")

    def fail() -> None:
        with store.changing():
            store.keep_key(1, bytes(32))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.keys() == {}
    store.keep_key(1, bytes(32))
    store.keep_key(1, b"k" * 32)
    assert store.keys() == {1: bytes(32)}
    store.close()


def test_a_damaged_or_newer_hive_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hive.sqlite"
    path.write_bytes(b"noise" * 1000)
    with pytest.raises(StorageError, match=r"hive\.sqlite"):
        hive_of(tmp_path)
    assert path.read_bytes() == b"noise" * 1000
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(StorageError, match="version 9"):
        hive_of(tmp_path)


def contacts(count: int, start: int = 0) -> list[Contact]:
    return [Contact(somebody(f"peer {n}").public, "10.0.0.1", 7) for n in range(start, count)]


def test_peers_are_remembered_the_latest_first_and_bounded(tmp_path: Path) -> None:
    file = PeerFile(tmp_path / "peers.json", "village")
    assert file.load() == ()
    file.remember(contacts(20))
    file.remember(contacts(60, 20))
    assert file.load() == tuple(contacts(60, 20)[:MAX_PEERS])
    assert PeerFile(file.path, "other").load() == ()
    file.remember(())
    assert len(file.load()) == MAX_PEERS
    assert [path.name for path in tmp_path.iterdir()] == ["peers.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"v":1}', '{"hive":"village","peers":[7],"v":1}'])
def test_a_damaged_file_of_peers_costs_nothing_but_itself(tmp_path: Path, text: str) -> None:
    file = PeerFile(tmp_path / "peers.json", "village")
    file.path.write_text(text)
    assert file.load() == ()
    file.remember(contacts(2))
    assert file.load() == tuple(contacts(2))


async def test_two_processes_with_one_key_cannot_use_one_home(tmp_path: Path) -> None:
    from pockethive.dht.node import Node, NodeSettings

    twins = [Node(NodeSettings(home=tmp_path), somebody("twin"), RULES) for _ in range(2)]
    async with twins[0]:
        with pytest.raises(StorageError, match="another process uses this home"):
            await twins[1].start()
    async with twins[1]:
        assert twins[1].contact.public == somebody("twin").public


def test_a_name_of_a_person_is_checked_where_it_is_listed(tmp_path: Path) -> None:
    keep_person(tmp_path, Person(name="x" * 40))
    with pytest.raises(BadInput, match="no name"):
        found_hive(tmp_path, "village", "desk")
    assert not (tmp_path / "hive.key").exists()
