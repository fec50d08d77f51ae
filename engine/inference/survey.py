"""Looking at a source of weights before anything large is fetched or made.

What it says of its licence, which revision it is, how many weights it has, and whether its kind can
be exported. Guards: what can be refused by looking is refused by looking.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from pockethive.core.errors import RefusedModel
from pockethive.inference.bundle_files import file_sha256
from pockethive.inference.catalogue import ModelSource
from pockethive.inference.gguf import read_gguf
from pockethive.inference.licences import licence_of_folder

CONFIG: Final = "config.json"
_MOST_CONFIG: Final = 1 << 20
_WRITES: Final = ("ForCausalLM", "LMHeadModel")
_WEIGHTS: Final = (".safetensors", ".bin")
_FLOAT: Final = {"float32": 4, "float64": 8}  # bytes of a weight in the file; others have two


def surveyed(source: ModelSource) -> ModelSource:
    """The source with what it says of itself. Not for one on a hub. Raises RefusedModel."""
    if source.kind == "gguf":
        path = Path(source.place)
        header = read_gguf(path)
        return replace(
            source,
            licence=header.licence,
            parameters=header.parameters,
            revision=file_sha256(path),
        )
    if source.kind == "folder":
        return replace(survey_folder(source, Path(source.place)), revision="")
    return source


def survey_folder(source: ModelSource, folder: Path) -> ModelSource:
    """What a folder in transformers' format says. Raises RefusedModel: no model that writes."""
    config = _config(folder)
    kinds = config.get("architectures")
    names = [str(kind)[:60] for kind in kinds] if isinstance(kinds, list) else []
    if not any(name.endswith(_WRITES) for name in names):
        raise RefusedModel(
            f"a model of the kind {', '.join(names) or 'unknown'}, which writes no text",
            where=str(folder),
            cure="take one whose config.json names an architecture that ends in ForCausalLM",
        )
    size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in _WEIGHTS)
    parameters = weights_in(folder, size)
    return replace(source, licence=licence_of_folder(folder), parameters=parameters)


def weights_in(folder: Path, size: int) -> int:
    """How many weights `size` bytes of the model in a folder are, as its config.json has them."""
    config = _config(folder)
    return size // _FLOAT.get(str(config.get("dtype", config.get("torch_dtype"))), 2)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        with path.open("rb") as stream:
            config = orjson.loads(stream.read(_MOST_CONFIG))
        if not isinstance(config, dict):
            raise TypeError("it is no object")
        return config
    except (OSError, ValueError, TypeError) as error:
        raise RefusedModel(
            f"it cannot be read: {error}", where=str(path), cure="take the folder as it was saved"
        ) from error
