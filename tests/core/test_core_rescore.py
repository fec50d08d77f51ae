"""Written texts: their form, when one is accepted, and that its own model class alone judges it."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import decode_object, encode
from pockethive.core.effects import RunChecks, RunReplica, RunSkill
from pockethive.core.entry import Commit, Entry, Output, Verdict
from pockethive.core.errors import BadEncoding, GraphError
from pockethive.core.fold import fold
from pockethive.core.graph import TaskGraph
from pockethive.core.labels import Label
from pockethive.core.people import verifiers, workers
from pockethive.core.ports import Generation, ModelClass, Rescored
from pockethive.core.proof import not_shown, prove_task, shown
from pockethive.core.report import Outcome, RunStatus
from pockethive.core.rescore import (
    MARGIN,
    MAX_IDS,
    WrittenText,
    checker_of,
    judge,
    lacking,
    seed_of,
)
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import Check, DeviceId, PlannedTask, Policy, Verification
from pockethive.core.testing import Table
from pockethive.core.verification import check_plan
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    acks,
    edge,
    entry,
    make_task,
    member,
    output,
    planned,
    sha,
    sign,
    verdict,
    verify,
)

READ_AGAIN = Verification(checks=(Check(Policy.RESCORE, checker_of("search")),))
NAMED = Verification(checks=(Check(Policy.RESCORE, "quotation"),))
TASK = replace(make_task(), verification=READ_AGAIN, needs_model=True)
OWNER, WORKER, OTHER, THIRD = DEVICES[:4]
ONE, TWO = sha("one class"), sha("another class")

texts = st.builds(
    WrittenText,
    text=st.text(st.characters(codec="utf-8"), max_size=200),
    ids=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=60).map(tuple),
    finish=st.sampled_from(("stop", "length")),
    mean=st.integers(-(10**12), 0),
    model=st.binary(min_size=32, max_size=32).map(bytes.hex),
)


class TestForm:
    @given(texts)
    def test_a_text_is_read_as_it_was_written(self, text: WrittenText) -> None:
        wire = encode(text.value())
        assert WrittenText.read(decode_object(wire, len(wire))) == text

    @given(texts, st.data())
    def test_whatever_comes_is_a_text_or_refused(self, text: WrittenText, data: Any) -> None:
        value = text.value()
        odd = st.one_of(
            st.none(), st.booleans(), st.integers(), st.text(max_size=70), st.lists(st.integers())
        )
        value[data.draw(st.sampled_from((*value, "more")))] = data.draw(odd)
        try:
            read = WrittenText.read(value)
        except BadEncoding:
            return
        assert read.value() == value

    @pytest.mark.parametrize(
        ("field", "wrong"),
        [
            ("v", 2),
            ("v", True),
            ("ids", []),
            ("ids", [1] * (MAX_IDS + 1)),
            ("ids", [-1]),
            ("ids", [True]),
            ("ids", [2**31]),
            ("text", "x" * (64 * 1024 + 1)),
            ("finish", "cancelled"),
            ("mean", 1),
            ("mean", -0.5),
            ("model", "scripted"),
        ],
    )
    def test_what_is_out_of_bounds_is_refused(self, field: str, wrong: object) -> None:
        value = {"v": 1, "text": "a", "ids": [1], "finish": "stop", "mean": -1, "model": ONE}
        assert WrittenText.read(value).ids == (1,)
        with pytest.raises(BadEncoding):
            WrittenText.read({**value, field: wrong})

    @pytest.mark.parametrize("count", [0, MAX_IDS + 1])
    def test_what_could_not_be_read_again_is_not_kept(self, count: int) -> None:
        made = Generation(
            text="a", prompt_tokens=1, generated_tokens=count, finish="stop", ids=(7,) * count
        )
        with pytest.raises(BadEncoding, match=f"a text of {count} tokens"):
            WrittenText.of(made, ONE)

    def test_a_class_is_the_weights_and_the_run_time_together(self) -> None:
        exact = ModelClass(name="a", quantization="int8", sha256=ONE, runtime="openvino 1 f32")
        assert replace(exact, name="renamed").id == exact.id
        others = {replace(exact, runtime="openvino 2 f32").id, replace(exact, sha256=TWO).id}
        others.add(replace(exact, runtime="openvino 1 int8 activations").id)
        assert len({exact.id, *others}) == 4

    def test_a_seed_is_the_task_s(self) -> None:
        assert seed_of("one") == seed_of("one") != seed_of("two")


class TestJudgement:
    text = WrittenText(text="a b", ids=(1, 2), finish="stop", mean=-500_000, model=ONE)
    mine = Rescored(text="a b", finish="stop", logprob=-1.0, lag=0.0, worst=0, prompt_tokens=9)

    def test_what_this_model_would_write_is_accepted_within_the_margin(self) -> None:
        nats = MARGIN / 1e6
        assert judge(self.text, self.mine) == ""
        assert judge(self.text, replace(self.mine, lag=0.9 * nats, logprob=-1 - nats)) == ""

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"finish": "length"}, "reaches its length limit"),
            ({"finish": ""}, "the text goes on"),
            ({"text": "a c"}, "spell another text"),
            ({"lag": 0.0011, "worst": 1}, "token 2 of 2 is not what this model writes there"),
            ({"lag": nan}, "is not what this model writes"),
            ({"lag": inf, "logprob": -inf}, "is not what this model writes"),
            ({"logprob": -inf}, "is not what this model writes"),
            ({"logprob": -1.01}, "0.005000 nats off"),
            ({"logprob": -0.99}, "0.005000 nats off"),
        ],
    )
    def test_anything_else_is_refused_with_its_reason(
        self, changes: dict[str, Any], told: str
    ) -> None:
        assert told in judge(self.text, replace(self.mine, **changes))


def made_by(author: DeviceId, model: str) -> Entry:
    body = output(TASK.id, author).body
    assert isinstance(body, Output)
    return entry(author, replace(body, model=model))


def of_class(who: DeviceId, model: str, owner: str = OWNER_KEY) -> Any:
    checkers = ("quotation", checker_of("search"))
    return replace(member(who, owner, model), checkers=checkers)


class TestClasses:
    members = (of_class(OWNER, TWO), of_class(WORKER, ONE), of_class(OTHER, ONE))

    def test_only_devices_of_the_class_that_wrote_a_text_may_judge_it(self) -> None:
        made = made_by(WORKER, ONE)
        assert verifiers(TASK, self.members, set(), made) == (OTHER,)
        assert verifiers(replace(TASK, verification=NAMED), self.members, set(), made) == (OTHER,)
        assert verifiers(TASK, self.members, {OTHER}, made) == ()
        by_nobody = made_by(WORKER, "")
        assert verifiers(TASK, self.members, set(), by_nobody) == (), "some model must have written"
        ranked = verifiers(replace(TASK, verification=NAMED), self.members, set(), by_nobody)
        assert set(ranked) == {OWNER, OTHER}, "what needed no model anybody may check"

    def test_a_worker_that_nobody_could_judge_is_passed_over(self) -> None:
        assert set(workers(TASK, self.members, set())) == {WORKER, OTHER}
        assert set(workers(TASK, self.members, {OTHER})) == {OWNER, WORKER}, "there is no better"
        checked = replace(TASK, verification=make_task().verification)
        assert set(workers(checked, self.members, set())) == {OWNER, WORKER, OTHER}
        friends = (self.members[1], of_class(OTHER, ONE, ONE), of_class(THIRD, ONE, ONE))
        assert set(workers(TASK, friends, {WORKER})) == {OTHER, THIRD}, "each other's: no better"
        assert set(workers(TASK, friends, set())) == {WORKER, OTHER, THIRD}

    def test_the_reason_names_the_class_that_is_not_there(self) -> None:
        made = made_by(OWNER, TWO)
        assert f"another device of model class {TWO[:12]}" in lacking(TASK, made, self.members, ())
        assert lacking(TASK, made_by(WORKER, ONE), self.members, ()) == ""
        assert "names no model" in lacking(TASK, made_by(OWNER, ""), self.members, ())
        checked = replace(TASK, verification=make_task().verification)
        assert lacking(checked, made, self.members, ()) == ""

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"label": Label.DEVICE}, "keeps it on its device"),
            ({"skill": "rank"}, "read again by rescore.search, but its skill is rank"),
            ({"needs_model": False}, "its skill asks none"),
        ],
    )
    def test_a_plan_that_nobody_could_read_again_is_refused(
        self, changes: dict[str, Any], told: str
    ) -> None:
        parts = {"verification": READ_AGAIN, "needs_model": True, **changes}
        with pytest.raises(GraphError, match=told):
            check_plan(TaskGraph((planned("a", **parts),)))

    def test_a_receipt_says_what_a_rescore_is_worth(self) -> None:
        made = made_by(WORKER, ONE)
        assert isinstance(made.body, Output)
        body = verdict(made, OTHER).body
        assert isinstance(body, Verdict)
        said = entry(OTHER, replace(body, checks=(checker_of("search"),)))
        commit = Commit(
            task=TASK.id,
            generation=1,
            epoch=1,
            output=made.body.output,
            acks=acks(TASK, 1, made.body.output, 3),
        )
        everything = (entry(OWNER, TASK), made, said, entry(OWNER, commit))
        assert fold(everything, verify) is not None
        proof = prove_task(TASK.id, everything, verify)
        assert (proof.rescored, proof.verifiers) == (ONE, (OTHER,))
        assert f"read again by models of class {ONE[:12]}, which wrote it" in str(shown(proof))
        worth = " ".join(not_shown(proof, dict.fromkeys(DEVICES, OWNER_KEY)))
        assert "that what it says is true, or good" in worth


class Boast(Table):
    """One device says that a model of another class wrote what it made."""

    boaster: DeviceId | None = None

    def _agent(self, device: DeviceId, effect: RunSkill | RunReplica | RunChecks) -> None:
        honest = self.plan
        if device == self.boaster:
            self.plan = replace(honest, models={**honest.models, device: sha("nobody's")})
        super()._agent(device, effect)
        self.plan = honest


def plan(seed: str, models: dict[DeviceId, str], count: int = 5, **changes: Any) -> TablePlan:
    return TablePlan(
        seed=f"rescore {seed}",
        devices=DEVICES[:count],
        owner_key=OWNER_KEY,
        skills=("search",),
        checkers=("quotation", checker_of("search")),
        models=models,
        **changes,
    )


def text(name: str, after: tuple[Any, ...] = ()) -> PlannedTask:
    return planned(name, after, verification=READ_AGAIN, needs_model=True)


ALONE = TaskGraph((text("a"),))
CHAIN = TaskGraph((text("a"), text("b", (edge("a"),)), text("c", (edge("b"),))))
PAIRS = {OWNER: ONE, WORKER: ONE, OTHER: TWO, THIRD: TWO, DEVICES[4]: sha("a third class")}


def classes(outcome: Outcome) -> set[tuple[str, ...]]:
    """Of each task the class that its output names, then those of who accepted it."""
    found = set()
    for report in outcome.tasks:
        made = next(e for e in report.receipts if isinstance(e.body, Output))
        assert isinstance(made.body, Output)
        judges = [e.author for e in report.receipts if e.kind.value == "verdict"]
        assert judges
        found |= {(made.body.model, PAIRS[made.author], *(PAIRS[judge] for judge in judges))}
    return found


class TestRuns:
    @pytest.mark.parametrize("seed", range(6))
    def test_texts_are_judged_within_their_class_whoever_wrote_them(self, seed: int) -> None:
        played = Table(plan(f"pairs {seed}", PAIRS, loss=0.03), sign, verify)
        outcome = played.run(CHAIN)
        assert outcome.status is RunStatus.COMPLETED, outcome.reason
        seen = classes(outcome)
        assert all(len(set(one)) == 1 for one in seen), seen
        assert all(PAIRS[DEVICES[4]] not in one for one in seen), "nobody could have judged it"

    def test_a_text_that_is_not_the_model_s_is_rejected_and_written_elsewhere(self) -> None:
        for seed in range(4):
            honest = Table(plan(f"liar {seed}", dict.fromkeys(DEVICES, ONE)), sign, verify)
            first = honest.run(ALONE).tasks[0].worker
            liars = frozenset({first} - {None})
            models = dict.fromkeys(DEVICES, ONE)
            played = Table(plan(f"liar {seed}", models, liars=liars), sign, verify)
            (report,) = played.run(ALONE).tasks
            assert report.status == "committed"
            assert report.worker not in liars
            assert "rejected" in " ".join(report.story)

    def test_a_run_without_a_second_device_of_any_class_ends_and_says_so(self) -> None:
        models = {one: sha(f"class of {one}") for one in DEVICES}
        (report,) = Table(plan("alone", models, 3), sign, verify).run(ALONE).tasks
        assert report.status == "failed"
        assert report.attempts <= 1, "writing it again would have helped nobody"
        assert "`rescore` needs another device of model class" in report.reason

    def test_who_names_a_class_that_nobody_has_costs_an_attempt_and_not_the_task(self) -> None:
        for seed in range(4):
            models = dict.fromkeys(DEVICES, ONE)
            honest = Table(plan(f"boast {seed}", models), sign, verify)
            played = Boast(plan(f"boast {seed}", models), sign, verify)
            played.boaster = honest.run(ALONE).tasks[0].worker
            (report,) = played.run(ALONE).tasks
            assert report.status == "committed", report.reason
            assert report.worker != played.boaster
            assert sha("nobody's")[:12] in " ".join(report.story)
