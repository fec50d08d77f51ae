"""Where the default model lies that benchmarks ask."""

from pathlib import Path

from pockethive.inference import DEFAULT_MODEL, find_bundle


def default_folder(home: Path) -> Path:
    """The folder of its bundle in int8. Ends the program where there is none."""
    folder = find_bundle(DEFAULT_MODEL, "int8", home)
    if folder is None:
        raise SystemExit(f"no model in {home}: run `pockethive models get`")
    return folder
