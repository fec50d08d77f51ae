"""What the ledger knows of a task that asks a person. Plain state; the decisions are in
`ledger_questions`."""

from dataclasses import dataclass
from hashlib import sha256

from pockethive.core.canonical import digest, encode
from pockethive.core.fields import Fields
from pockethive.core.task import TaskId

MAX_REMARK = 500  # bytes of what an owner says of an output that he rejects
MAX_REMARKS = 20  # as many as there may be attempts


@dataclass(slots=True)
class Question:
    """Times are seconds of the lease clock.

    `asked`: the output that the owner is asked about now, by digest. `shown`: his device has it.
    `tries`: how often it could not be had. `freed`: the epoch whose holder has let go since.
    `unanswered`: its run ended before he had said anything. `remarks`: why earlier outputs were
    rejected. They stay said; what is about one output begins anew with the next.
    """

    asked: str = ""
    shown: bool = False
    tries: int = 0
    ask_at: float = 0.0
    freed: int = 0
    unanswered: bool = False
    remarks: tuple[str, ...] = ()

    def begin_round(self) -> None:
        """Another output, or none is known to have been asked about."""
        self.asked, self.shown, self.tries = "", False, 0

    @property
    def remarks_sha(self) -> str:
        """What a worker fetches the remarks by; empty where there are none."""
        return sha256(remarks_blob(self.remarks)).hexdigest() if self.remarks else ""


def remarks_blob(remarks: tuple[str, ...]) -> bytes:
    """The blob in which a task's next worker is told why earlier outputs were rejected."""
    return encode({"v": 1, "remarks": list(remarks)})


def read_remarks(data: bytes) -> tuple[str, ...]:
    """What a blob of remarks says. Raises BadEncoding."""
    fields = Fields.read(data, MAX_REMARKS * (2 * MAX_REMARK + 8) + 64, "remarks")
    remarks = fields.texts("remarks", MAX_REMARKS, MAX_REMARK)
    fields.done()
    return remarks


def question_id(task: TaskId, epoch: int, output: str) -> str:
    """What people call the question about one output: 8 hex digits."""
    return digest("question", task.encode(), b"%d" % epoch, output.encode()).hex()[:8]
