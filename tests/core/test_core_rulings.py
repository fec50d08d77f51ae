"""Rulings: what the owner's own word buys at witnesses and readers, and what nothing else does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.entry import Commit, Entry
from pockethive.core.errors import BadEncoding, GraphError, ProtocolError
from pockethive.core.fold import fold
from pockethive.core.graph import TaskGraph
from pockethive.core.labels import Label
from pockethive.core.lease import Ack, AskCommit, AskLease, Refusal, Refused
from pockethive.core.message import Offer
from pockethive.core.message_codec import decode_message, encode_message
from pockethive.core.proof import not_shown, prove_task, shown
from pockethive.core.question import MAX_REMARK, MAX_REMARKS, read_remarks, remarks_blob
from pockethive.core.ruling import accepted, asks
from pockethive.core.table_entries import opened_entry
from pockethive.core.task import Check, DeviceId, Policy, Verification
from pockethive.core.verification import able, check_plan, satisfied
from pockethive.core.witness import Witness, WitnessAsked
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    acks,
    entry,
    make_task,
    output,
    planned,
    ruling,
    sha,
    verdict,
    verify,
)

ASKED = Verification(checks=(Check(Policy.HUMAN, "human"),))
OWNER, WORKER, OTHER = DEVICES[:3]
TASK = replace(make_task(), verification=ASKED)
MADE = output(TASK.id, WORKER)


class TestPolicy:
    @pytest.mark.parametrize(
        ("evidence", "told"),
        [
            ((), "nothing"),
            ((ruling(MADE, author=WORKER),), "the worker's"),
            ((ruling(MADE, author=OTHER),), "another device's"),
            ((ruling(MADE, accept=False),), "a rejection"),
            ((ruling(MADE), ruling(MADE, accept=False)), "yes and no"),
            ((ruling(MADE, epoch=2),), "of another epoch"),
            ((ruling(MADE, output=sha("wrong")),), "of another output"),
            ((ruling(MADE, worker=OTHER),), "of another's output"),
            ((verdict(MADE, OTHER),), "a verdict of a device"),
            ((verdict(MADE, OTHER), verdict(MADE, DEVICES[3]), verdict(MADE, OWNER)), "many"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_witness_acks_for_the_owner_s_own_word_alone(
        self, evidence: Sequence[Entry], told: str
    ) -> None:
        for peer in (OWNER, WORKER):
            assert asked_witness(evidence, peer) is Refused.UNPROVEN, told
        assert asked_witness((ruling(MADE),), OWNER) is None

    @given(
        st.sets(
            st.sampled_from(
                (
                    *(ruling(MADE, author=each) for each in DEVICES[:4]),
                    *(ruling(MADE, author=each, accept=False) for each in DEVICES[:4]),
                    *(verdict(MADE, each) for each in DEVICES[:4]),
                    ruling(MADE, epoch=2),
                    ruling(MADE, output=sha("wrong")),
                    ruling(MADE, worker=OTHER),
                )
            )
        )
    )
    def test_whatever_else_is_shown_his_yes_without_his_no_decides(
        self, shown_: set[Entry]
    ) -> None:
        right = ruling(MADE) in shown_ and ruling(MADE, accept=False) not in shown_
        assert satisfied(TASK, MADE, shown_) is right
        assert (accepted(TASK, MADE, shown_) is not None) is right
        assert (asked_witness(tuple(shown_), OWNER) is None) is right

    def test_a_ruling_buys_nothing_where_the_task_does_not_ask(self) -> None:
        other = make_task()
        assert not asks(other)
        made = output(other.id, WORKER)
        assert not satisfied(other, made, (ruling(made),))

    def test_readers_and_receipts_say_whose_word_it_is(self) -> None:
        body = Commit(
            task=TASK.id,
            generation=1,
            epoch=1,
            output=sha("right"),
            acks=acks(TASK, 1, sha("right"), 3),
        )
        everything = (entry(OWNER, TASK), MADE, ruling(MADE), entry(OWNER, body))
        view = fold(everything, verify)
        assert view is not None
        assert view.verdicts == (ruling(MADE),)
        proof = prove_task(TASK.id, everything, verify)
        assert (proof.ruled_by, proof.verifiers, proof.on_credit) == (OWNER, (), False)
        assert f"accepted by the run's owner himself: signed by his device {OWNER[:8]}" in shown(
            proof
        )
        assert "it is a person's word" in " ".join(
            not_shown(proof, dict.fromkeys(DEVICES, OWNER_KEY))
        )
        for foreign in (
            ruling(MADE, author=WORKER),
            ruling(MADE, accept=False),
            verdict(MADE, OTHER),
        ):
            with pytest.raises(ProtocolError, match="verdicts that satisfy its policy"):
                prove_task(TASK.id, (entry(OWNER, TASK), MADE, foreign, entry(OWNER, body)), verify)

    def test_no_device_can_verify_it_whatever_its_checkers_are_called(self) -> None:
        assert not able(TASK, ("human", "quotation"), has_model=True)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"label": Label.DEVICE}, "its label keeps it on its device, unseen"),
            ({"verification": replace(ASKED, adaptive=True)}, "to nobody's credit"),
            ({"verification": replace(ASKED, verdicts=2)}, "`human` stands alone"),
            (
                {
                    "verification": Verification(
                        checks=(*ASKED.checks, Check(Policy.CHECK, "quotation"))
                    )
                },
                "`human` stands alone",
            ),
        ],
    )
    def test_a_plan_that_asks_in_vain_is_refused(self, changes: dict[str, Any], words: str) -> None:
        task = planned("a", **{"verification": ASKED, **changes})
        with pytest.raises(GraphError, match=words):
            check_plan(TaskGraph((task,)))


def asked_witness(evidence: Sequence[Entry], peer: DeviceId) -> Refused | None:
    """Why a witness does not ack an output that is shown with this; None: it does."""
    cell: bytes | None = None
    signed = entry(OWNER, TASK)
    ask = AskLease(task=TASK.id, epoch=1, seconds=15, entry=signed)
    wanted = AskCommit(task=TASK.id, epoch=1, output=sha("right"), evidence=(MADE, *evidence))
    answer: object = None
    for who, request in ((WORKER, ask), (peer, wanted)):
        asked = WitnessAsked(peer=who, request=request, born=0.0)
        cell, answer = Witness(OWNER, verify).decide(cell, asked, 1_900_000_001.0)
    if isinstance(answer, Refusal):
        return answer.reason
    assert isinstance(answer, Ack)
    return None


@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=120), max_size=MAX_REMARKS)
)
def test_remarks_are_read_as_they_were_written(remarks: list[str]) -> None:
    assert read_remarks(remarks_blob(tuple(remarks))) == tuple(remarks)


@pytest.mark.parametrize("remarks", [("x" * (MAX_REMARK + 1),), ("x",) * (MAX_REMARKS + 1), ("",)])
def test_remarks_are_bounded(remarks: tuple[str, ...]) -> None:
    with pytest.raises(BadEncoding):
        read_remarks(remarks_blob(remarks))


@pytest.mark.parametrize("remarks", ["", sha("remarks")])
def test_an_offer_names_the_remarks_that_there_are(remarks: str) -> None:
    offer = Offer(
        task=TASK.id,
        skill="search",
        needs_model=False,
        label=Label.HIVE,
        place=None,
        entry=entry(OWNER, TASK),
        remarks=remarks,
    )
    data = encode_message(offer)
    assert decode_message(data, lambda wire: opened_entry(wire, verify)) == offer
    assert (b"remarks" in data) is bool(remarks)
