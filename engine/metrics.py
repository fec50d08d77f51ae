"""Metrics as text, for Prometheus to read (exposition format 0.0.4). Pure.

Names begin with `pockethive_`; durations are seconds, sizes bytes; what only grows ends in
`_total`. Labels have few values: reason codes, operations, directions; never a device or a key.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pockethive import __version__
from pockethive.core.ports import ModelFacts
from pockethive.dht.tally import BOUNDS, Tally
from pockethive.health import illnesses, obstacles
from pockethive.vitals import Vitals

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. A sample is (suffix of the name, labels, value)."""

    name: str
    kind: str  # gauge, counter or histogram
    about: str
    samples: tuple[tuple[str, Labels, float], ...] = field(default=())


def exposition(vitals: Vitals) -> str:
    """All metrics of a device."""
    return render(families(vitals))


def render(all_families: Iterable[Family]) -> str:
    """The text of families, each with its HELP and TYPE."""
    lines: list[str] = []
    for family in all_families:
        about = family.about.replace("\\", r"\\").replace("\n", r"\n")
        lines += [f"# HELP {family.name} {about}", f"# TYPE {family.name} {family.kind}"]
        for suffix, labels, value in family.samples:
            lines.append(f"{family.name}{suffix}{_labels(labels)} {_number(value)}")
    return "\n".join(lines) + "\n"


def families(vitals: Vitals) -> Iterator[Family]:
    """What is measured, in the order in which people read it."""
    yield from _device(vitals)
    yield from _store(vitals)
    yield from _traffic(vitals)
    yield from _work(vitals)
    yield from _model(vitals)


def _device(vitals: Vitals) -> Iterator[Family]:
    python = ".".join(map(str, sys.version_info[:3]))
    info = {"version": __version__, "python": python}
    yield Family("pockethive_build_info", "gauge", "What runs here.", (("", info, 1),))
    yield _gauge("up", "1 while the node runs and is well, else 0.", not illnesses(vitals))
    yield _gauge("ready", "1 while it can be of use to others, else 0.", not obstacles(vitals))
    yield _gauge("uptime_seconds", "Since the start of this process.", vitals.uptime)
    yield _gauge("loop_lag_seconds", "Longest delay of the loop in the last minute.", vitals.lag)
    yield _gauge("resident_memory_bytes", "Of this process.", vitals.memory)
    yield _counter("cpu_seconds", "Of this process, user and system.", vitals.cpu)
    yield _gauge("disk_free_bytes", "On the disk of the home.", vitals.disk_free)


def _store(vitals: Vitals) -> Iterator[Family]:
    node = vitals.node
    yield _gauge("records", "Records held.", node.records)
    yield _gauge("records_limit", "Records held at most.", node.max_records)
    yield _gauge("record_bytes", "Bytes of the records held.", node.record_bytes)
    yield _gauge("record_bytes_limit", "Bytes of records at most.", node.max_record_bytes)
    yield _gauge("cells", "Cells of the witness.", node.cells)
    yield _gauge("blobs", "Blobs held.", node.blobs)
    yield _gauge("blob_bytes", "Bytes of the blobs held.", node.blob_bytes)
    yield _gauge("blob_bytes_limit", "The quota of blobs.", node.blob_quota)


def _traffic(vitals: Vitals) -> Iterator[Family]:
    node = vitals.node
    yield _gauge("peers", "Peers in the routing table.", node.peers)
    yield _gauge("members", "Devices of the hive known, this one included.", vitals.members)
    ways = {"in": node.received_datagrams, "out": node.sent_datagrams}
    yield _counters("datagrams", "Datagrams.", "direction", ways)
    sizes = {"in": node.received_bytes, "out": node.sent_bytes}
    yield _counters("datagram_bytes", "Bytes of datagrams, sealed.", "direction", sizes)
    yield _counters("drops", "Dropped or gone wrong, by reason code.", "reason", node.drops)
    yield Family(
        "pockethive_operation_seconds",
        "histogram",
        "Durations of what this node asked the network.",
        tuple(s for name, tally in node.operations.items() for s in _buckets(name, tally)),
    )
    failed = {name: tally.failed for name, tally in node.operations.items()}
    yield _counters("operation_failures", "Operations that failed.", "operation", failed)


def _work(vitals: Vitals) -> Iterator[Family]:
    yield _counters("witness_answers", "What the witness said.", "answer", vitals.answers)
    jobs = tuple(("", {"machine": name}, n) for name, n in sorted(vitals.jobs.items()))
    yield Family("pockethive_open_jobs", "gauge", "Tasks and outputs in hand.", jobs)
    yield _gauge("leases", "Leases held.", vitals.leases)
    yield _gauge("lending", "1 while it works for other owners, too.", vitals.lending.open)
    yield _gauge("draining", "1 while it is leaving.", vitals.draining)


def _model(vitals: Vitals) -> Iterator[Family]:
    facts = vitals.model or ModelFacts()
    yield _gauge("model_loaded", "1 while a model is in memory.", vitals.model is not None)
    yield _gauge("model_requests", "Requests that the model has in hand.", facts.under_way)
    yield _gauge("model_cache_bytes", "Keys and values that the model holds.", facts.held)
    yield _gauge("model_cache_bytes_limit", "Keys and values at most.", facts.limit)
    yield _counter("model_tokens", "Tokens through the model since it was loaded.", facts.read)


def _gauge(name: str, about: str, value: float) -> Family:
    return Family(f"pockethive_{name}", "gauge", about, (("", {}, value),))


def _counter(name: str, about: str, value: float) -> Family:
    return Family(f"pockethive_{name}_total", "counter", about, (("", {}, value),))


def _counters(name: str, about: str, label: str, values: Mapping[str, float]) -> Family:
    samples = tuple(("", {label: key}, value) for key, value in sorted(values.items()))
    return Family(f"pockethive_{name}_total", "counter", about, samples)


def _buckets(operation: str, tally: Tally) -> Iterator[tuple[str, Labels, float]]:
    labels, below = {"operation": operation}, 0
    for bound, count in zip((*BOUNDS, float("inf")), tally.buckets, strict=True):
        below += count
        yield "_bucket", {**labels, "le": _number(bound)}, below
    yield "_sum", labels, tally.seconds
    yield "_count", labels, below


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if float(value).is_integer() else repr(round(float(value), 6))
