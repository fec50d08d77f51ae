"""What devices of a private hive are called: each by a name of its own, which it keeps."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.cli.command_line import run_command
from pockethive.core.errors import BadEncoding, BadInvitation
from pockethive.device import Device, DeviceSettings
from pockethive.dht.identity import Identity
from pockethive.dht.member_list import check_name
from pockethive.founding import Founder, found_hive
from pockethive.home import NODE, machine_name
from pockethive.joining import Joined, NameTaken, join_hive
from pockethive.naming import is_taken, wishes

KEY = bytes.fromhex("c0ffee11" * 8)


@dataclass(frozen=True)
class Founded:
    """A hive whose first device runs and is called as this machine, and homes to join it."""

    folder: Path
    device: Device

    def link(self, uses: int = 9) -> str:
        hive = self.device.parts.hive
        assert hive is not None
        founder = hive._founder
        assert founder is not None
        here = Identity.load_or_create(self.device.settings.folder).public
        return founder.invite([self.device.contact], here, uses, 60).link()

    def join(self, home: str, link: str, name: str | None = None) -> Joined:
        return asyncio.run(join_hive(self.folder / home, link, name))

    def names(self) -> list[str]:
        hive = self.device.parts.hive
        assert hive is not None
        listed = hive._store.newest()
        assert listed is not None
        return sorted(member.device_name for member in listed.members)


@pytest.fixture
def founded(tmp_path: Path) -> Iterator[Founded]:
    home = tmp_path / "founder"
    found_hive(home, "village", machine_name()).close()
    device = Device(DeviceSettings(home=home, folder=home / NODE, skills={}, checkers={}))
    device.start()
    try:
        yield Founded(tmp_path, device)
    finally:
        device.stop()


def test_a_name_that_another_device_has_is_refused_and_costs_no_use(founded: Founded) -> None:
    link = founded.link(uses=2)
    assert founded.join("a", link, "Laptop").name == "Laptop"
    for name in ("Laptop", "laptop", machine_name().upper()):
        with pytest.raises(NameTaken, match=f"another device of the hive 'village' is .*{name}"):
            founded.join("b", link, name)
    assert founded.join("b", link, "phone").members == 3
    with pytest.raises(BadInvitation, match="used up"):
        founded.join("c", link, "tablet")
    assert founded.names() == sorted(["Laptop", "phone", machine_name()])


def test_devices_that_nobody_names_are_numbered(founded: Founded) -> None:
    link, machine = founded.link(), machine_name()
    assert [founded.join(home, link).name for home in "ab"] == [f"{machine}-2", f"{machine}-3"]


def test_a_device_that_joins_again_keeps_its_name_unless_it_is_given_another(
    founded: Founded,
) -> None:
    link = founded.link()
    founded.join("a", link, "laptop")
    founded.join("b", link, "phone")
    for _ in range(2):
        assert founded.join("a", founded.link()) == Joined("village", "laptop", 3)
    assert founded.join("a", link, "notebook").name == "notebook"
    assert founded.names() == sorted(["notebook", "phone", machine_name()])


def test_the_command_says_the_name_and_what_to_do_about_a_taken_one(
    founded: Founded, capsys: pytest.CaptureFixture[str]
) -> None:
    link = founded.link()
    words = ["join", link, "--name", "laptop", "--home"]
    assert run_command([*words, str(founded.folder / "a")]) == 0
    assert "as 'laptop', one of 2 devices" in capsys.readouterr().out
    assert run_command([*words, str(founded.folder / "b")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "another device of the hive 'village' is called 'laptop'" in said.err
    assert "choose another: --name NAME" in said.err
    assert run_command(["join", link, "--name", "", "--home", str(founded.folder / "b")]) == 2


def test_whoever_is_meant_by_a_name_is_one_device(founded: Founded) -> None:
    link = founded.link()
    for home in ("a", "b"):
        founded.join(home, link)
    where = founded.device.settings.home
    hive = founded.device.parts.hive
    assert hive is not None
    founder = Founder.of(where, hive._store)
    assert founder is not None
    (gone,) = founder.revoke(f"{machine_name()}-2", bytes(32))
    assert gone.device == Identity.load_or_create(founded.folder / "a" / NODE).public


@given(st.text(min_size=1, max_size=32))
def test_all_names_that_are_asked_for_can_be_names_and_differ(name: str) -> None:
    try:
        check_name(name)
    except BadEncoding:
        return
    asked = list(wishes(None, name, "machine", KEY))
    assert [check_name(one) for one in asked] == asked
    assert asked[0] == name
    assert len(set(asked)) == len(asked) == 9
    assert asked[-1].endswith("-c0ffee11")
    assert not any(is_taken(one, asked[:number]) for number, one in enumerate(asked))


def test_capitals_make_no_other_name() -> None:
    assert is_taken("LAPTOP", ["phone", "Laptop"])
    assert not is_taken("laptop-2", ["phone", "Laptop"])


def test_a_chosen_name_is_asked_for_as_it_is_and_no_other() -> None:
    assert list(wishes("desk", "laptop", "machine", KEY)) == ["desk"]
    assert next(wishes(None, None, "machine", KEY)) == "machine"
