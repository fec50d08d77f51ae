"""A node in numbers, at one moment: what metrics, health and people who look after nodes read."""

from collections.abc import Mapping
from dataclasses import dataclass

from pockethive.dht.blobs import BlobStore
from pockethive.dht.server import HiveServer
from pockethive.dht.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """Everything since the start, unless it says otherwise.

    Attributes:
        records, record_bytes: held now, and at most `max_records`, `max_record_bytes`.
        cells: of the witness, now. blobs, blob_bytes: held now; at most `blob_quota` bytes.
        peers: in the routing table now.
        drops: what was dropped or went wrong, by reason code.
        operations: `put`, `get`, `find` with their durations.
    """

    records: int
    record_bytes: int
    max_records: int
    max_record_bytes: int
    cells: int
    blobs: int
    blob_bytes: int
    blob_quota: int
    peers: int
    sent_datagrams: int
    sent_bytes: int
    received_datagrams: int
    received_bytes: int
    drops: Mapping[str, int]
    operations: Mapping[str, Tally]


def facts_of(
    server: HiveServer, blobs: BlobStore, cells: int, operations: Mapping[str, Tally]
) -> NodeFacts:
    """The numbers of a running node. On its loop's thread."""
    storage, settings = server.storage, server.settings
    transport = server.protocol.transport
    count, size = blobs.usage()
    return NodeFacts(
        records=storage.count,
        record_bytes=storage.bytes,
        max_records=settings.max_records,
        max_record_bytes=settings.max_bytes,
        cells=cells,
        blobs=count,
        blob_bytes=size,
        blob_quota=settings.blob_bytes,
        peers=len(server.protocol.router.peers()),
        sent_datagrams=transport.sent_datagrams,
        sent_bytes=transport.sent_bytes,
        received_datagrams=transport.received_datagrams,
        received_bytes=transport.received_bytes,
        drops=dict(server.protocol.counters),
        operations=operations,
    )
