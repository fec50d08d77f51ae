"""Running a command of a proof and printing what came of it."""

import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
STRAY = ("Traceback", "Warning:", "warning:")


def run(
    *command: str,
    env: dict[str, str] | None = None,
    cwd: Path = ROOT,
    seconds: float | None = None,
) -> str:
    """Run a command, for so many seconds at most; its output must hold nothing stray."""
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=seconds
    )
    print(f"$ {' '.join(command)}   [{time.perf_counter() - began:.1f} s, exit {done.returncode}]")
    output = done.stdout + done.stderr
    if done.returncode or any(mark in output for mark in STRAY):
        what = command[2] if command[1] == "-m" else Path(command[0]).name
        whole = ROOT / "build" / f"failed-{what}-{int(time.time())}.log"
        whole.write_text(output)
        raise AssertionError(f"{output[:1500]} […] {output[-1500:]} (all of it: {whole})")
    return output
