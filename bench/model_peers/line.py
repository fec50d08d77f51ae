"""How a run time is asked: a line of JSON in, a line of JSON out.

In: `{"do": method, "with": {arguments}}`. Out: what the method returned, or `{"lacks": why}` where
the run time has no such thing, or `{"failed": error}`. The first line out tells what importing it
took. Guards: what libraries print on stdout never mixes with answers. Standard library only.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

_BEGAN = time.perf_counter()  # before anything but the standard library is imported


class Lacks(Exception):
    """The run time has no such thing; the text says what it has instead, if anything."""


class Peer(Protocol):
    """One run time with the model. Token ids in; seconds by the wall out.

    Nothing may be known of an earlier prompt, but in `again`.
    """

    def load(self) -> None:
        """Have the model ready to read."""

    def write(self, ids: list[int], count: int) -> dict[str, float]:
        """Read `ids` and write `count` tokens, greedily. `first`: until the first of them is
        there; `rest`: the others; `tokens`: how many there are."""

    def together(self, prompts: list[list[int]], count: int) -> dict[str, float]:
        """Read all prompts and write `count` tokens after each: `seconds` and `tokens` in all."""

    def score(self, prefix: list[int], options: list[list[int]]) -> dict[str, Any]:
        """`seconds` for `logprobs`: of each option after the prefix, summed, natural."""

    def again(self, prefix: list[int], suffix: list[int]) -> dict[str, float]:
        """`first`: seconds until the first token after `prefix + suffix`; `prefix` was read."""

    def constrain(self, ids: list[int], schema: dict[str, Any], most: int) -> dict[str, Any]:
        """`seconds` for a `text` of at most so many tokens that fits a schema never seen."""

    def logprob(self, window: list[int]) -> dict[str, float]:
        """`logprob`: of the window's tokens after its first one, summed, natural."""


def serve(make: Callable[[dict[str, Any]], Peer]) -> None:
    """Obey until stdin ends. `argv[1]`: JSON for `make`, which imports the run time."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer = make(json.loads(sys.argv[1]))
    answers.write(json.dumps({"seconds": time.perf_counter() - _BEGAN, **_memory()}) + "\n")
    for line in sys.stdin:
        order = json.loads(line)
        answers.write(json.dumps(_obeyed(peer, order["do"], order["with"])) + "\n")


def _obeyed(peer: Peer, what: str, given: dict[str, Any]) -> dict[str, Any]:
    if what == "memory":
        return _memory()
    began, spent = time.perf_counter(), time.process_time()
    try:
        made: dict[str, Any] = getattr(peer, what)(**given) or {}
    except Lacks as lack:
        return {"lacks": str(lack)}
    except Exception as error:  # noqa: BLE001  # a run time raises what it likes: it is reported
        said = " ".join(str(error).split())
        return {"failed": f"{type(error).__name__}: {said}"[:200]}
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - spent}
    return took | made


def _memory() -> dict[str, float]:
    """MB of this process: resident, and what of it belongs to no file."""
    found = {}
    names = {"VmRSS": "resident", "RssAnon": "anonymous"}
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name in names:
            found[names[name]] = round(int(value.split()[0]) / 1024, 1)
    return found
