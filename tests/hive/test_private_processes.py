"""A private hive as people use it: invite, join, run, revoke, with real processes on loopback."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pockethive.dht.charter import FounderKey
from pockethive.dht.invitation import Invitation, read_link
from pockethive.founding import Founder
from pockethive.hive_store import hive_of
from tests.acceptance.village import Village, build_village, processes_naming

pytestmark = pytest.mark.processes


@contextmanager
def node(village: Village, *options: str) -> Iterator[str]:
    """`pockethive node` of a home while the block runs; its contact."""
    process = subprocess.Popen(
        village.command("node", "--follow", *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield str(json.loads(process.stdout.readline())["contact"])
    finally:
        process.stdin.close()
        assert process.wait(20) == 0
        process.stdout.close()


def say(village: Village, *words: str) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        village.command(*words), capture_output=True, text=True, timeout=60, check=False
    )


def expired(home: Path, like: Invitation) -> str:
    """A link of this home's hive whose time was over a minute ago."""
    store = hive_of(home)
    assert store is not None
    try:
        key = FounderKey.load_or_create(home)
        founder = Founder(key, store, clock=lambda: time.time() - 120)
        return founder.invite(like.contacts, like.inviter, uses=1, seconds=60).link()
    finally:
        store.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_people_invite_join_run_and_revoke(tmp_path: Path) -> None:
    here = build_village(tmp_path)
    there, third = (replace(here, home=tmp_path / name) for name in ("there", "third"))
    address = f"127.0.0.1:{free_port()}"

    invited = say(here, "invite", "--hive", "village", "--at", address)
    assert invited.returncode == 0, invited.stderr
    assert "founded" in invited.stderr
    link = invited.stdout.strip()
    assert read_link(link).charter.name == "village"

    unheard = say(there, "join", link)
    assert unheard.returncode == 1
    assert "no device of the invitation answers" in unheard.stderr

    with node(here, f"--listen={address}") as contact:
        joined = say(there, "join", link, "--name", "laptop")
        assert joined.returncode == 0, joined.stderr
        again = say(third, "join", link)
        assert (again.returncode, again.stdout) == (2, "")
        assert "this invitation is used up" in again.stderr
        fresh = say(here, "invite", "--at", address).stdout.strip()
        assert "is forged" in say(third, "join", retouched(fresh)).stderr
        assert "has expired" in say(third, "join", expired(here.home, read_link(link))).stderr

        with node(there):
            result = here.ask("Who built the harbour lighthouse in 1874?", "--devices", "2")
            assert "Maria Lindqvist" in result["answer"], result
            read = say(there, "get", "members", "--verify", "--json", "--join", contact)
            assert read.returncode == 0, read.stderr
            lines = [json.loads(line) for line in read.stdout.splitlines()]
            assert all(line["genuine"] for line in lines)
            owners = {line["body"]["owner_key"] for line in lines}
            assert len(owners) == 2
            stranger = say(third, "get", "members", "--join", contact)
            assert stranger.returncode == 1

            members = json.loads(say(here, "members", "--json").stdout)
            assert [m["name"] for m in members["members"] if not m["here"]] == ["laptop"]
            revoked = say(here, "members", "--revoke", "laptop", "--json")
            assert json.loads(revoked.stdout)["generation"] == 2
            refused = until_refused(there, contact)
            assert "not on the hive's member list" in refused.stderr
            assert refused.stdout == ""
        run = there.run("Who built the lighthouse?", "--devices", "1", "--join", contact)
        assert run.returncode == 1
        assert "not on the hive's member list" in run.stderr
        ended = say(there, "node")  # it serves at once, and hears from those it remembers
        assert ended.returncode == 1
        assert "not on the hive's member list" in ended.stderr
        back = say(there, "join", link, "--name", "laptop")
        assert (back.returncode, back.stdout) == (2, "")
        assert "this invitation is used up" in back.stderr
    assert processes_naming(str(tmp_path)) == []


def retouched(link: str) -> str:
    """The same invitation with another number of uses."""
    from pockethive.core.canonical import decode_object, encode, from_text, to_text
    from pockethive.dht.invitation import SCHEME

    value = decode_object(from_text(link[len(SCHEME) :]), 2_000)
    return SCHEME + to_text(encode({**value, "uses": 60}))


def until_refused(village: Village, contact: str) -> subprocess.CompletedProcess[str]:
    """A running node learns of a revocation within seconds."""
    deadline = time.monotonic() + 20
    while True:
        asked = say(village, "get", "members", "--join", contact)
        if asked.returncode:
            return asked
        assert time.monotonic() < deadline, asked.stdout
