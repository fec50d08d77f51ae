"""A device alone does not write letters to itself, and what it did can be proven all the same."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

from bench.tasks import Nothing, team
from pockethive.actors.skill import Product, Tools, Work
from pockethive.core.fold import fold
from pockethive.core.report import Happening
from pockethive.core.task import TaskId, task_key
from pockethive.device import Device, DeviceSettings
from pockethive.dht.identity import verify
from pockethive.journal import FILE, RunJournal
from pockethive.receipt import verify_receipt

LENGTH = 12
KILLED = dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from bench.tasks import Nothing, team
    from pockethive.device import Device
    from tests.engine.test_local_runs import LENGTH, Noted, settings

    class Mortal(Noted):
        def run(self, work, tools):
            product = super().run(work, tools)
            if work.name == "t6":
                os.kill(os.getpid(), signal.SIGKILL)
            return product

    home = Path(sys.argv[1])
    device = Device(settings(home, skills={"nothing": Mortal(home)}), team("chain", LENGTH))
    device.start()
    device.submit("nothing").result(60)
    """
)


class Noted(Nothing):
    """A skill that writes down what it worked on, and returns what it had read."""

    def __init__(self, home: Path) -> None:
        self.path = home / "worked"

    def run(self, work: Work, tools: Tools) -> Product:
        with self.path.open("a") as file:
            file.write(f"{work.name}\n")
        return Product(value={"name": work.name, "read": sorted(work.inputs)})


def settings(home: Path, **changes: Any) -> DeviceSettings:
    parts: dict[str, Any] = {
        "home": home,
        "folder": home / "device",
        "skills": {"nothing": Noted(home)},
        "checkers": {},
        "recipe": b"{}",
    }
    return DeviceSettings(**{**parts, **changes})


def test_a_receipt_of_unsigned_work_verifies_and_its_entries_stand_afterwards(
    tmp_path: Path,
) -> None:
    seen: list[Happening] = []
    device = Device(settings(tmp_path), team("chain", LENGTH))
    device.start()
    try:
        device.subscribe(seen.append)
        result = device.submit("nothing").result(60)
        verified = verify_receipt(result.receipts.encode())
        assert [proof.name for proof in verified.proofs] == [f"t{n}" for n in range(LENGTH)]
        assert all(proof.acks == {device.id} for proof in verified.proofs)
        assert verified.answered_by(result.outputs[0]).name == f"t{LENGTH - 1}"
        assert device.parts.rules.answers.total() == 0, "no witness was asked"
        assert {"claimed", "made", "committed"} <= {happening.what for happening in seen}
        device.call(device.parts.release.settled())
        for task in result.tasks:
            records = device.call(device.parts.node.get(task_key(TaskId(task.id))))
            view = fold(map(device.parts.entries.opened, records), verify)
            assert view is not None
            assert (view.status.value, view.worker) == ("committed", device.id)
    finally:
        device.stop()


def test_killed_in_the_middle_it_goes_on_and_does_nothing_committed_again(tmp_path: Path) -> None:
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], timeout=120, check=False, cwd=Path.cwd()
    )
    assert died.returncode == -9
    journal = RunJournal(tmp_path / "device" / FILE)
    (left,) = (note.run for note in journal.runs() if note.status == "open")
    journal.close()
    device = Device(settings(tmp_path, revives=left), team("chain", LENGTH))
    device.start()
    try:
        result = device.resume(left).result(60)
        assert result.status == "completed"
        assert {task.status for task in result.tasks} == {"committed"}
        assert len(verify_receipt(result.receipts.encode()).proofs) == LENGTH
    finally:
        device.stop()
    worked = (tmp_path / "worked").read_text().split()
    names = [f"t{number}" for number in range(LENGTH)]
    assert worked == [*names[:7], *names[6:]], "only what was in hand is done twice"
