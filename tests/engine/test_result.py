"""Several answers of one run become one text with one numbering."""

from pockethive.core.report import Outcome, RunStatus
from pockethive.core.task import RunId
from pockethive.dht.identity import Identity
from pockethive.receipt import make_receipt
from pockethive.result import Gathered, ModelUsed, Result, make_result


def cited(number: int, quote: str, source: str = "a.txt") -> dict[str, object]:
    return {"number": number, "source": source, "quote": quote, "device": "d"}


def joined(*sinks: dict[str, object]) -> Result:
    outcome = Outcome(
        run=RunId("r"),
        status=RunStatus.COMPLETED,
        reason="",
        missing=(),
        tasks=(),
        sinks=(),
        plan_seconds=0.0,
        seconds=1.0,
    )
    receipts = make_receipt(outcome, Identity.from_seed(bytes(32)), "", (), lambda _: b"")
    gathered = Gathered(
        sinks=sinks, tokens=(0, 0), devices=(), model=ModelUsed(), proof=lambda: receipts
    )
    return make_result(outcome, gathered)


def test_citations_of_two_answers_are_numbered_through() -> None:
    result = joined(
        {
            "answer": "One. [1]\nSee also:\n- Two. [2]",
            "citations": [cited(1, "One."), cited(2, "Two.")],
        },
        {
            "answer": "Three, as in [1] of it. [1]",
            "citations": [cited(1, "Three, as in [1] of it.")],
        },
    )
    assert result.answer == "One. [1]\nSee also:\n- Two. [2]\n\nThree, as in [1] of it. [3]"
    assert [(c.number, c.quote) for c in result.citations] == [
        (1, "One."),
        (2, "Two."),
        (3, "Three, as in [1] of it."),
    ]


def test_a_quotation_has_one_number_and_the_same_answer_stands_once() -> None:
    result = joined(
        {"answer": "One. [1]", "citations": [cited(1, "One.")]},
        {"answer": "One. [1]", "citations": [cited(1, "One.")]},
        {"answer": "Two. [1]\n- One. [2]", "citations": [cited(1, "Two."), cited(2, "One.")]},
    )
    assert result.answer == "One. [1]\n\nTwo. [2]\n- One. [1]"
    assert [(c.number, c.quote) for c in result.citations] == [(1, "One."), (2, "Two.")]


def test_the_same_words_of_another_source_are_another_citation() -> None:
    result = joined(
        {"answer": "One. [1]", "citations": [cited(1, "One.")]},
        {"answer": "One. [1]", "citations": [cited(1, "One.", "b.txt")]},
    )
    assert result.answer == "One. [1]\n\nOne. [2]"
    assert [c.source for c in result.citations] == ["a.txt", "b.txt"]
