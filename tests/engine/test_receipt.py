"""A receipt proves a run by public keys alone, and nothing that was altered passes."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.cli.command_line import run_command
from pockethive.core.canonical import decode_object, encode
from pockethive.core.entry import Kind
from pockethive.core.errors import BadInput, Failure, PocketHiveError, ProtocolError
from pockethive.dht.identity import Identity
from pockethive.dht.record import Record
from pockethive.dht.testing import somebody
from pockethive.receipt import MAX_RECEIPT, Receipt, TaskRecords, verify_receipt
from pockethive.result import Result
from pockethive.simulation import SimulatedHive
from tests.hive.homes import Homes
from tests.simulation.virtual_village import GOAL, village_seats


@dataclass(frozen=True, slots=True)
class Played:
    """A run that ended, and the owner's device, should it lie."""

    result: Result
    owner: Identity

    @property
    def data(self) -> bytes:
        return self.result.receipts.encode()

    def lied(self, change: Callable[[TaskRecords], TaskRecords], name: str = "answer") -> bytes:
        """The receipt with one task changed, signed anew by the owner's device."""
        receipt = self.result.receipts
        tasks = tuple(
            change(each) if each.id.split("/")[1] == name else each for each in receipt.tasks
        )
        return replace(receipt, tasks=tasks).signed(self.owner).encode()


def played(folder: Path, *, private: bool = False) -> Played:
    with SimulatedHive(seed=1) as hive:
        if private:
            Homes(hive)
        owner, *_ = hive.start(village_seats(folder))
        return Played(hive.run(owner, GOAL), owner.identity)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return played(tmp_path_factory.mktemp("open"))


def kinds(task: TaskRecords) -> list[str]:
    return [Record.decode(wire).kind for wire, _ in task.records]


def without(kind: Kind) -> Callable[[TaskRecords], TaskRecords]:
    def change(task: TaskRecords) -> TaskRecords:
        kept = zip(task.records, kinds(task), strict=True)
        return replace(task, records=tuple(one for one, found in kept if found != kind.value))

    return change


def test_a_run_is_proven_task_by_task_to_somebody_who_was_not_there(run: Played) -> None:
    said = verify_receipt(run.data).to_json()
    assert [task["name"] for task in said["tasks"]] == [task.name for task in run.result.tasks]
    for task, seen in zip(said["tasks"], run.result.tasks, strict=True):
        assert task["committed"]
        assert task["worker"] == seen.device
        assert task["worker"] not in task["verifiers"] != []
        assert task["witnesses"] == {"K": 4, "q": 3, "f": 1, "acks": task["witnesses"]["acks"]}
        assert task["witnesses"]["acks"] >= 3
        assert "of 4 witnesses acked" in task["proven"][0]
        assert "verified by 1 device other than its maker" in task["proven"][1]
        assert not task["attested"]
    assert [answer["task"] for answer in said["answer"]] == ["answer"]


def test_a_receipt_reads_back_as_it_was_written(run: Played) -> None:
    assert Receipt.decode(run.data) == run.result.receipts
    assert decode_object(run.data, MAX_RECEIPT) == run.result.receipts.to_json()


def test_the_answer_is_bound_by_the_hash_of_its_output(run: Played) -> None:
    verified = verify_receipt(run.data)
    (blob,) = run.result.outputs
    assert verified.answered_by(blob).name == "answer"
    with pytest.raises(Failure, match="the answer is not this run's"):
        verified.answered_by(blob + b" ")


def test_a_receipt_of_a_private_hive_opens_its_own_bodies_and_no_others(tmp_path: Path) -> None:
    private = played(tmp_path, private=True)
    receipt = private.result.receipts
    assert all(task["committed"] for task in verify_receipt(private.data).to_json()["tasks"])
    keys = [key for task in receipt.tasks for _, key in task.records]
    assert len(set(keys)) == len(keys)  # one each: none is the hive's

    def swapped(task: TaskRecords) -> TaskRecords:
        (first, key), (second, other), *rest = task.records
        return replace(task, records=((first, other), (second, key), *rest))

    with pytest.raises(ProtocolError, match=r"task answer: a task entry does not hold: .*not open"):
        verify_receipt(private.lied(swapped))


@given(st.data())
def test_a_changed_byte_is_refused_or_changes_nothing_that_is_claimed(
    run: Played, data: st.DataObject
) -> None:
    whole = bytearray(run.data)
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    try:
        said = verify_receipt(bytes(whole))
    except PocketHiveError:
        return
    assert said.to_json() == verify_receipt(run.data).to_json()


