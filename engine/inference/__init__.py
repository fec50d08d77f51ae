"""Local models: find one, make it, run it.

    catalogue   names -> sources of weights          shelf      the models of one home
    quantizer   source -> bundle, by Optimum         workshop   the environment Optimum lives in
    bundle      a model on disk, checked             session    a model at work (`open_model`)
    primitives  choose, extract, fill                testing    a stand-in without weights
    answers     the same with a known confidence     evaluation what they are worth

Rule guarded here: importing this package imports no run time for models, and running one imports
neither PyTorch nor transformers. The network is used by `get_model` and `quantize` only.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pockethive.core.errors import ModelError
from pockethive.core.ports import Model
from pockethive.core.spec import EXACT

if TYPE_CHECKING:
    from pockethive.inference.catalogue import DEFAULT_MODEL, QUANTIZATIONS
    from pockethive.inference.shelf import find_bundle, get_model, list_missing, list_models, remove
    from pockethive.inference.workshop import Progress

__all__ = [
    "DEFAULT_MODEL",
    "QUANTIZATIONS",
    "Progress",
    "find_bundle",
    "get_model",
    "list_missing",
    "list_models",
    "open_model",
    "remove",
    "usable_cores",
]

_HOMES = {
    "DEFAULT_MODEL": "catalogue",
    "QUANTIZATIONS": "catalogue",
    "Progress": "workshop",
    "find_bundle": "shelf",
    "get_model": "shelf",
    "list_missing": "shelf",
    "list_models": "shelf",
    "remove": "shelf",
}

CACHE = "cache"
"""The folder of a home that may be deleted at any time: remembered prompts."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def open_model(
    name: str,
    home: Path,
    *,
    quantization: str = "int8",
    arithmetic: str = EXACT,
    threads: int | None = None,
) -> Model:
    """Load a model that is on this device; two seconds and 320 to 430 MB for the default one.

    `name` is a model's name or the path of a bundle; `arithmetic` is one of `ARITHMETICS`;
    `threads` defaults to the cores this process may use. Where memory is plenty, speed is bought
    for some of it (`roomy` of `Session`). The model belongs to one thread at a time.

    Raises ModelError (RefusedModel: before anything of it is loaded) or UnknownModel.
    """
    from pockethive.inference.bundle import open_bundle
    from pockethive.inference.card_check import check_tokens
    from pockethive.inference.footprint import free_memory, has_room
    from pockethive.inference.shelf import find_bundle

    folder = find_bundle(name, quantization, home)
    if folder is None:
        raise ModelError(
            f"the model {name} {quantization} is not on this device yet",
            where=str(home / "models"),
            cure=f"get it: `pockethive models get {name} --quantization {quantization}`",
        )
    bundle = open_bundle(folder)
    check_tokens(folder, bundle.card)
    try:
        from pockethive.inference.session import Session

        return Session(
            bundle,
            threads=threads or usable_cores(),
            cache=home / CACHE,
            arithmetic=arithmetic,
            roomy=has_room(bundle.size, free_memory()),
        )
    except ImportError as error:
        raise ModelError(
            f"the run time for models is not installed: {error.name}",
            cure="pip install 'pockethive[models]'",
        ) from error


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
