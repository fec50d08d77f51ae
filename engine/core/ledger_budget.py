"""The ledger's watch over what a run may cost: tokens of its outputs, and work begun.

Guards: once a budget is used up nothing new is begun; what is under way may end, but not for ever;
what was committed stays.
"""

from collections.abc import Iterator

from pockethive.core.effects import Effect, TellCoordinator
from pockethive.core.events import BudgetSpent
from pockethive.core.ledger_state import Cost, RunState, TaskState
from pockethive.core.lifecycle import Status
from pockethive.core.spec import Limits

FINISH_SECONDS = 30.0  # how long what is under way may still take

Effects = Iterator[Effect]


def exceeded(limits: Limits, cost: Cost) -> str:
    """Which budget is used up, with figures; empty while none is."""
    if not (limits.tokens or limits.replication):  # asked at every step
        return ""
    budgets = (
        ("tokens", cost.tokens, limits.tokens),
        ("replication", cost.begun, limits.replication),
    )
    for name, used, most in budgets:
        if 0 < most <= used:
            return f"{name}: {used:,} of {most:,} used"
    return ""


def watch(limits: Limits, run: RunState, now: float) -> Effects:
    """See whether a budget is used up; say so once, and have every task looked at."""
    if run.spent or run.closed:
        return
    run.spent = exceeded(limits, run.cost)
    if run.spent:
        run.spent_at = now
        run.agenda.mark_all()
        yield TellCoordinator(event=BudgetSpent(run=run.id, reason=run.spent))


def stops(run: RunState, state: TaskState, now: float) -> bool:
    """Whether a task is to be closed: it has not begun, or has had its time to end."""
    if not run.spent or not state.open:
        return False
    if state.question.shown:  # what its owner is asked about costs nothing more
        return False
    begun = state.status in (Status.CLAIMED, Status.PROPOSED)
    return not begun or now >= run.spent_at + FINISH_SECONDS
