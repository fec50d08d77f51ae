"""What holds the session beside other run times: are texts judged, and gaps told, as they are?"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.model_peers.process import Lacking, Process, Runner
from bench.model_peers.prompts import Prompts, fits
from bench.model_peers.rows import logprob
from bench.model_peers.table import medians, tables

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = {"properties": {"a": {}, "b": {}, "c": {}, "d": {}}}
GOOD = {"a": "x" * 24, "b": "plant", "c": False, "d": ["", "y" * 12, "z"]}


def test_a_text_fits_only_if_each_property_is_of_its_kind_and_length() -> None:
    assert fits(json.dumps(GOOD), SCHEMA)
    wrong: list[dict[str, Any]] = [
        {"a": "x" * 25},
        {"b": "stone"},
        {"c": 0},
        {"d": ["", ""]},
        {"d": ["", "", "y" * 13]},
        {"e": 1},
    ]
    assert not any(fits(json.dumps(GOOD | change), SCHEMA) for change in wrong)
    assert not fits(json.dumps(GOOD)[:-1], SCHEMA)


def test_what_a_run_time_has_not_is_told_apart_from_what_it_failed_at() -> None:
    middle = medians({"one": {"prefill512": [3.0, 1.0, 2.0], "json_valid": [1, 1, 0, 0]}})
    assert middle["one"]["json_valid"] == 0.5, "a share, not the middle one"
    del middle["one"]["json_valid"]
    lacks = {"one": {"json": "has it not: no grammars", "score": "failed: out of memory"}}
    speed, rest, why = tables(middle, lacks).split("\n\n")
    assert "| one | 2 | – |" in speed
    assert "failed" in speed
    assert rest.count("has it not") == 4
    assert why.splitlines() == [
        "- one, json: has it not: no grammars",
        "- one, score: failed: out of memory",
    ]


def test_log_probabilities_are_those_of_the_targets_however_large_logits_are() -> None:
    rows = [[1000.0, 1000.0], [0.0, -1000.0]]
    assert logprob(rows, [0, 0]) == pytest.approx(-0.6931, abs=1e-4)


def test_a_process_that_ends_is_told_as_a_failure_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(Lacking, match="failed: it ended with status 1"):
        Process(Runner("nothing_of_this_name", {}, Path(sys.executable)), tmp_path / "log")


@pytest.mark.model
def test_the_session_answers_by_the_line_as_it_does_when_called(
    model_folder: Path, tmp_path: Path
) -> None:
    prompts = Prompts(model_folder / "tokenizer.json", seed=1)
    given = {"folder": str(model_folder), "threads": 1, "fast": False, "roomy": False}
    with Process(Runner("ours", given, Path(sys.executable)), tmp_path / "log") as process:
        process.ask("load")
        made = process.ask("write", ids=prompts.words(32), count=4)
        assert made["tokens"] <= 4
        assert 0 < made["first"] < made["seconds"]
        prefix, options = prompts.words(8), [prompts.words(2), prompts.words(3)]
        scores = process.ask("score", prefix=prefix, options=options)["logprobs"]
        for option, score in zip(options, scores, strict=True):
            whole = process.ask("logprob", window=prefix + option)["logprob"]
            before = process.ask("logprob", window=prefix)["logprob"]
            assert whole - before == pytest.approx(score, abs=1e-3)
        with pytest.raises(Lacking, match="failed: AttributeError"):
            process.ask("fly")


def test_no_peer_imports_pockethive() -> None:
    for script in (ROOT / "bench" / "model_peers").glob("with_*.py"):
        assert "pockethive" not in script.read_text(encoding="utf-8"), script.name
