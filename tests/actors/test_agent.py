"""Agents: every order is answered by one report, whatever becomes of the work."""

import queue
import threading
from typing import Any

import pytest

from pockethive.actors.agent import (
    AgentActor,
    CalledOff,
    ChecksDone,
    DoChecks,
    DoWork,
    Duty,
    Report,
    WorkDone,
    WorkFailed,
)
from pockethive.actors.base import Ref
from pockethive.actors.skill import Finding, Product, Tools, Work
from pockethive.actors.supervisor import ChildSpec, Supervisor
from pockethive.core.errors import SkillFailure
from pockethive.inference.testing import ScriptedModel
from tests.actors.parrots import WAIT, Watch


class Counting:
    """Counts the words of `params["text"]`; obeys a few of them."""

    name = "count"
    needs_model = True

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.ran: list[str] = []

    def run(self, work: Work, tools: Tools) -> Product:
        text = work.params["text"]
        self.ran.append(text)
        if text == "fail":
            raise SkillFailure("nothing to count")
        if text == "crash":
            raise ZeroDivisionError("private text")
        if text == "wait":
            self.begun.set()
            assert self.go.wait(WAIT)
        assert tools.model is not None
        return Product(value={"words": tools.model.count(text)})


class Equals:
    """Accepts the value it was made with."""

    needs_model = False

    def __init__(self, name: str, expected: Any) -> None:
        self.name, self._expected = name, expected

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        return Finding(value == self._expected, f"expected {self._expected}")


class Bench:
    """A role's agents under a supervisor, and what they report."""

    def __init__(self, supervisor: Supervisor, workers: int = 1) -> None:
        self.reports: queue.Queue[Report] = queue.Queue()
        self.skill, self.called_off = Counting(), CalledOff()
        tools = Tools(
            model=ScriptedModel(),
            documents=None,
            sign=lambda data: data,
            verify=lambda key, data, signature: True,
        )
        checkers = {"two": Equals("two", 2), "three": Equals("three", 3)}
        duty = Duty(
            skill=self.skill,
            checkers=checkers,
            tools=tools,
            report=self.reports.put,
            called_off=self.called_off,
        )
        self.ref: Ref = supervisor.start(
            ChildSpec(name="counter", factory=lambda: AgentActor(duty), workers=workers)
        )

    def do(self, token: str, text: str, skill: str = "count") -> None:
        self.ref.tell(DoWork(token=token, work=work(text, skill)))

    def check(self, token: str, value: Any, *checkers: str) -> None:
        order = DoChecks(token=token, work=work("", "count"), value=value, checkers=checkers)
        self.ref.tell(order)

    def report(self) -> Report:
        return self.reports.get(timeout=WAIT)


def work(text: str, skill: str) -> Work:
    return Work(
        task="run/count/1", name="count", skill=skill, params={"text": text}, inputs={}, device="d"
    )


@pytest.fixture
def bench(supervisor: Supervisor) -> Bench:
    return Bench(supervisor)


def test_work_done_is_reported_with_its_product(bench: Bench) -> None:
    bench.do("t1", "three little words")
    assert bench.report() == WorkDone(token="t1", product=Product(value={"words": 3}))


def test_a_deliberate_failure_is_reported_with_its_reason_and_the_agent_goes_on(
    bench: Bench, watch: Watch
) -> None:
    bench.do("t1", "fail")
    assert bench.report() == WorkFailed(token="t1", reason="nothing to count")
    bench.do("t2", "word")
    assert bench.report().token == "t2"
    assert watch.restarts == []


def test_a_crash_is_reported_for_its_order_and_a_fresh_agent_takes_the_next(
    bench: Bench, watch: Watch
) -> None:
    bench.do("t1", "crash")
    bench.do("t2", "two words")
    assert bench.report() == WorkFailed(token="t1", reason="crashed: ZeroDivisionError")
    assert bench.report() == WorkDone(token="t2", product=Product(value={"words": 2}))
    assert [name for name, _ in watch.restarts] == ["counter"]


def test_an_order_for_another_skill_fails(bench: Bench) -> None:
    bench.do("t1", "word", skill="sing")
    report = bench.report()
    assert isinstance(report, WorkFailed)
    assert "has no skill 'sing'" in report.reason


def test_the_result_of_work_called_off_is_dropped_and_waiting_work_not_begun(bench: Bench) -> None:
    bench.do("held", "wait")
    assert bench.skill.begun.wait(WAIT)
    bench.do("waiting", "crash")
    bench.do("wanted", "one")
    bench.called_off.add("held")
    bench.called_off.add("waiting")
    bench.skill.go.set()
    assert bench.report().token == "wanted"
    assert bench.reports.empty()
    assert bench.skill.ran == ["wait", "one"]


def test_concurrency_is_the_number_of_agents(supervisor: Supervisor) -> None:
    bench = Bench(supervisor, workers=2)
    bench.do("slow", "wait")
    assert bench.skill.begun.wait(WAIT)
    bench.do("quick", "one")
    assert bench.report().token == "quick"
    bench.skill.go.set()
    assert bench.report().token == "slow"


def test_checks_run_in_order_until_one_rejects(bench: Bench) -> None:
    bench.check("t1", 2, "two", "three", "two")
    report = bench.report()
    assert isinstance(report, ChecksDone)
    assert [(name, found.accept) for name, found in report.findings] == [
        ("two", True),
        ("three", False),
    ]
    assert not report.accept
    bench.check("t2", 2, "two")
    accepted = bench.report()
    assert isinstance(accepted, ChecksDone)
    assert accepted.accept


def test_no_checks_accept_nothing(bench: Bench) -> None:
    bench.check("t1", 2)
    report = bench.report()
    assert isinstance(report, ChecksDone)
    assert not report.accept


def test_an_unknown_checker_is_a_failure_not_a_rejection(bench: Bench) -> None:
    bench.check("t1", 2, "seven")
    report = bench.report()
    assert isinstance(report, WorkFailed)
    assert "no checker 'seven'" in report.reason


def test_only_the_newest_tokens_called_off_are_remembered() -> None:
    called_off = CalledOff(kept=2)
    for token in ("a", "b", "c"):
        called_off.add(token)
    assert [token in called_off for token in ("a", "b", "c")] == [False, True, True]
