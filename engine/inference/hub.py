"""Models on a hub, through its own client in the quantizer's environment (`export/hub_script.py`).

Guards: a name or revision is resolved to a commit first, and weights are those of that commit; a
hub that cannot be reached is said to be just that, and what the client has in its cache will do.
"""

from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import orjson

from pockethive.core.errors import ModelError, RefusedModel
from pockethive.inference.catalogue import ModelSource
from pockethive.inference.survey import survey_folder, weights_in
from pockethive.inference.workshop import Workshop

_CURES: Final = {
    "unknown": "is the name right? OWNER/MODEL, and @REVISION if wanted",
    "gated": "agree to its terms on the hub, and give your token in HF_TOKEN",
    "unreachable": "is the network there? With HF_HUB_OFFLINE=1 only what is in its cache is used",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A source with what its repository says of it. `missing`: bytes of weights to be fetched."""

    source: ModelSource
    missing: int


def look(source: ModelSource, workshop: Workshop) -> Seen:
    """Resolve the revision to a commit, read the small files. Raises ModelError, RefusedModel."""
    told = _ask(workshop, "look", source.place, source.revision)
    folder = Path(str(told["folder"]))
    seen = survey_folder(replace(source, revision=str(told["commit"])), folder)
    parameters = weights_in(folder, int(told["weights"]))
    return Seen(source=replace(seen, parameters=parameters), missing=int(told["missing"]))


def fetch(source: ModelSource, workshop: Workshop) -> Path:
    """The folder with all that is needed of a commit; goes on where an earlier try ended.

    Raises ModelError.
    """
    return Path(str(_ask(workshop, "fetch", source.place, source.revision)["folder"]))


def _ask(workshop: Workshop, do: str, place: str, revision: str) -> dict[str, Any]:
    heard: list[str] = []
    with as_file(files(__package__) / "export" / "hub_script.py") as script:
        command = [str(workshop.python), str(script), do, place, revision]
        workshop.run(command, heard.append, f"asking the hub for {place}")
    try:
        told = orjson.loads(heard[-1])
        if not isinstance(told, dict):
            raise TypeError("it is no object")
    except (IndexError, ValueError, TypeError) as error:
        raise ModelError("the hub's client gave no answer", where=str(workshop.log)) from error
    if "fault" not in told:
        return told
    fault = str(told["fault"])
    kind = ModelError if fault == "unreachable" else RefusedModel
    said = {"unknown": "does not have", "gated": "gives only to some"}.get(fault, "did not give")
    raise kind(f"the hub {said} {place}@{revision}: {told.get('what')}", cure=_CURES.get(fault, ""))
