"""What every test may rely on."""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest
from hypothesis import settings

from pockethive.core.errors import ModelError
from pockethive.inference import DEFAULT_MODEL, find_bundle

if TYPE_CHECKING:
    from pockethive.inference.session import Session

# Containers often forbid bytecode; then each of the processes that tests start would compile the
# whole package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A failure prints what replays it: `@reproduce_failure(…)`. No deadline: the machine may be busy.
# `HYPOTHESIS_PROFILE=prove` looks at ten times as many examples where a test names no number.
settings.register_profile("ci", deadline=None, print_blob=True)
settings.register_profile("prove", max_examples=1_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure() -> None:
    """A shell that starts tests in the background has interrupts ignored, `nohup` the end of the
    terminal, and processes inherit that; those that tests start and signal must not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # still nothing here, the default in children


@pytest.fixture(scope="session")
def model_home() -> Path:
    """Where this machine keeps models."""
    default = platformdirs.user_data_path("pockethive", appauthor=False)
    return Path(os.environ.get("POCKETHIVE_HOME") or default)


@pytest.fixture(scope="session")
def model_folder(model_home: Path) -> Path:
    """The default model's bundle on this machine."""
    home = model_home
    folder = find_bundle(DEFAULT_MODEL, "int8", home)
    if folder is None:
        raise ModelError(f"no bundle in {home}", cure="make it: `pockethive models get`")
    return folder


@pytest.fixture(scope="session")
def model(model_folder: Path) -> "Session":
    """The default model, loaded once for the tests that share it."""
    from pockethive.inference.bundle import open_bundle
    from pockethive.inference.session import Session

    return Session(open_bundle(model_folder), threads=2)
