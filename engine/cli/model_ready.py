"""Having the model a team wants before its devices start: made once, with progress shown."""

import sys
from pathlib import Path

from pockethive.core.spec import ModelNeed
from pockethive.model_source import SCRIPTED


def ensure_model(need: ModelNeed | None, home: Path, *, quiet: bool) -> None:
    """Make the bundle when it is missing. Raises ModelError or UnknownModel."""
    if need is None or need.name == SCRIPTED:
        return
    from pockethive.inference import find_bundle, get_model

    if find_bundle(need.name, need.quantization, home) is not None:
        return
    from pockethive.cli.models import progress_printer

    if not quiet:
        sys.stderr.write(f"making {need.name} {need.quantization} (once; a few minutes)\n")
    with progress_printer(sys.stderr, quiet=quiet) as progress:
        get_model(need.name, need.quantization, home, progress=progress)
