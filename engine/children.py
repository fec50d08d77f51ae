"""Device processes that a swarm starts beside itself, and their end.

A child is `pockethive node` that follows its parent: it ends when its standard input closes, so
that nothing is left running however the parent ends. It says on one line of standard output when
it is ready, and its log goes to `device.log` in its folder.
"""

import asyncio
import contextlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pockethive.core.errors import Failure
from pockethive.dht.contact import Contact

READY_SECONDS = 60.0
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What one device process is told. `hive` names an open one; None: the home's own."""

    name: str
    folder: Path
    home: Path
    join: tuple[Contact, ...]
    hive: str | None
    documents: tuple[Path, ...]
    model: str
    threads: int


@dataclass(slots=True)
class Child:
    """A running device process."""

    spec: ChildSpec
    process: asyncio.subprocess.Process
    contact: Contact
    device: str
    _log: IO[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def stop(self) -> None:
        """Close its input and wait; kill it when it does not end by itself."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        finally:
            self._log.close()


async def start_child(spec: ChildSpec) -> Child:
    """Start a device process and wait until it is ready.

    Raises:
        Failure: it ended or said nothing in time; the message names its log.
    """
    spec.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = spec.folder / "device.log"
    log = log_path.open("wb")
    try:
        process = await asyncio.create_subprocess_exec(
            *_command(spec),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the parent, which stops its children
        )
    except OSError as error:
        log.close()
        raise Failure(f"device {spec.name} could not be started: {error}") from error
    try:
        ready = await asyncio.wait_for(_ready_line(process), READY_SECONDS)
        return Child(spec, process, Contact.parse(ready["contact"]), ready["device"], log)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        log.close()
        if not isinstance(error, TimeoutError | ValueError | KeyError):
            raise
        raise Failure(
            f"device {spec.name} did not become ready: {_last_line(log_path)}",
            where=str(log_path),
            cure="the log there says more",
        ) from error


def _command(spec: ChildSpec) -> list[str]:
    command = [sys.executable, "-m", "pockethive", "node", "--follow"]
    # `=` because keys and paths may begin with a hyphen
    command += [f"--home={spec.home}", f"--folder={spec.folder}", f"--threads={spec.threads}"]
    if spec.hive is not None:
        command += [f"--hive={spec.hive}"]
    if spec.model:
        command += [f"--model={spec.model}"]
    command += [f"--join={contact}" for contact in spec.join]
    command += [f"--documents={path}" for path in spec.documents]
    return command


async def start_all(specs: list[ChildSpec]) -> list[Child]:
    """Start all or none."""
    started = await asyncio.gather(*(start_child(spec) for spec in specs), return_exceptions=True)
    children = [child for child in started if isinstance(child, Child)]
    errors = [error for error in started if isinstance(error, BaseException)]
    if errors:
        await stop_all(children)
        raise errors[0]
    return children


async def stop_all(children: list[Child]) -> None:
    """Stop all, at the same time."""
    await asyncio.gather(*(child.stop() for child in children))


async def _ready_line(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(line)
            if isinstance(value, dict) and value.get("ready"):
                return value
    raise ValueError("it ended")


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
