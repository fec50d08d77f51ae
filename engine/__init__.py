"""PocketHive: the devices people own as one agent swarm with no server.

    from pockethive import Swarm

This face is lazy (PEP 562): importing it loads neither the network nor a model runtime.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pockethive.core.errors import PocketHiveError as PocketHiveError
    from pockethive.core.report import Happening as Happening
    from pockethive.result import Citation as Citation
    from pockethive.result import Result as Result
    from pockethive.swarm import Swarm as Swarm
    from pockethive.swarm import SwarmOptions as SwarmOptions

__version__ = "0.1.0"
__all__ = ["Citation", "Happening", "PocketHiveError", "Result", "Swarm", "SwarmOptions"]

_HOME = {
    "Citation": "pockethive.result",
    "Happening": "pockethive.core.report",
    "PocketHiveError": "pockethive.core.errors",
    "Result": "pockethive.result",
    "Swarm": "pockethive.swarm",
    "SwarmOptions": "pockethive.swarm",
}

# A library says nothing on standard error unless the service that embeds it configures logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pockethive' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