@given(st.data())
def test_an_owner_who_lies_cannot_alter_what_others_signed(
    run: Played, data: st.DataObject
) -> None:
    """One byte of one record is another, and the owner's device signs the receipt anew."""

    def change(task: TaskRecords) -> TaskRecords:
        index = data.draw(st.integers(0, len(task.records) - 1))
        wire = bytearray(task.records[index][0])
        wire[data.draw(st.integers(0, len(wire) - 1))] ^= data.draw(st.integers(1, 255))
        records = list(task.records)
        records[index] = bytes(wire), b""
        return replace(task, records=tuple(records))

    with pytest.raises(ProtocolError, match=r"^task answer: "):
        verify_receipt(run.lied(change))


LIES: dict[str, tuple[Callable[[TaskRecords], TaskRecords], str]] = {
    "no verdict": (without(Kind.VERDICT), "lacks acks of a quorum, or verdicts"),
    "no output": (without(Kind.OUTPUT), "the output that its commit names is missing"),
    "no task": (without(Kind.TASK), "the signed task is missing"),
    "another K": (lambda task: replace(task, witnesses=(7, 5, 2)), "K, q and f are not those"),
    "another run": (
        lambda task: TaskRecords(type(task.id)("0" * 32 + task.id[32:]), (0, 0, 0), ()),
        "belongs to another run",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_named_with_its_task(run: Played, lie: str) -> None:
    change, words = LIES[lie]
    with pytest.raises(ProtocolError, match=f"^task answer: .*{words}"):
        verify_receipt(run.lied(change))


def test_an_entry_of_another_task_is_refused(run: Played) -> None:
    other = next(t for t in run.result.receipts.tasks if t.id.split("/")[1] == "rank")
    with pytest.raises(ProtocolError, match="task answer: an entry belongs to another task"):
        verify_receipt(run.lied(lambda task: replace(task, records=other.records)))


def test_a_commit_that_is_kept_back_takes_its_readers_with_it(run: Played) -> None:
    with pytest.raises(ProtocolError, match="task answer: it names an input that is not rank's"):
        verify_receipt(run.lied(without(Kind.COMMIT), "rank"))
    said = verify_receipt(run.lied(without(Kind.COMMIT))).to_json()  # of the last it proves less
    (task,) = [each for each in said["tasks"] if each["name"] == "answer"]
    assert (task["committed"], task["proven"], said["answer"]) == (False, [], [])


def test_a_certificate_that_the_owner_did_not_sign_is_refused(run: Played) -> None:
    receipt = run.result.receipts
    first, *rest = receipt.certificates
    forged = replace(first, certificate=rest[0].certificate)
    with pytest.raises(ProtocolError, match="certificate of device"):
        verify_receipt(replace(receipt, certificates=(forged, *rest)).signed(run.owner).encode())
    with pytest.raises(ProtocolError, match="did not certify the device that signed it"):
        verify_receipt(replace(receipt, certificates=()).signed(run.owner).encode())


def test_a_receipt_cannot_be_shortened_by_whoever_passes_it_on(run: Played) -> None:
    receipt = run.result.receipts
    shorter = replace(receipt, tasks=receipt.tasks[:-1])
    with pytest.raises(ProtocolError, match="as a whole is not what its device signed"):
        verify_receipt(shorter.encode())
    with pytest.raises(ProtocolError, match="as a whole"):
        verify_receipt(shorter.signed(somebody("else")).encode())


@given(st.binary(max_size=200) | st.just(encode({"v": 2, "what": "pockethive receipt"})))
def test_what_is_no_receipt_is_bad_input(noise: bytes) -> None:
    with pytest.raises(BadInput, match="not a receipt that can be read"):
        verify_receipt(noise)


def test_the_command_says_it_in_plain_words(
    run: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, answer = tmp_path / "receipt", tmp_path / "answer"
    file.write_bytes(run.data)
    answer.write_bytes(run.result.outputs[0])
    assert run_command(["verify-receipt", str(file), "--answer", str(answer)]) == 0
    said = capsys.readouterr().out
    assert "5 of 5 tasks committed" in said
    assert f"{answer} is the output of answer, as committed" in said
    assert run_command(["verify-receipt", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == run.result.run_id


@pytest.mark.parametrize("fault", ["altered", "cut", "missing"])
def test_a_receipt_that_does_not_hold_is_one_sentence_and_an_exit_code(
    run: Played, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "receipt"
    if fault != "missing":
        file.write_bytes(run.lied(without(Kind.VERDICT)) if fault == "altered" else run.data[:-9])
    assert run_command(["verify-receipt", str(file)]) == (1 if fault == "altered" else 2)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("pockethive: ")
    assert said.err.count("\n") == 1
