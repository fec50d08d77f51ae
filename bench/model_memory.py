"""What a process with a model at work holds in memory: `python -m bench.model_memory`.

Prints one JSON object. Each variant runs in a process of its own: imports, loads, reads 1,006
tokens, writes 32, then reads prompts of 16 lengths. At each stage MB by `/proc/self/smaps`:
resident, proportional (pages that others map, too, by their share), private, anonymous (not of a
file), and resident ones by what they belong to. `keys_values` is what of it blocks hold.

Options: `--home`, `--variants` (default int8 int4 int8onnx), `--threads` (default 2). Linux only.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.machine import machine
from pockethive.configs.home import default_home
from pockethive.core.ports import Sampling
from pockethive.inference import DEFAULT_MODEL, find_bundle
from pockethive.inference.catalogue import FOR_ONNX

if TYPE_CHECKING:
    from pockethive.inference.session import Session

_HEAD = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$")
_SUMS = {
    "Rss": "resident",
    "Pss": "proportional",
    "Private_Clean": "private",
    "Private_Dirty": "private",
    "Anonymous": "anonymous",
}
PROMPT = 1006


def main() -> None:
    """Measure each variant in a process of its own and print."""
    options = _options()
    if options.folder:
        print(json.dumps(_work(options.folder, options.threads, options.roomy)))
        return
    report: dict[str, object] = {"machine": machine("openvino", "tokenizers", "numpy")}
    for variant in options.variants:
        folder = find_bundle(DEFAULT_MODEL, variant, options.home)
        if folder is None:
            raise SystemExit(f"no {variant} model in {options.home}: run `pockethive models get`")
        for mode in ("",) if variant in FOR_ONNX else ("", "--roomy"):
            command = [sys.executable, "-m", "bench.model_memory", "--folder", str(folder)]
            command += ["--threads", str(options.threads), *([mode] if mode else [])]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            report[f"{variant} {mode[2:] or 'lean'}"] = json.loads(done.stdout)
    print(json.dumps(report, indent=1))


def _work(folder: Path, threads: int, roomy: bool) -> dict[str, object]:
    from pockethive.inference.bundle import open_bundle
    from pockethive.inference.session import Session

    stages: dict[str, object] = {"imported": _memory()}
    session = Session(open_bundle(folder), threads=threads, roomy=roomy)
    stages["loaded"] = _memory()
    words = session.tokens.encode(" ".join(f"word{i} and" for i in range(600)))
    session.generate(session.tokens.decode(words[:PROMPT]), Sampling(max_tokens=32))
    stages["read 1006, written 32"] = _memory() | {"keys_values": _kept(session)}
    for start, length in enumerate(range(1, 401, 25), 1):
        session.generate(
            session.tokens.decode(words[start : start + length]), Sampling(max_tokens=2)
        )
    stages["16 lengths more"] = _memory() | {"keys_values": _kept(session)}
    return stages


def _kept(session: "Session") -> float:
    return round(session.blocks.used * session.block_bytes / (1 << 20), 1)


def _memory() -> dict[str, object]:
    """MB of this process."""
    sums: dict[str, float] = defaultdict(float)
    owners: dict[str, float] = defaultdict(float)
    owner = ""
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if head := _HEAD.match(line):
            owner = _owner(head.group(1))
            continue
        name, _, value = line.partition(":")
        if name in _SUMS:
            size = int(value.split()[0]) / 1024
            sums[_SUMS[name]] += size
            if name == "Rss":
                owners[owner] += size
    large = {name: round(size, 1) for name, size in sorted(owners.items()) if size > 1}
    return {name: round(size, 1) for name, size in sums.items()} | {"of": large}


def _owner(path: str) -> str:
    if path.endswith((".bin", ".onnx.data")):
        return "weights file"
    if ".so" in path:
        ours = "/openvino/" in path or "/onnxruntime/" in path
        return "code of the run time" if ours else "other code"
    return path if path in ("[heap]", "[stack]") else "other files" if path[:1] == "/" else "mapped"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="memory of a local model at work, as JSON")
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--variants", nargs="+", default=["int8", "int4", "int8onnx"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--roomy", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
