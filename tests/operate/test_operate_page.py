"""The commands on docs/operate.md run as they stand there, one after another, in an empty home."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"

pytestmark = pytest.mark.processes


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_testable_blocks_run_line_by_line(tmp_path: Path) -> None:
    ending = "trap 'kill %1 2>/dev/null || true' EXIT"
    script = "\n".join([ending, *blocks("sh testable")])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eux", "-o", "pipefail", "-m", "-c", script],
        env={**os.environ, "PATH": path, "POCKETHIVE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    assert "The bridge is closed on Monday" in done.stdout
    assert "one node holds the note" in done.stdout
    assert '{"ok": true, "reasons": []}' in done.stdout
    assert '"event": "left"' in done.stderr
    assert "no node runs\n" in done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    (text,) = blocks("ini")
    command = Path(sys.executable).with_name("pockethive")
    assert "/opt/pockethive/bin/pockethive" in text
    unit = tmp_path / "pockethive.service"
    unit.write_text(text.replace("/opt/pockethive/bin/pockethive", str(command)))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_metrics_that_alerts_watch_exist() -> None:
    source = (PAGE.parents[1] / "engine" / "metrics.py").read_text()
    rules = yaml.safe_load(blocks("yaml")[1])["groups"][0]["rules"]
    assert len(rules) == 5
    for name in set(re.findall(r"pockethive_(\w+?)(?:_total)?\b", str(rules))):
        assert f'"{name}"' in source, name
