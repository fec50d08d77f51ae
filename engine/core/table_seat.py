"""The machines of one device at the table, as a real device has them."""

from collections.abc import Callable, Iterator

from pockethive.core.coordinator import Coordinator
from pockethive.core.effects import Effect
from pockethive.core.events import Event
from pockethive.core.keeper import Keeper, KeeperSettings
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.ports import VerifySignature
from pockethive.core.replica import Replica
from pockethive.core.scout import Scout, ScoutSettings
from pockethive.core.table_plan import TablePlan, skills_of
from pockethive.core.task import DeviceId
from pockethive.core.verifier import Verifier, VerifierSettings


class Machine:
    """Names of a machine's timers and asks are its own."""

    def __init__(self, name: str, handle: Callable[[Event, float], tuple[Effect, ...]]) -> None:
        self.name, self.handle = name, handle


def seat(plan: TablePlan, device: DeviceId, verify: VerifySignature) -> Iterator[Machine]:
    """The first devices of the plan own the runs."""
    if device in plan.devices[: plan.owners]:
        settings = LedgerSettings(
            device=device,
            owner_key=plan.owner_key,
            limits=plan.limits,
            certificate=plan.certificates.get(device, ""),
            secret=plan.secret,
            posts=bool(plan.strangers),
        )
        yield Machine("coordinator", Coordinator(device, plan.limits).handle)
        yield Machine("ledger", Ledger(settings, verify).handle)
    scout = ScoutSettings(
        device=device,
        skills=frozenset(skills_of(plan, device)),
        has_model=True,
        concurrency=2,
        seeks=device in plan.strangers,
    )
    yield Machine("scout", Scout(scout, verify).handle)
    yield Machine("replica", Replica(scout, verify).handle)
    yield Machine("keeper", Keeper(KeeperSettings(device=device, owner_key=plan.owner_key)).handle)
    checker = VerifierSettings(
        device=device,
        owner_key=plan.owner_key,
        checkers=frozenset(plan.checkers),
        model=plan.model_of(device),
    )
    yield Machine("verifier", Verifier(checker, verify).handle)
