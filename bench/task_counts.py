"""What one process of the hive does while tasks run: counted where it happens, CPU by thread.

`install` wraps what sends, signs, seals and writes; it is for measurements only and has to run
before a device is made. Counting costs some percent of the CPU that it counts beside.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from pockethive import journal as journals
from pockethive.actors import hands
from pockethive.actors.bridge import LoopBridge
from pockethive.actors.letters import Mailbox
from pockethive.dht import cells, identity, store, wire
from pockethive.dht.calls import Calls
from pockethive.dht.fetching import Fetcher
from pockethive.dht.seal import Sealer
from pockethive.dht.transport import SealedTransport

_KINDS = {wire.REQUEST: "", wire.REPLY: "reply", wire.CHALLENGE: "challenge", wire.PROOF: "proof"}

counts: Counter[str] = Counter()
"""Since `install`, by name; a few may be lost where threads count at once."""


def install() -> None:
    """Count from now on."""
    _count(SealedTransport, "_emit", lambda *_: "datagrams sent")
    _count(SealedTransport, "receive", lambda *_: "datagrams received")
    _count(SealedTransport, "send", _message)
    _count(Sealer, "seal", lambda *_: "seals")
    _count(Sealer, "open", lambda *_: "opens")
    _count(identity.Identity, "sign", lambda *_: "signatures made")
    _count(identity, "_verify", lambda *_: "signatures checked")
    _count(Fetcher, "obtain", lambda *_: "blobs fetched")
    _count(LoopBridge, "hand", lambda *_: "handed to the loop")
    _count(Mailbox, "put", lambda *_: "letters between threads")
    _count(Calls, "_expire", lambda *_: "timeouts of calls")
    _effects(hands)
    for owner, name, what in (
        (cells.CellStore, "transaction", "transactions of cells (fsync)"),
        (store.RecordStore, "_writing", "transactions of records"),
    ):
        _around(owner, name, what)
    _around(journals, "transaction", "transactions of the journal")


def taken() -> dict[str, float]:
    """The counts, and milliseconds of CPU of each thread so far as `cpu: name`."""
    cpu: Counter[str] = Counter()
    for thread in threading.enumerate():
        if thread.ident is not None:
            clock = time.pthread_getcpuclockid(thread.ident)
            spent = round(time.clock_gettime(clock) * 1e3)
            cpu[f"cpu: {_kind_of(thread.name)}"] += spent
    return {**counts, **cpu}


def _kind_of(name: str) -> str:
    for known in ("interpreter", "loop", "witness", "MainThread", "idler", "verifier", "asyncio"):
        if known in name:
            return known
    return "others"


def _message(_transport: Any, message: Any) -> str:
    kind = _KINDS[message.kind]
    if kind:
        return f"sent {kind}"
    method, arguments = wire.unpack_request(message.payload)
    if method == "ask" and arguments:
        method = f"ask {arguments[0]}"
        if arguments[0] in ("message", "witness"):
            method += f" {_form(arguments[1])}"
    return f"sent {method}"


def _form(data: bytes) -> str:
    """Which letter or question these bytes are."""
    from pockethive.core.canonical import decode_object

    with contextlib.suppress(Exception):
        read = decode_object(data, len(data))
        found = read.get("say") or read.get("ask") or "?"
        return f"{found} {read.get('state', '')}".strip()
    return "?"


def _count(owner: Any, name: str, what: Callable[..., str]) -> None:
    real = getattr(owner, name)

    def counted(*arguments: Any, **named: Any) -> Any:
        counts[what(*arguments)] += 1
        return real(*arguments, **named)

    setattr(owner, name, counted)


def _around(owner: Any, name: str, what: str) -> None:
    real = getattr(owner, name)

    @contextlib.contextmanager
    def counted(*arguments: Any) -> Iterator[Any]:
        counts[what] += 1
        with real(*arguments) as value:
            yield value

    setattr(owner, name, counted)


def _effects(module: Any) -> None:
    """Effects begun on the loop, by name."""
    real = module.NodeHands._run  # noqa: SLF001 - it is measured

    def run(self: Any, effect: Any, work: Any) -> None:
        counts[f"effect {type(effect).__name__}"] += 1
        real(self, effect, work)

    module.NodeHands._run = run  # noqa: SLF001
