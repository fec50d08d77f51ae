"""What the DHT promises: cost, scale, faults, hostility, blobs, membership, operation."""

import os
import sys

from bench.proofs.running import run


def costs() -> None:
    """A set and a get beside kademlia and hivemind in one run. HIVEMIND_PYTHON names its Python."""
    python = os.environ.get("HIVEMIND_PYTHON")
    print(run(sys.executable, "-m", "bench.dht", *(["--hivemind", python] if python else [])))


def scale() -> None:
    """Hops and messages from 10 to 10,000 simulated nodes, and memory per node."""
    print(run(sys.executable, "-m", "bench.scale"))


def faults() -> None:
    """Dead, stale, lying and churning nodes in simulation; each played twice with one trace."""
    print(run(sys.executable, "-m", "bench.faults"))


def killed_nodes() -> None:
    """Twenty node processes, one killed a second for a minute, 500 records: none lost."""
    print(run(sys.executable, "-m", "bench.killed_nodes"))


def fuzz() -> None:
    """A million hostile inputs and 100,000 on blob connections: no exception but those declared."""
    print(run(sys.executable, "-m", "bench.fuzz"))


def hostile() -> None:
    """30,000 hostile datagrams at a live node: up, small, answering."""
    print(run(sys.executable, "-m", "bench.hostile"))


def blobs() -> None:
    """A blob from one and three holders beside plain TLS in the same run."""
    print(run(sys.executable, "-m", "bench.blobs"))


def footprint() -> None:
    """An idle node of eight: start, memory, CPU, bytes a minute."""
    print(run(sys.executable, "-m", "bench.footprint"))


def soak() -> None:
    """Eight idle devices for two weeks of virtual time: nothing grows."""
    print(run(sys.executable, "-m", "bench.soak"))


def revoked() -> None:
    """A member revoked in mid-run reads nothing published after; its old records verify."""
    print(run(sys.executable, "-m", "pytest", "tests/hive"))


def operating() -> None:
    """docs/operate.md, its shell blocks run one after another."""
    print(run(sys.executable, "-m", "pytest", "tests/operate"))
