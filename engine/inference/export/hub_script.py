"""Asks a model hub with its own client, inside the quantizer's own environment.

Run as `python hub_script.py DO PLACE REVISION`: `look` brings what a repository says of itself,
`fetch` its weights, too. It prints one JSON line on stdout, the last one: `{"folder", "commit",
"weights", "missing"}` (bytes) or `{"fault", "what"}`; all else goes to stderr.

The client's own settings hold: HF_HOME for its cache, HF_HUB_OFFLINE to ask nobody, HF_ENDPOINT.
Imports nothing of PocketHive: that environment has none of it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", HF_HUB_DISABLE_XET="1")

SMALL = ("config.json", "README.md", "LICENSE*", "LICENCE*", "COPYING")
BESIDE = ("*.json", "*.model", "*.txt", "*.jinja", *SMALL)
WEIGHTS = ("*.safetensors", "*.bin")
FAULTS = {
    "LocalEntryNotFoundError": "unreachable",
    "GatedRepoError": "gated",
    "RepositoryNotFoundError": "unknown",
    "RevisionNotFoundError": "unknown",
    "EntryNotFoundError": "unknown",
    "HFValidationError": "unknown",
}


def main(do: str, place: str, revision: str) -> None:
    """Do one thing; every failure of the client is one line that says which kind it is."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        told = look(place, revision) if do == "look" else fetch(place, revision)
    except Exception as error:  # noqa: BLE001  # the client raises what its own clients raise
        kinds = [FAULTS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in FAULTS]
        what = " ".join(str(error).split())[:300] or type(error).__name__
        told = {"fault": kinds[0] if kinds else "unreachable", "what": what}
    lines.write(json.dumps(told) + "\n")
    lines.flush()


def look(place: str, revision: str) -> dict[str, Any]:
    """Small files alone, and how large the others are; of a cache that is offline, what it has."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    folder = bring(place, revision, SMALL)
    here = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    sizes = here
    if not HF_HUB_OFFLINE:
        try:
            sizes = sizes_of(place, folder.name)
        except OSError as error:  # not reachable now: the cache has to do
            sys.stderr.write(f"the hub was not asked for sizes: {error}\n")
    wanted = chosen(sizes)
    return {
        "folder": str(folder),
        "commit": folder.name,
        "weights": sum(size for name, size in sizes.items() if name in wanted),
        "missing": sum(size for name, size in sizes.items() if name in wanted and name not in here),
    }


def fetch(place: str, commit: str) -> dict[str, Any]:
    """All that is needed of one commit."""
    folder = bring(place, commit, (*BESIDE, WEIGHTS[0]))
    if not list(folder.glob(WEIGHTS[0])):
        folder = bring(place, commit, (*BESIDE, WEIGHTS[1]))
    return {"folder": str(folder), "commit": folder.name}


def bring(place: str, revision: str, patterns: tuple[str, ...]) -> Path:
    """The snapshot's folder in the client's cache, which is named by the commit."""
    from huggingface_hub import snapshot_download

    found = snapshot_download(
        place, revision=revision, allow_patterns=list(patterns), ignore_patterns=["*/*"]
    )
    return Path(found)


def sizes_of(place: str, commit: str) -> dict[str, int]:
    """Bytes of the files at the root of a commit, as the hub tells."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(place, revision=commit, files_metadata=True)
    return {one.rfilename: one.size or 0 for one in info.siblings or () if "/" not in one.rfilename}


def chosen(names: Any) -> set[str]:
    """The files of weights that would be read: the safe format, where there is one."""
    for pattern in WEIGHTS:
        found = {name for name in names if Path(name).match(pattern)}
        if found:
            return found
    return set()


if __name__ == "__main__":
    main(*sys.argv[1:4])
