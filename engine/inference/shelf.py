"""The models of one home: what is there, getting more, removing.

What the command line calls. Nothing here loads a run time for models.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive.core.errors import ModelError, UnknownModel
from pockethive.inference.bundle import (
    CARD,
    Bundle,
    bundle_folder,
    find_bundles,
    open_bundle,
    read_card,
    remove_bundle,
)
from pockethive.inference.bundle_files import file_sha256
from pockethive.inference.catalogue import KNOWN, ModelSource, find_source

if TYPE_CHECKING:
    from pockethive.inference.quantizer import Job
    from pockethive.inference.workshop import Tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of the list. `folder` is None for a known model that is not here yet."""

    name: str
    quantization: str
    licence: str
    source: str
    size: int = 0
    sha256: str = ""
    folder: Path | None = None
    fault: str = ""

    @property
    def title(self) -> str:
        """Name and quantization, and what is wrong with it."""
        return f"{self.name} {self.quantization}" + (
            f" (damaged: {self.fault})" if self.fault else ""
        )


def list_models(home: Path) -> list[Listed]:
    """Bundles under `home`. Damaged ones are told as such."""
    return [_listed(folder) for folder in find_bundles(home)]


def list_missing(home: Path) -> list[Listed]:
    """Known models that have no bundle under `home`."""
    here = {each.name for each in list_models(home)}
    missing = [source for source in KNOWN.values() if source.name not in here]
    return [
        Listed(name=m.name, quantization="int8", licence=m.licence, source=m.described)
        for m in missing
    ]


def find_bundle(name: str, quantization: str, home: Path) -> Path | None:
    """The bundle folder that `name` means, its own path or a model's place under `home`, if it is
    there. Raises UnknownModel when nobody knows the name.
    """
    if (Path(name) / CARD).is_file():
        return Path(name)
    folder = bundle_folder(home, name, quantization)
    if not (folder / CARD).is_file():
        folder = bundle_folder(home, find_source(name).name, quantization)
    return folder if (folder / CARD).is_file() else None


def get_model(
    name: str,
    quantization: str,
    home: Path,
    *,
    progress: "Tell",
    torch_index: str | None = None,
) -> Bundle:
    """The bundle of a model, as `get` has it. Raises UnknownModel, RefusedModel, ModelError."""
    from pockethive.inference.quantizer import Job  # only finding one needs none of it

    return get(Job(find_source(name), home, quantization, torch_index), progress)


def get(job: "Job", progress: "Tell") -> Bundle:
    """The bundle of a job, every file hashed; made when it is missing, damaged, or of another GGUF
    file with the same name. Raises RefusedModel, ModelError.
    """
    from pockethive.inference.quantizer import quantize

    if (job.target / CARD).is_file():
        try:
            bundle = open_bundle(job.target, full=True)
        except ModelError:
            remove_bundle(job.target)
        else:
            if _is_of(bundle, job.source):
                return bundle
    return quantize(job, progress)


def _is_of(bundle: Bundle, source: ModelSource) -> bool:
    """Whether a bundle was made of this source; only of a file can that be told by looking."""
    if source.kind != "gguf":
        return True
    return bundle.card.revision == file_sha256(Path(source.place))


def remove(name: str, home: Path, quantization: str | None = None) -> int:
    """Delete the bundles of a model under `home`; returns the bytes freed. Raises UnknownModel."""
    folders = {folder: _name(folder) for folder in find_bundles(home)}
    chosen = [
        folder
        for folder, found in folders.items()
        if found == name and quantization in (None, folder.name.rpartition("-")[2])
    ]
    if not chosen:
        import difflib

        near = difflib.get_close_matches(name, sorted(set(folders.values())), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else "see `pockethive models list`"
        raise UnknownModel(f"no bundle of {name!r} here", where=str(home / "models"), cure=hint)
    return sum(remove_bundle(folder) for folder in chosen)


def remove_tools(home: Path) -> int:
    """Delete the environment that makes models, with its downloads; returns the bytes freed."""
    tools = home / "tools"
    freed = sum(path.lstat().st_size for path in tools.rglob("*") if path.is_file())
    shutil.rmtree(tools, ignore_errors=True)
    return freed


def _name(folder: Path) -> str:
    """The name on the card, or what the folder's name tells when the card cannot be read."""
    try:
        return read_card(folder).name
    except ModelError:
        return folder.name.rpartition("-")[0]


def _listed(folder: Path) -> Listed:
    try:
        card = read_card(folder)
    except ModelError as error:
        name, _, quantization = folder.name.rpartition("-")
        return Listed(
            name=name,
            quantization=quantization,
            licence="unknown",
            source="unknown",
            folder=folder,
            fault=error.what,
        )
    return Listed(
        name=card.name,
        quantization=card.quantization,
        licence=card.licence,
        source=card.source,
        size=Bundle(folder, card).size,
        sha256=card.sha256,
        folder=folder,
    )
