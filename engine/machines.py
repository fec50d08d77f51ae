"""The pure machines of one device, as its settings want them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pockethive.actors.interpreter import Machine
from pockethive.core.keeper import Keeper, KeeperSettings
from pockethive.core.replica import Replica
from pockethive.core.scout import Scout, ScoutSettings
from pockethive.core.spec import Limits
from pockethive.core.task import DeviceId
from pockethive.core.verifier import Verifier, VerifierSettings
from pockethive.dht.identity import verify

if TYPE_CHECKING:
    from pockethive.device import DeviceSettings

WORK_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What a device is there for. `limits`: of the runs it owns; None: it pursues no goals.

    `model`: the class of its model, hex; empty without one. `secret`, `certificate`: of the owner,
    see `LedgerSettings`.
    """

    device: DeviceId
    owner_key: str
    settings: "DeviceSettings"
    model: str
    limits: Limits | None
    secret: bytes
    certificate: str = ""


def machines(duties: Duties) -> dict[str, Machine]:
    """The machines by name. Every device keeps copies of outputs, whatever else it does."""
    device, settings = duties.device, duties.settings
    found: dict[str, Machine] = {}
    if duties.limits is not None:  # loaded where goals are pursued only
        from pockethive.core.coordinator import Coordinator
        from pockethive.core.ledger import Ledger, LedgerSettings

        found["coordinator"] = Coordinator(device, duties.limits)
        found["ledger"] = Ledger(
            LedgerSettings(
                device=device,
                owner_key=duties.owner_key,
                limits=duties.limits,
                secret=duties.secret,
                certificate=duties.certificate,
                posts=True,
                skills=frozenset(settings.skills) if settings.works else frozenset(),
            ),
            verify,
        )
    if settings.works:
        able = ScoutSettings(
            device=device,
            owner_key=None if settings.lends else duties.owner_key,
            skills=frozenset(settings.skills),
            has_model=bool(duties.model),
            concurrency=WORK_AT_ONCE,
            seeks=settings.lends,
            own_key=duties.owner_key,
            gated=settings.gate is not None,
        )
        found["scout"] = Scout(able, verify)
        found["replica"] = Replica(able, verify)
    if settings.verifies:
        found["verifier"] = Verifier(
            VerifierSettings(
                device=device,
                owner_key=duties.owner_key,
                lends=settings.lends,
                gated=settings.gate is not None,
                checkers=frozenset(settings.checkers),
                model=duties.model,
            ),
            verify,
        )
    keeper = KeeperSettings(device=device, owner_key=duties.owner_key, lends=settings.lends)
    found["keeper"] = Keeper(keeper)
    return found
