"""What was seen of devices outlives a process, is shown to people, and is bounded."""

import argparse
import io
import json
import sqlite3
import stat
from pathlib import Path
from threading import Thread

import pytest

from pockethive import credits as kept
from pockethive.assembly import spot_check_secret
from pockethive.cli import peers
from pockethive.cli.answer import print_answer
from pockethive.core.credibility import Credit, Seen, Standing
from pockethive.core.errors import StorageError
from pockethive.core.graph import TaskGraph
from pockethive.core.report import Outcome
from pockethive.credits import FILE, Credits, credits_of
from pockethive.dht.identity import Identity, OwnerKey
from pockethive.receipt import make_receipt
from pockethive.result import Gathered, ModelUsed, make_result
from tests.core.core_play import DEVICES
from tests.core.test_core_credit import chain, table

ANNA, BERT = DEVICES[:2]
MODEL = "ab" * 32


def test_a_standing_is_read_back_in_the_next_process(tmp_path: Path) -> None:
    assert credits_of(tmp_path) == ()
    assert not (tmp_path / FILE).exists()
    book = Credits(tmp_path / FILE)
    for _ in range(11):
        book.keep((ANNA, MODEL), Seen.VALID, "", 100.0)
    book.keep((ANNA, ""), Seen.VALID, "", 100.0)
    book.keep((BERT, ""), Seen.INVALID, "late was rejected", 200.5)
    book.keep((BERT, ""), Seen.VALID, "", 300.0)
    book.close()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    found = {(c.device, c.model): c for c in credits_of(tmp_path)}
    assert found[ANNA, MODEL].standing == Standing(11, 11, 0)
    assert found[ANNA, ""].standing == Standing(1, 1, 0)
    bert = found[BERT, ""]
    assert (bert.standing, bert.fell, bert.fell_at) == (Standing(1, 1, 1), "late was rejected", 200)


def test_two_processes_of_a_home_add_to_one_standing(tmp_path: Path) -> None:
    books = [Credits(tmp_path / FILE) for _ in range(2)]

    def work(book: Credits) -> None:
        for _ in range(50):
            book.keep((ANNA, ""), Seen.VALID, "", 1.0)

    threads = [Thread(target=work, args=(book,)) for book in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for book in books:
        book.close()
    assert [credit.standing for credit in credits_of(tmp_path)] == [Standing(100, 100, 0)]


def test_the_book_is_bounded_and_forgets_what_changed_longest_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "MAX_CREDITS", 3)
    book = Credits(None)
    for at, device in enumerate(DEVICES[:5]):
        book.keep((device, ""), Seen.VALID, "", float(at))
    assert {credit.device for credit in book.all()} == set(DEVICES[2:5])


def test_a_book_of_another_version_or_a_damaged_one_is_refused_in_words(tmp_path: Path) -> None:
    Credits(tmp_path / FILE).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(StorageError, match="version 9"):
        Credits(tmp_path / FILE)
    (tmp_path / "bad").write_bytes(b"no database, but long enough to be looked at" * 40)
    with pytest.raises(StorageError, match="move the file away"):
        Credits(tmp_path / "bad")


def test_the_secret_is_the_owners_and_not_the_key_itself(tmp_path: Path) -> None:
    device = Identity.from_seed(bytes(32))
    linked = spot_check_secret(tmp_path, device)
    owner = OwnerKey.load_or_create(tmp_path)
    own = spot_check_secret(tmp_path, device)
    assert own == owner.secret("spot checks") != linked == device.secret("spot checks")
    assert own != owner.secret("something else")
    assert len(own) == 32


def test_peers_are_shown_with_what_was_seen_of_them(tmp_path: Path) -> None:
    book = Credits(tmp_path / FILE)
    for _ in range(10):
        book.keep((ANNA, MODEL), Seen.VALID, "", 100.0)
    book.keep((BERT, ""), Seen.INVALID, "late was rejected", 86_400.0)
    book.close()
    shown = peers.with_credit([{"device": ANNA, "contact": "x", "member": True}], tmp_path)
    assert [(peer["device"], peer["contact"]) for peer in shown] == [(ANNA, "x"), (BERT, "")]
    (anna,), (bert,) = (peer["credit"] for peer in shown)
    assert (anna["model"], anna["in_a_row"], anna["trust"], anna["fell"]) == (MODEL, 10, 0.9, "")
    assert (bert["invalid"], bert["trust"], bert["fell"]) == (1, 0.0, "late was rejected")


def test_people_read_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    book = Credits(tmp_path / FILE)
    book.keep((BERT, MODEL), Seen.VALID, "", 100.0)
    book.keep((BERT, MODEL), Seen.INVALID, "late was rejected:\n\x1b[31mno", 86_400.0)
    book.close()
    monkeypatch.setattr(peers, "_through_ours", lambda _: [])
    args = argparse.Namespace(join=[], json=False, home=tmp_path)
    assert peers.run(args) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{BERT}  away"
    assert second == (
        "    model abababab: 0 verified in a row, 1 in all, 1 wrong; 0% taken on credit; "
        "fell on 1970-01-02: late was rejected: \N{REPLACEMENT CHARACTER}[31mno"
    )
    assert peers.run(argparse.Namespace(join=[], json=True, home=tmp_path)) == 0
    (seen,) = json.loads(capsys.readouterr().out)
    assert seen["credit"][0]["model"] == MODEL


def credited() -> Outcome:
    credit = Credit(device=DEVICES[1], model="", standing=Standing(10_000, 10_000, 0))
    played = table("shown", credits=(credit,))
    return played.run(TaskGraph(chain(1, DEVICES[1])))


def test_a_result_says_on_credit_and_not_verified() -> None:
    outcome = credited()
    receipts = make_receipt(outcome, Identity.from_seed(bytes(32)), "", (), lambda _: b"")
    gathered = Gathered(
        sinks=(), tokens=(0, 0), devices=(), model=ModelUsed(), proof=lambda: receipts
    )
    result = make_result(outcome, gathered)
    assert [task["taken"] for task in result.to_json()["tasks"]] == ["on credit"]
    out = io.StringIO()
    print_answer(result, out)
    (line,) = (line for line in out.getvalue().splitlines() if line.startswith("s1 "))
    assert "on credit" in line
    assert "verified" not in line
