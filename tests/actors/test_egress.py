"""One door: what a label forbids does not leave, what leaves is counted, and nobody goes around."""

import ast
import logging
from pathlib import Path

import pytest

from pockethive.core.errors import Failure, PocketHiveError
from pockethive.core.labels import Label
from pockethive.dht.testing import somebody
from pockethive.simulation import Seat, SimulatedDevice, SimulatedHive
from tests.hive.homes import Homes
from tests.simulation.virtual_village import GOAL, assert_answered, village_seats

ROOT = Path(__file__).parents[2]

DOORS = {"put", "note", "request", "decide", "serve", "allow_blobs", "provide"}
"""Ways in which a node says something that it was handed."""

EXEMPT = {
    "actors/egress.py": "the door itself",
    "engine/hive.py": "signed lists and sealed keys of the hive, to whom its rules name",
    "engine/joining.py": "asks to be let in, before there is a hive to be a member of",
}


def around_the_door(source: str) -> list[str]:
    """Calls by which a module hands a node bytes by itself, or opens a blob to somebody."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        whose, what = ast.unparse(call.func.value).rstrip("()"), call.func.attr
        if whose.endswith("node") and what in DOORS:
            found.append(f"line {call.lineno}: {whose}.{what}")
        blobs = whose.endswith(("blobs", "store")) and what.startswith("put")
        private = len(call.args) == 2 and ast.unparse(call.args[1]) == "NOBODY"
        if blobs and not private and "state" not in whose:
            found.append(f"line {call.lineno}: {whose}.{what}")
    return found


def modules() -> list[str]:
    return sorted(
        str(path.relative_to(ROOT))
        for room in ("actors", "engine", "planners", "configs")
        for path in (ROOT / room).rglob("*.py")
    )


@pytest.mark.parametrize("module", [name for name in modules() if name not in EXEMPT])
def test_nobody_goes_around_the_door(module: str) -> None:
    assert around_the_door((ROOT / module).read_text()) == [], module


@pytest.mark.parametrize("module", EXEMPT)
def test_who_is_exempt_still_has_reason_to_be(module: str) -> None:
    assert around_the_door((ROOT / module).read_text()) != []


@pytest.mark.parametrize(
    "source",
    [
        "await self._around.node.put(record)",
        "await node.note(key, b'', 1.0)",
        "self._device.parts.node.serve('x', f)",
        "self._running_node().request(peer, 'x', b'')",
        "parts.node.blobs.put(data, EVERYONE)",
        "self._store().put(data)",
        "node.allow_blobs(lambda peer, name: True)",
    ],
)
def test_a_way_around_it_is_found(source: str) -> None:
    assert around_the_door(f"async def f():\n    {source}")


def got(hive: SimulatedHive, by: SimulatedDevice, of: SimulatedDevice, sha: str) -> bool:
    async def fetch() -> bool:
        try:
            return bool(await by.node.fetch_from([of.node.contact], sha))
        except PocketHiveError:
            return False

    return hive.play(fetch())


ALLOWED = {
    ("device", "own"): False,
    ("people", "own"): True,
    ("hive", "own"): True,
    ("public", "own"): True,
    ("device", "member"): False,
    ("people", "member"): False,
    ("hive", "member"): True,
    ("public", "member"): True,
}


@pytest.mark.parametrize("private", [False, True])
def test_a_blob_reaches_those_whom_its_label_allows(private: bool) -> None:
    with SimulatedHive(seed=3) as hive:
        if private:
            Homes(hive)
        holder, own, member = hive.start([Seat(), Seat(), Seat(owner="them")])
        asked = {"own": own, "member": member}
        for (label, who), allowed in ALLOWED.items():
            sha = holder.shelf.keep(f"{label} for {who}".encode(), Label(label))
            assert got(hive, asked[who], holder, sha) is allowed, (label, who)
        stranger = somebody("stranger").public
        sha = holder.shelf.keep(b"said to all", Label.PUBLIC)
        assert holder.egress.may_fetch(stranger, sha) is not private
        for label in ("device", "people", "hive"):
            kept = holder.shelf.keep(f"{label} only".encode(), Label(label))
            assert not holder.egress.may_fetch(stranger, kept)


def test_the_narrower_label_wins_and_what_nobody_named_stays() -> None:
    with SimulatedHive(seed=4) as hive:
        holder, member = hive.start([Seat(), Seat(owner="them")])
        sha = holder.shelf.keep(b"first for all", Label.PUBLIC)
        assert got(hive, member, holder, sha)
        assert holder.shelf.keep(b"first for all", Label.DEVICE) == sha
        assert not holder.egress.may_fetch(member.identity.public, sha)
        unnamed = holder.node.blobs.put(b"of an earlier day")
        assert not got(hive, member, holder, unnamed)


def test_what_is_sealed_is_not_there_for_anybody_until_it_is_opened() -> None:
    with SimulatedHive(seed=4) as hive:
        holder, member = hive.start([Seat(), Seat(owner="them")])
        sha = holder.shelf.seal(b"an answer", Label.PUBLIC)
        assert not got(hive, member, holder, sha)
        assert holder.shelf.seal(b"an answer", Label.PUBLIC) == sha
        assert not got(hive, member, holder, sha)
        holder.shelf.open(sha)
        assert got(hive, member, holder, sha)
        assert holder.shelf.seal(b"an answer", Label.PUBLIC) == sha  # it was open already
        assert holder.egress.may_fetch(member.identity.public, sha)
        holder.shelf.open("0" * 64)  # nothing of that name is here


def test_a_release_is_counted_once_by_label_and_audience_however_often_it_is_fetched() -> None:
    with SimulatedHive(seed=5) as hive:
        holder, member = hive.start([Seat(), Seat(owner="them")])
        sha = holder.shelf.keep(b"x" * 1000, Label.HIVE)
        assert got(hive, member, holder, sha)
        assert got(hive, member, holder, sha)
        released = holder.egress.counts["hive", "hive"]
        assert (released.times, released.size) == (1, 1000)
        secret = holder.shelf.keep(b"y", Label.DEVICE)
        assert not got(hive, member, holder, secret)
        refused = holder.egress.counts["device", "nobody"]
        assert (refused.times > 0, refused.size) == (True, 0)


def test_a_stranger_to_a_private_hive_is_told_nothing() -> None:
    with SimulatedHive(seed=6) as hive:
        Homes(hive)
        (device, *_) = hive.start([Seat(), Seat()])
        stranger = somebody("stranger").public

        async def tell() -> None:
            await device.egress.tell(stranger, "hello", b"who we are")

        with pytest.raises(Failure, match=r"hello may not go to .* no member of the hive"):
            hive.play(tell())
        assert device.egress.counts["hive", "nobody"].times == 1


def test_the_log_says_what_left_and_never_a_word_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pockethive.actors.egress")
    with SimulatedHive(seed=1) as hive:
        owner, *_ = hive.start(village_seats(tmp_path))
        assert_answered(hive.run(owner, GOAL))
        said = [r.getMessage() for r in caplog.records if r.name == "pockethive.actors.egress"]
    kinds = {" ".join(line.split(" (")[0].split()[1:]) for line in said}
    assert {"a blob", "a task record", "a commit record", "message", "witness", "hello"} <= kinds
    for word in ("lighthouse", "Lindqvist", "harbour", "bakery"):
        assert word not in "\n".join(said)
    audiences = set(owner.egress.counts)
    assert ("hive", "people") in audiences  # blobs, to the owner's other devices
    assert not any(label == "device" for label, _ in audiences)
