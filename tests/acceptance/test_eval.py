"""`pockethive eval topics`: a swarm is asked, and what it answers is marked."""

import json
import subprocess

import pytest

from pockethive.cli.eval import chosen, lines
from pockethive.core.errors import BadInput
from pockethive.topic_asking import figures
from pockethive.trials.topics import LeftOut, topic_questions
from tests.acceptance.village import Village, build_village, processes_naming


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Village:
    return build_village(tmp_path_factory.mktemp("evaluated"))


def evaluated(village: Village, *args: str) -> subprocess.CompletedProcess[str]:
    given = village.command("eval", "topics", "--team", str(village.team), *args)
    return subprocess.run(given, capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.processes
def test_a_question_set_is_asked_of_this_device_and_marked(village: Village) -> None:
    done = evaluated(village, "--limit", "2", "--split", "dev", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first, second = told["rows"]
    assert [first["id"], second["id"]] == [
        each.id for each in topic_questions() if each.split == "dev"
    ][:2]
    assert first["status"] == second["status"] == "completed"
    assert first["mark"]["citations"] == len(first["sources"])
    assert told["right"]["of"] == 2
    assert told["right"]["right"] == first["right"] + second["right"]
    assert done.stderr.count(first["question"]) == 1
    assert processes_naming(str(village.home)) == []


def test_the_lines_name_every_question_that_was_left_out() -> None:
    left = [LeftOut(f"t{n}", "GPL-2.txt is not here") for n in range(30)]
    *_, last = lines("topics", figures([]), [*left, LeftOut("u", "a.txt says it otherwise here")])
    assert last.startswith("left out 31 questions; GPL-2.txt is not here: t0, t1,")
    assert last.endswith("t29; a.txt says it otherwise here: u")


def test_an_evaluation_of_nothing_is_refused(village: Village) -> None:
    assert evaluated(village, "--devices", "0").returncode == 2
    assert evaluated(village, "--limit", "0").returncode == 2
    with pytest.raises(BadInput, match="at least one question"):
        chosen(None, -1)


def test_a_limit_and_a_split_choose_the_first_of_the_half() -> None:
    assert [each.id for each in chosen("held", 2)] == ["t02", "t04"]
    assert len(chosen(None, None)) == len(topic_questions())
