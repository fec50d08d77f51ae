"""Every claim at full size, one after another, with a log to quote from.

    make prove        (or python -m bench.prove [NAME …])

Each proof prints what it did and saw; the last lines say which held.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence

from bench.machine import machine
from bench.proofs import claims, dht, goals, models

PROOFS: dict[str, Callable[[], None]] = {
    proof.__name__: proof
    for proof in (
        goals.layers,
        goals.starting,
        goals.killed_device,
        goals.interrupted,
        goals.plans,
        goals.verifiers,
        goals.questions,
        goals.engine,
        goals.grammar,
        models.logits,
        models.model_soak,
        dht.costs,
        dht.scale,
        dht.faults,
        dht.killed_nodes,
        dht.fuzz,
        dht.hostile,
        dht.blobs,
        dht.footprint,
        dht.soak,
        dht.revoked,
        dht.operating,
        claims.histories,
        claims.killed_devices,
        claims.credit,
        claims.cheats,
        claims.rescored,
        claims.tasks,
        claims.resumed,
        claims.crowd,
        goals.fresh_clone,
    )
}


def main(names: Sequence[str]) -> int:
    """Run the proofs named, or all; 1 when one does not hold."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background shells have it ignored
    print(json.dumps(machine("pykka", "kademlia", "openvino"), indent=1))
    held: dict[str, str] = {}
    for name in names or PROOFS:
        print(f"\n=== {name}: {PROOFS[name].__doc__}", flush=True)
        began = time.perf_counter()
        try:
            PROOFS[name]()
        except Exception as error:  # noqa: BLE001 - the log says which proof failed and why
            held[name] = f"FAILED: {error!r}"[:2000]
        else:
            held[name] = f"held ({time.perf_counter() - began:.0f} s)"
        print(held[name], flush=True)
    print("\n=== summary")
    for name, how in held.items():
        print(f"{name}: {how.splitlines()[0]}")
    return int(any(how.startswith("FAILED") for how in held.values()))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
