"""Having the model a team wants before its devices start: made once, with progress shown.

Guards: a time limit holds for the making too; what is finished by then is kept for the next time.
"""

import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from pockethive.core.errors import ModelError, TimeLimit
from pockethive.core.spec import ModelNeed
from pockethive.model_source import SCRIPTED

_RUNTIME = "openvino"
USUAL = "it takes some minutes and 2 GB of disk"


class Until:
    """A time limit that runs since this was made; None is no limit."""

    def __init__(self, seconds: int | None) -> None:
        self.seconds = seconds
        self._end = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> int:
        """Whole seconds that are left, one at least."""
        return max(1, math.ceil(self._end - time.monotonic()))

    @contextmanager
    def kept(self, error: TimeLimit) -> Iterator[None]:
        """Raise `error` in the block when the time is over. On the main thread."""
        if self.seconds is None:
            yield
            return

        def over(_number: int, _frame: FrameType | None) -> None:
            raise error

        before = signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, max(0.001, self._end - time.monotonic()))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def ensure_model(need: ModelNeed | None, home: Path, until: Until, *, quiet: bool) -> bool:
    """Make the bundle when it is missing; True when it was.

    Raises:
        ModelError, UnknownModel: it cannot be made, or could not be run here.
        TimeLimit: it could not be made in time.
    """
    if need is None or need.name == SCRIPTED:
        return False
    from pockethive.inference import find_bundle, get_model
    from pockethive.inference.catalogue import DEFAULT_MODEL, FOR_ONNX

    if find_bundle(need.name, need.quantization, home) is not None:
        return False
    if find_spec("onnxruntime" if need.quantization in FOR_ONNX else _RUNTIME) is None:
        raise ModelError(
            f"the team needs the model {need.name}, and the run time for models is not installed",
            cure="pip install 'pockethive[models]', in a checkout '.[models]'",
        )
    from pockethive.cli.models import progress_printer
    from pockethive.inference.embedding_maker import DEFAULT_ENCODER, get_embedding

    what = f"{need.name} {need.quantization}"
    if not quiet:
        limit = "" if until.seconds is None else f"; it counts towards --timeout {until.seconds}s"
        sys.stderr.write(f"{what} is not here yet and is made first ({USUAL}, once{limit})\n")
    late = TimeLimit(
        f"the time limit of {until.seconds} s passed while the model {what} was being made",
        cure=f"make it without a limit, what is done is kept: pockethive models get "
        f"{need.name} --quantization {need.quantization} --home {home}",
    )
    with until.kept(late), progress_printer(sys.stderr, quiet=quiet) as progress:
        get_model(need.name, need.quantization, home, progress=progress)
        if need.name == DEFAULT_MODEL:
            get_embedding(DEFAULT_ENCODER, home, progress, None)
    return True
