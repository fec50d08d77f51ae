"""A device and what runs beside it, in this process; node processes over loopback."""

import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pockethive.control import Card
from pockethive.device import Device, DeviceSettings
from pockethive.service import NodeService, ServiceSettings


@dataclass(frozen=True)
class Beside:
    """A running device, its service and its card."""

    device: Device
    service: NodeService
    card: Card

    @property
    def folder(self) -> Path:
        return self.device.settings.folder


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    device = Device(DeviceSettings(home=tmp_path / "home", folder=tmp_path / "home" / "node"))
    service = NodeService(device, ServiceSettings(metrics=("127.0.0.1", 0)))
    device.start()
    try:
        yield Beside(device, service, device.call(service.start()))
    finally:
        device.call(service.stop())
        device.stop()


class Processes:
    """`pockethive` commands with homes below one folder; nodes that ended by the end of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[str]] = []

    def run(self, *args: str, home: str = "a") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pockethive", *args, "--home", str(self.folder / home)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def node(self, *args: str, home: str = "a") -> tuple[subprocess.Popen[str], str]:
        """A node that is ready, and its contact."""
        command = [sys.executable, "-m", "pockethive", "node", *args]
        process = subprocess.Popen(
            [*command, "--home", str(self.folder / home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if "--join" in line:
                return process, line.split()[-1]
        assert process.stderr is not None
        raise AssertionError(f"the node did not become ready: {process.stderr.read()}")

    def end(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=20)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.end()


def wait_for_line(process: subprocess.Popen[str], text: str, seconds: float = 20) -> str:
    """The first line on standard error with `text` in it."""
    assert process.stderr is not None
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if select.select([process.stderr], [], [], 0.1)[0]:
            line = process.stderr.readline()
            if text in line:
                return line
    raise AssertionError(f"no line with {text!r}")
