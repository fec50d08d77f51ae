"""Every benchmark of the swarm, one after another, then the page: `make bench NAME=all`.

    python -m bench.all [--full] [--seed N]

Each writes its record under `bench/swarm/results/`; docs/benchmarks.md is made of all of them.
"""

import subprocess
import sys
import time

from bench.swarm.record import parser

NAMES = ("shards", "shards --cheats", "topics", "steps", "verification", "peers")


def main() -> int:
    """Run all; 1 when one failed, the others go on."""
    options = parser("bench.all", home=False).parse_args()
    given = ["--seed", str(options.seed), *(["--full"] if options.full else [])]
    failed = []
    for name in NAMES:
        began = time.perf_counter()
        command = [sys.executable, "-m", *f"bench.swarm.{name}".split(), *given]
        code = subprocess.run(command, check=False).returncode
        print(f"=== {name}: exit {code}, {time.perf_counter() - began:.0f} s", flush=True)
        failed += [name] if code else []
    subprocess.run([sys.executable, "-m", "bench.swarm.page"], check=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
