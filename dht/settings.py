"""Settings of a node. Time and randomness come in here, so that a simulation can own both."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pockethive.dht.carrier import BlobCarrier
from pockethive.dht.identity import Identity
from pockethive.dht.limits import Limits
from pockethive.dht.tls import TlsCarrier


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """How a node listens, stores and searches.

    Attributes:
        listen: host and port for UDP and TCP; port 0 takes any free one. Loopback unless asked.
        advertise: the host that others should dial, where it is not the one listened on.
        home: folder for records, cells and blobs; None keeps everything in memory.
        k: how many nodes hold a record. alpha: how many are asked at a time.
        budget: seconds that one lookup may take.
        upkeep: seconds between rounds of upkeep. republish: a record nobody stored for so many
            seconds is stored again.
        max_records, max_bytes: bounds of the record store. blob_bytes: bound of the blob store.
        admit: who may use this node, by public key; None admits everybody (an open hive).
        open_methods: what others may ask too, such as joining.
        puzzle_bits: work that a node id must show (`puzzle.py`); others are ignored.
        client: True keeps this node out of all tables, False says that it can be dialled; None
            lets peers try.
        limits: what the datagrams of others may cost.
        carrier: makes the way blobs travel.
        clock: wall time, unix seconds. randbytes: random bytes.
    """

    listen: tuple[str, int] = ("127.0.0.1", 0)
    advertise: str | None = None
    home: Path | None = None
    k: int = 8
    alpha: int = 3
    budget: float = 5.0
    upkeep: float = 600.0
    republish: float = 3600.0
    max_records: int = 100_000
    max_bytes: int = 128 * 2**20
    blob_bytes: int = 2 * 2**30
    admit: Callable[[bytes], bool] | None = None
    open_methods: frozenset[str] = frozenset()
    puzzle_bits: int = 0
    client: bool | None = None
    limits: Limits = field(default_factory=Limits)
    carrier: Callable[[Identity], BlobCarrier] = TlsCarrier
    clock: Callable[[], float] = time.time
    randbytes: Callable[[int], bytes] = os.urandom
