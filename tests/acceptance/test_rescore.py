"""Three device processes with the default model: one writes a text, another one reads it again."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.village import TEXTS, Village

pytestmark = [pytest.mark.processes, pytest.mark.model]

TEAM = """
team: digest
model: smollm2-135m-instruct
roles: {writer: {skill: summarize, verify: rescore}}
planner:
  steps:
    digest: {role: writer, params: {about: "{goal}", text: "%s", words: 10}}
limits: {timeout: 3m, lease: 60s}
"""


def test_a_text_that_the_model_wrote_is_read_again_on_another_device(
    village: Village, model_folder: Path, tmp_path: Path
) -> None:
    village = replace(village, folders=village.folders[:2])  # and the owner's own device
    (village.home / "models").mkdir(parents=True)
    (village.home / "models" / model_folder.name).symlink_to(model_folder)
    village.team.write_text(TEAM % " ".join(TEXTS["harbour"].split()))
    receipt = tmp_path / "receipt"
    done = village.run(
        "the harbour", "--json", "--devices=2", "--receipts", str(receipt), timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    (task,) = result["tasks"]
    assert len(result["devices"]) == 3
    assert result["answer"]
    (seen,) = task["verdicts"]
    assert (seen["verdict"], task["attempts"]) == ("accept", 1)
    assert seen["device"] != task["device"]
    assert "tokens read again: as this model writes them" in seen["reason"]
    told = subprocess.run(
        village.command("verify-receipt", str(receipt))[:-2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "with these checks: rescore.summarize" in told.stdout
    assert "which wrote it: token by token what that model writes of this task" in told.stdout
    assert "that what it says is true, or good" in told.stdout
