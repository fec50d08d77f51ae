"""What an output must have been made of: at least the inputs its task was first offered with."""

from dataclasses import replace

from pockethive.core.effects import RunChecks, RunReplica, RunSkill
from pockethive.core.entry import Output
from pockethive.core.report import RunStatus
from pockethive.core.table_plan import TablePlan
from pockethive.core.task import DeviceId
from pockethive.core.testing import Table
from tests.core.core_play import DEVICES, OWNER_KEY, research, sign, verify

SLOPPY = DEVICES[1]


class SloppyTable(Table):
    """One device leaves out what it should have read, and says so."""

    def _agent(self, device: DeviceId, effect: RunSkill | RunReplica | RunChecks) -> None:
        sloppy = device == SLOPPY and isinstance(effect, RunSkill)
        super()._agent(device, replace(effect, inputs=()) if sloppy else effect)


def test_an_output_that_left_out_an_input_is_not_committed() -> None:
    caught = 0
    for seed in range(12):
        plan = TablePlan(
            seed=f"sloppy {seed}",
            devices=DEVICES[:4],
            owner_key=OWNER_KEY,
            skills=("search",),
            checkers=("quotation",),
        )
        outcome = SloppyTable(plan, sign, verify).run(research(DEVICES[1:4]))
        assert outcome.status is RunStatus.COMPLETED, plan.seed
        for report in outcome.tasks:
            made = next(e.body for e in report.receipts if isinstance(e.body, Output))
            sources = {name for edge in report.task.after for name in edge.sources}
            assert {name for name, _ in made.inputs} == sources, plan.seed
            caught += "it left out an input" in " ".join(report.story)
    assert caught
