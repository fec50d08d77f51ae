"""The whole job in one call: a fair chance, which ends where what is written can't be right."""

from dataclasses import dataclass, field

import pytest

from bench.swarm.whole import tried
from pockethive.core.ports import Generation, Sampling
from pockethive.trials.families import family

SEED = 1_000_005


@dataclass(slots=True)
class Writer:
    """Writes one text, a character a token, wherever it is asked to go on."""

    text: str
    asked: list[int] = field(default_factory=list)

    def count(self, text: str) -> int:
        return len(text)

    def generate(self, prompt: str, sampling: Sampling) -> Generation:
        start = sum(self.asked)
        self.asked.append(sampling.max_tokens)
        piece = self.text[start : start + sampling.max_tokens]
        return Generation(
            text=piece, prompt_tokens=len(prompt), generated_tokens=len(piece), finish="length"
        )


@pytest.mark.parametrize(
    ("before", "after", "right"),
    [(" ", "", True), ("\n", ".\nNext job", True), (" It is ", "", False), (" ", "0", False)],
)
def test_the_answer_alone_counts_and_not_what_follows_its_line(
    before: str, after: str, right: bool
) -> None:
    kind = family("hanoi-by-counting")
    truth = kind.truth(kind.job(SEED, 4))
    made = tried(Writer(f"{before}{truth}{after}"), kind, SEED, 4)
    assert made["right"] is right


def test_what_is_wrong_is_not_written_to_its_end() -> None:
    kind, writer = family("hanoi-by-counting"), Writer(" left-left" * 100)
    assert not tried(writer, kind, SEED, 6)["right"]
    assert len(writer.asked) == 1


def test_a_job_longer_than_the_model_reads_is_not_begun() -> None:
    kind, writer = family("tally"), Writer("7")
    made = tried(writer, kind, SEED, 400)
    assert not made["right"]
    assert "more than the model reads" in made["why"]
    assert not writer.asked
