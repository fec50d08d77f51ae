"""What every test may rely on."""

import signal


def pytest_configure() -> None:
    """A shell that starts tests in the background has interrupts ignored, and processes inherit
    that; those that tests start and interrupt must not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
