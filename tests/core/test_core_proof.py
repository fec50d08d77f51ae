"""What entries prove: through generations of witnesses, of whom, and of which inputs."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pockethive.core.canonical import to_text
from pockethive.core.entry import Commit, Entry, Kind, Output, Waiver
from pockethive.core.errors import ProtocolError
from pockethive.core.labels import Label
from pockethive.core.lease import Accepted, seal_bytes
from pockethive.core.proof import (
    Proof,
    check_company,
    check_inputs,
    not_shown,
    prove_task,
    shown,
    sinks,
)
from pockethive.core.report import TaskReport
from pockethive.core.sealing import sealing
from pockethive.core.spec import Limits
from pockethive.core.task import DeviceId, Task
from tests.core.core_play import (
    CHECKED,
    DEVICES,
    OWNER_KEY,
    acks,
    edge,
    entry,
    make_task,
    output,
    sign,
    verdict,
    verify,
)
from tests.core.test_core_runs import CHAIN, table
from tests.core.test_core_seals import TASK, heir_entry, said

OWNER, WORKER, OTHER = DEVICES[:3]
MINE: Mapping[DeviceId, str] = dict.fromkeys(DEVICES, OWNER_KEY)


def commit(task: Task, made: Entry, *, count: int = 3, generation: int = 1) -> Entry:
    sha = getattr(made.body, "output", "")
    body = Commit(
        task=task.id, generation=generation, epoch=6, output=sha, acks=acks(task, 6, sha, count)
    )
    return entry(OWNER, body)


def proven(task: Task, *entries: Entry) -> Proof:
    return prove_task(task.id, (entry(OWNER, task), *entries), verify)


def committed(task: Task) -> Proof:
    made = output(task.id, WORKER)
    return proven(task, made, verdict(made, OTHER), commit(task, made))


@pytest.fixture(scope="module")
def replaced() -> TaskReport:
    """A task whose witnesses died and were replaced before it was committed."""
    dying = {DEVICES[3]: 2.0, DEVICES[4]: 6.0, DEVICES[5]: 26.0}
    played = table(
        "dying witnesses 0",
        7,
        crashes=dying,
        durations=dict.fromkeys("abcd", 8.0),
        limits=Limits(timeout_seconds=200),
    )
    outcome = played.run(CHAIN)
    return next(r for r in outcome.tasks if r.task.committee.generation > 1)


def test_replaced_witnesses_are_followed_by_their_seals(replaced: TaskReport) -> None:
    proof = prove_task(replaced.id, replaced.receipts, verify)
    assert (proof.committed, proof.output) == (True, replaced.output)
    assert proof.committee == replaced.task.committee
    assert len(proof.acks) >= replaced.task.committee.quorum


@pytest.mark.parametrize(
    ("lost", "words"),
    [(Kind.SEAL, "no quorum of seals leads to"), (Kind.TASK, "first generation .* is missing")],
)
def test_a_generation_without_what_led_to_it_proves_nothing(
    replaced: TaskReport, lost: Kind, words: str
) -> None:
    first = next(e for e in replaced.receipts if e.kind is lost)
    kept = [e for e in replaced.receipts if e is not first]
    with pytest.raises(ProtocolError, match=words):
        prove_task(replaced.id, kept, verify)


@pytest.mark.parametrize("bound", ["", "ab" * 32])
def test_an_owner_who_drops_what_may_have_been_committed_is_found_out(bound: str) -> None:
    vote = said(5, Accepted(5, "cd" * 32))
    seals = sealing(
        [
            (w, replace(vote, signature=to_text(sign(w, seal_bytes(vote)))))
            for w in TASK.committee.witnesses[:3]
        ]
    )
    heir = heir_entry(5, bound)
    with pytest.raises(ProtocolError, match="was not carried over"):
        prove_task(TASK.id, (entry(OWNER, TASK), entry(OWNER, seals), heir), verify)


def test_acks_below_the_quorum_commit_nothing() -> None:
    task = make_task()
    made = output(task.id, WORKER)
    with pytest.raises(ProtocolError, match="task search-1: its commit lacks acks of a quorum"):
        proven(task, made, verdict(made, OTHER), commit(task, made, count=2))


def test_a_verdict_of_the_maker_is_none() -> None:
    task = make_task()
    made = output(task.id, WORKER)
    with pytest.raises(ProtocolError, match="verdicts that satisfy its policy"):
        proven(task, made, verdict(made, WORKER), commit(task, made))


def test_a_stranger_s_other_device_may_not_judge_and_the_owner_s_own_may() -> None:
    proof = committed(make_task())
    check_company(proof, MINE)
    strangers = {**MINE, WORKER: "b" * 43, OTHER: "b" * 43}
    with pytest.raises(ProtocolError, match="judged by a device of its own maker"):
        check_company(proof, strangers)


def test_what_stays_on_its_device_is_attested_and_called_so() -> None:
    task = make_task(label=Label.DEVICE)
    made = output(task.id, WORKER)
    proof = proven(task, made, commit(task, made))
    assert proof.verifiers == ()
    assert len(shown(proof)) == 1
    assert "attested only, by the device that made it" in " ".join(not_shown(proof, MINE))


def test_what_the_owner_took_on_credit_is_called_so_and_only_he_can() -> None:
    task = replace(make_task(), verification=replace(CHECKED, adaptive=True))
    made = output(task.id, WORKER)
    assert isinstance(made.body, Output)
    waiver = Waiver(task=task.id, epoch=1, output=made.body.output, worker=WORKER)
    proof = proven(task, made, entry(OWNER, waiver), commit(task, made))
    assert (proof.on_credit, proof.verifiers) == (True, ())
    assert "took it on credit" in " ".join(not_shown(proof, MINE))
    with pytest.raises(ProtocolError, match="verdicts that satisfy its policy"):
        proven(task, made, entry(OTHER, waiver), commit(task, made))


def test_the_words_say_who_stands_behind_the_witnesses() -> None:
    proof = committed(make_task())
    assert "all witnesses are the owner's" in " ".join(not_shown(proof, MINE))
    words = " ".join(not_shown(proof, {OWNER: OWNER_KEY}))
    assert "who owns 3 of the 4 witnesses" in words
    assert f"who owns the verifier {OTHER[:8]}" in words


def test_two_outputs_of_one_device_in_one_place_are_told_and_not_hidden() -> None:
    task = make_task()
    made = output(task.id, WORKER)
    assert isinstance(made.body, Output)
    doubled = entry(WORKER, replace(made.body, size=6))
    proof = proven(task, made, doubled, verdict(made, OTHER), commit(task, made))
    assert any("signed two things in one place" in line for line in not_shown(proof, MINE))


def test_inputs_are_the_committed_outputs_of_the_tasks_that_the_plan_names() -> None:
    first = committed(make_task("a"))
    second = committed(make_task("b"))
    assert first.output is not None
    assert second.task is not None
    reader = replace(second, task=replace(second.task, after=(edge("a"),)))
    good = replace(reader, inputs=(("a", first.output),))
    check_inputs((first, good))
    assert sinks((first, good)) == (good,)
    for bad, words in (
        (reader, "left out an input"),
        (replace(reader, inputs=(("a", "0" * 64),)), "not a's committed output"),
        (replace(second, inputs=(("a", first.output),)), "its plan does not name"),
    ):
        with pytest.raises(ProtocolError, match=f"task b: it .*{words}"):
            check_inputs((first, bad))
