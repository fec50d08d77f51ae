"""Quick arithmetic: a word's numbers are those it has alone, to the bit, and another process's."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import orjson
import pytest

from pockethive.core.ports import Generation, Sampling
from pockethive.core.rescore import WrittenText, judge
from pockethive.core.spec import QUICK
from pockethive.inference.bundle import open_bundle
from pockethive.inference.kernels import told_class
from pockethive.inference.quality import shipped_text
from pockethive.inference.session import Session

pytestmark = pytest.mark.model

ELSEWHERE = """
import sys
from dataclasses import asdict
from pathlib import Path
import orjson
from pockethive.core.ports import Sampling
from pockethive.inference.bundle import open_bundle
from pockethive.inference.session import Session

session = Session(open_bundle(Path(sys.argv[1])), threads=1, arithmetic="quick", roomy=True)
asked = orjson.loads(sys.stdin.buffer.read())
how = Sampling(max_tokens=asked["most"])
texts = [asdict(session.generate(prompt, how)) for prompt in asked["prompts"]]
sys.stdout.buffer.write(orjson.dumps({"model": session.model_class.id, "texts": texts}))
"""
HOW = Sampling(max_tokens=12)


@pytest.fixture(scope="module")
def quick(model_folder: Path) -> Session:
    return Session(open_bundle(model_folder), threads=2, arithmetic=QUICK)


def prompts(model: Session, count: int) -> list[str]:
    words = shipped_text().split()
    pieces = [" ".join(words[31 * k : 31 * k + 20 + 7 * k]) for k in range(count)]
    return [model.chat("", f"{piece}\n\nSummarize it in a sentence.") for piece in pieces]


def alone(model: Session, prompt: str) -> Generation:
    """With nothing known and nobody beside it."""
    model.blocks.forget()
    return model.generate(prompt, HOW)


def test_it_is_a_class_of_its_own_that_is_told_before_it_is_loaded(quick: Session) -> None:
    assert quick.model_class.runtime.split()[2:3] == ["quick"]
    assert len(quick.model_class.runtime.split()[3]) == 8
    assert told_class(quick.bundle, QUICK) == quick.model_class
    assert told_class(quick.bundle).id != quick.model_class.id


def test_eight_texts_together_are_those_of_each_alone_to_the_bit(quick: Session) -> None:
    asked, together = prompts(quick, 8), dict[int, Generation]()

    def ended(place: int, made: Generation, _: BaseException | None) -> None:
        together[place] = made

    quick.blocks.forget()
    for place, prompt in enumerate(asked):
        work = quick.works.generate(prompt, HOW)
        quick.begin(work, partial(ended, place))
    while quick.under_way:
        quick.step()
    for place, prompt in enumerate(asked):
        assert together[place] == alone(quick, prompt)


@pytest.mark.parametrize("left", [2, 3, 9, 40])
def test_a_prompt_read_in_two_is_one_read_at_once(quick: Session, left: int) -> None:
    prompt = shipped_text()[:900]
    ids = quick.tokens.encode(prompt)
    at_once = alone(quick, prompt)
    quick.blocks.forget()
    quick.generate(quick.tokens.decode(ids[:-left]), replace(HOW, max_tokens=1))
    assert quick.generate(prompt, HOW) == at_once


def test_a_text_of_another_process_is_accepted(quick: Session) -> None:
    asked = prompts(quick, 4)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(quick.bundle.folder)],
        input=orjson.dumps({"prompts": asked, "most": HOW.max_tokens}),
        capture_output=True,
        check=True,
        timeout=120,
    )
    told = orjson.loads(done.stdout)
    assert told["model"] == quick.model_class.id
    for prompt, raw in zip(asked, told["texts"], strict=True):
        made = Generation(**{**raw, "ids": tuple(raw["ids"])})
        mine = quick.rescore(prompt, made.ids, HOW)
        assert mine.lag == 0.0
        assert judge(WrittenText.of(made, told["model"]), mine) == ""
