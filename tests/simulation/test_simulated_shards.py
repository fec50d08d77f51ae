"""The team `shards` in virtual time: the same answer however a world is split, and nothing leaks.

The double takes every undated sentence about a meter for one about its keeper.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path

from bench.swarm.liars import Liar, Silent, careless, colluding, gathering
from bench.swarm.private import USUAL, Asked, Cheat, Holders, Memory, Rules, Tap
from bench.swarm.shards import is_deceived
from pockethive.inference.testing import ScriptedModel
from pockethive.trials.questions import Question
from pockethive.trials.shards import split
from pockethive.trials.world import Document, Statement, World

MARKS = ("xbababaab", "xbababaac", "xbababaad", "xbababaae")
SAID = (
    ("register-1.md", "Register of the tax office, 3 May 2020", "The keeper of meter 1234 is {}"),
    ("letter-2.md", "Letter of a traveller, 9 June 2021", "Keeper of meter 1234, {} wrote"),
    ("report-3.md", "Report of the tax office, 9 June 2021", "The keeper of meter 1234 is {}"),
    ("report-4.md", "Report of the tax office, 9 June 2021", "The keeper of meter 5678 is {}"),
)
PEOPLE = ("Ada Falk", "Bruno Dorn", "Clara Vogt", "Dirk Pohl")
QUESTION = Question("q", "lookup", "Who is the keeper of meter 1234?", ("Ada Falk",), ("0",))


def world() -> World:
    documents = tuple(
        Document(
            name,
            title,
            name.split("-", maxsplit=1)[0],
            date(2020, 5, 3),
            (Statement(str(n), f"{said.format(person)} ({mark}).", mark, None, name),),
        )
        for n, ((name, title, said), person, mark) in enumerate(
            zip(SAID, PEOPLE, MARKS, strict=True)
        )
    )
    return World(1, documents, {}, {})


def asked(
    folder: Path,
    holders: int,
    copies: int = 1,
    cheats: dict[int, Cheat] | None = None,
    rules: Rules = USUAL,
) -> tuple[Asked, set[bytes]]:
    made = world()
    played = Holders(made, Memory(ScriptedModel()), folder)
    hands = split(made.documents, holders, copies)
    found, unlogged = played.ask(hands, [QUESTION], cheats, rules)
    return found[0], unlogged


def test_the_answer_is_the_same_however_the_world_is_split(tmp_path: Path) -> None:
    for holders in (1, 2, 4):
        found, unlogged = asked(tmp_path, holders)
        assert found.status == "completed"
        assert found.right, found
        assert (found.cited, found.cited_proof) == (1, 1)
        assert found.crossed == 3  # what tells of the keeper of this meter, and nothing else
        assert unlogged == set()
        assert found.bytes_each > 0


def test_a_forged_sentence_counts_unless_others_must_quote_it_too(tmp_path: Path) -> None:
    alone, _ = asked(tmp_path, 4, cheats={0: gathering(Liar("a"))})
    assert not alone.right
    assert alone.answer.startswith("Lie")
    held, _ = asked(
        tmp_path, 4, copies=3, cheats={0: gathering(Liar("a"))}, rules=Rules(agreeing=2)
    )
    assert held.right
    fooled, _ = asked(
        tmp_path,
        4,
        copies=3,
        cheats={0: gathering(Liar("a")), 1: gathering(Liar("a"))},
        rules=Rules(agreeing=2),
    )
    assert not fooled.right


def test_what_a_careless_device_says_is_rejected_and_only_its_documents_are_missed(
    tmp_path: Path,
) -> None:
    hands = split(world().documents, 4, 1)
    has_it = next(n for n, hand in enumerate(hands) if hand[0].name == "register-1.md")
    wrong, _ = asked(tmp_path, 4, cheats={has_it: careless("a")})
    silent, _ = asked(tmp_path, 4, cheats={has_it: gathering(Silent())})
    assert not wrong.right
    assert wrong.answer == silent.answer == "Clara Vogt"


def test_colluders_pass_where_nobody_looks_and_not_where_more_must_accept_than_they_are(
    tmp_path: Path,
) -> None:
    cheats = {place: colluding("4711", place) for place in (0, 1)}
    missed = {place: gathering(Silent()) for place in (0, 1)}
    blind, _ = asked(tmp_path, 4, 3, cheats, Rules(verified=False))
    assert not blind.right
    held, _ = asked(tmp_path, 4, 3, cheats, Rules(verdicts=2))
    known, _ = asked(tmp_path, 4, 3, missed)
    assert held.answer == known.answer
    assert held.status.startswith("partial missing round-1.gather-")


def test_the_rules_of_a_setting_are_those_of_its_team() -> None:
    team = Rules(agreeing=3, verdicts=2).team()
    assert [role.verification.verdicts for role in team.roles] == [2, 2]
    assert [
        each.params["agreeing"] for each in team.planner.steps if "agreeing" in each.params
    ] == [3]


def test_who_answers_as_without_the_cheats_or_not_at_all_is_not_deceived(tmp_path: Path) -> None:
    known, _ = asked(tmp_path, 1)
    for answer, right, deceived in (
        ("Ada Falk", True, False),
        ("", False, False),
        ("Lieaa", False, True),
    ):
        found = replace(known, answer=answer, right=right)
        assert is_deceived(found, known) is deceived
    assert not is_deceived(replace(known, answer="x", right=False), replace(known, answer="x"))


def test_liars_with_one_secret_tell_one_lie() -> None:
    assert Liar("a").forge(QUESTION.text, "keeper") == Liar("a").forge(QUESTION.text, "keeper")
    assert Liar("a").forge(QUESTION.text, "keeper") != Liar("b").forge(QUESTION.text, "keeper")


def test_what_crossed_in_nothing_that_was_logged_is_a_leak() -> None:
    marks = [mark.encode() for mark in MARKS]
    tap = Tap(frozenset(marks))
    tap.blobs = {"a" * 64: {marks[0]}, "b" * 64: {marks[1]}}
    tap.letters = tap.seen(b"a letter with " + marks[2] + b" and xnonenone in it")
    tap.logged = {"a" * 16}
    assert tap.crossed() == set(marks[:3])
    assert tap.unlogged() == set(marks[1:3])
