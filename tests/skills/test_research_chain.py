"""From a question to an answer with citations, and what the checkers refuse on the way."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pockethive.actors.documents.index import DocumentIndex, Signer
from pockethive.actors.documents.nearness import Nearness
from pockethive.actors.documents.passages import plain
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.actors.skills.research import QUOTE, best_window, proposed, whole
from pockethive.actors.skills.synthesize import NOT_FOUND
from pockethive.core.canonical import to_text
from pockethive.core.errors import SkillFailure

QUESTION = "When does the first ferry leave the harbour?"
ODD = "How many moons circle the planet Jupiter?"


def searches(hive: Any, question: str = QUESTION) -> dict[str, Any]:
    return {f"search-{n}": hive.run("search", n, {}, question=question, limit=2) for n in range(2)}


def chain(hive: Any, question: str = QUESTION) -> tuple[dict[str, Any], Any, Any]:
    found = searches(hive, question)
    ranked = hive.run("rank", 0, found, question=question, keep=3)
    answer = hive.run("synthesize", 0, {"rank": ranked}, question=question)
    return found, ranked, answer


def test_the_answer_quotes_the_right_document_first(hive: Any) -> None:
    found, ranked, answer = chain(hive)
    assert answer["found"]
    assert 0 <= answer["confidence"] == ranked["confidence"] <= 1000
    first = answer["citations"][0]
    assert (first["number"], first["source"]) == (1, "ferry.txt")
    assert first["device"] == hive.device(0)
    assert "leaves the harbour at seven in the morning" in answer["answer"]
    assert first["quote"] in first["passage"]["text"]
    assert found["search-0"]["searched"] == {"documents": 1, "passages": 2}


def test_every_honest_output_passes_its_checkers(hive: Any) -> None:
    found, ranked, answer = chain(hive)
    for number in range(2):
        work = hive.work("search", number, {}, question=QUESTION, limit=2)
        for checker in ("quotation", "fit"):
            verdict = hive.check(checker, work, found[f"search-{number}"], 1 - number)
            assert verdict.accept, verdict.reason
    work = hive.work("rank", 0, found, question=QUESTION, keep=3)
    assert hive.check("ranking", work, ranked, 1).accept
    work = hive.work("synthesize", 0, {"rank": ranked}, question=QUESTION)
    assert hive.check("citations", work, answer, 1).accept


def test_what_no_document_knows_is_not_found(hive: Any) -> None:
    found, ranked, answer = chain(hive, ODD)
    assert [found[name]["findings"] for name in sorted(found)] == [[], []]
    assert ranked == {"candidates": [], "confidence": 0, "question": ODD}
    assert answer == {"answer": NOT_FOUND, "found": False, "citations": [], "confidence": 0}
    work = hive.work("search", 0, {}, question=ODD)
    verdict = hive.check("quotation", work, found["search-0"], 1)
    assert verdict.accept
    assert "form only" in verdict.reason
    work = hive.work("synthesize", 0, {"rank": ranked}, question=ODD)
    assert hive.check("citations", work, answer, 1).accept


def test_a_finding_that_stands_nowhere_is_left_out_whoever_accepted_it(hive: Any) -> None:
    found, ranked, answer = chain(hive)
    forged = copy.deepcopy(found)
    for finding in forged["search-0"]["findings"]:
        finding["quote"] = finding["passage"]["text"] = "The first ferry leaves at noon."
        finding["start"] = 0
    work = hive.run("rank", 1, forged, question=QUESTION, keep=3)
    assert hive.device(0) not in [each["finding"]["device"] for each in work["candidates"]]
    lying = copy.deepcopy(ranked)
    lying["candidates"][0]["finding"]["passage"]["text"] += " And it leaves at noon."
    said = hive.run("synthesize", 1, {"rank": lying}, question=QUESTION)
    assert answer["citations"][0]["quote"] not in said["answer"]


def test_an_output_counts_for_one_device_whatever_keys_it_is_signed_with(hive: Any) -> None:
    found = searches(hive, "When does the ferry leave for the market on the island?")
    mine, others = (found[f"search-{n}"]["findings"] for n in range(2))
    assert mine
    assert others
    both = {**found["search-0"], "findings": [*mine, *others]}
    ranked = hive.run("rank", 1, {"search-0": both}, question=QUESTION, keep=9)
    assert {each["finding"]["device"] for each in ranked["candidates"]} == {hive.device(0)}


@pytest.mark.parametrize(
    "odd",
    [
        *(None, 5, "findings", ["findings"], {}, {"findings": 1}, {"question": 1}),
        {"findings": [{"device": 1}], "searched": {"documents": 1, "passages": 1}},
        {"candidates": [{"finding": {}, "score": 1}], "confidence": 1, "question": QUESTION},
    ],
    ids=repr,
)
def test_nonsense_that_somebody_accepted_stops_nobody(hive: Any, odd: Any) -> None:
    found, ranked, answer = chain(hive)
    assert hive.run("rank", 0, {**found, "odd": odd}, question=QUESTION, keep=3) == ranked
    assert hive.run("synthesize", 0, {"rank": ranked, "z": odd}, question=QUESTION) == answer


def test_scores_are_those_of_the_model_and_no_candidate_counts_twice(hive: Any) -> None:
    found, ranked, answer = chain(hive)
    work = hive.work("rank", 0, found, question=QUESTION, keep=3)
    praised = copy.deepcopy(ranked)
    praised["candidates"][0]["score"] += 10_000
    assert not hive.check("ranking", work, praised, 1).accept
    many = {**ranked, "candidates": ranked["candidates"][:1] * 4}
    said = hive.run("synthesize", 0, {"rank": ranked, "z": many}, question=QUESTION)
    assert said["citations"] == answer["citations"]
    alone = hive.run("synthesize", 0, {"z": many}, question=QUESTION)
    assert len(alone["citations"]) == 1
    assert not hive.check(
        "fit", hive.work("search", 0, {}, question=QUESTION), ODD_SEARCH, 1
    ).accept


ODD_SEARCH = {"findings": [{}], "searched": {"documents": 1, "passages": 1}}


def test_the_limit_bounds_the_findings(hive: Any) -> None:
    assert (
        len(hive.run("search", 0, {}, question="ferry harbour tickets", limit=1)["findings"]) == 1
    )


class Alike:
    """All texts with one of the words mean alike; `read`: what it was asked."""

    id, width = "alike", 2

    def __init__(self, *words: str) -> None:
        self._words = words
        self.read: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.read += texts
        alike = [any(word in text for word in self._words) for text in texts]
        return [[1.0, 0.0] if each else [0.0, 1.0] for each in alike]


def test_nearness_is_asked_where_the_task_says_so_and_proposes_without_deciding(hive: Any) -> None:
    model = Alike("ferry", "Ferry")
    tools = replace(hive.tools[0], nearness=Nearness(lambda: model))
    asked = hive.work("search", 0, {}, question=QUESTION)
    by_words = SKILLS["search"].run(asked, tools).value
    assert not model.read
    near = SKILLS["search"].run(hive.work("search", 0, {}, question=QUESTION, near=True), tools)
    assert model.read[0] == QUESTION
    assert len(model.read) == 3
    assert near.value == by_words  # both passages were read by the model in either way
    without = replace(tools, nearness=Nearness(lambda: None))
    work = hive.work("search", 0, {}, question=QUESTION, near=True)
    assert SKILLS["search"].run(work, without).value == by_words


def test_where_no_passage_is_near_nothing_is_found_and_the_model_is_not_asked(hive: Any) -> None:
    tools = replace(hive.tools[0], nearness=Nearness(lambda: Alike(QUESTION)))
    work = hive.work("search", 0, {}, question=QUESTION, near=True)
    found = SKILLS["search"].run(work, tools)
    assert (found.value["findings"], found.prompt_tokens) == ([], 0)
    by_words = SKILLS["search"].run(hive.work("search", 0, {}, question=QUESTION), tools)
    assert by_words.value["findings"]


def test_what_is_near_is_read_before_what_shares_more_words(hive: Any) -> None:
    question = "Is honey sold at the ferry, at the market, or by the queen of the harbour?"
    hits = [hit for tools in hive.tools for hit in tools.documents.search(question, 8)]
    texts = [whole(item.hit.passage) for item in proposed(question, hits, None)]
    assert len(texts) > 2
    model = Alike(question, texts[-1])
    near = proposed(question, hits, Nearness(lambda: model))
    assert [whole(item.hit.passage) for item in near].index(texts[-1]) < len(texts) - 1


def test_a_text_without_sentences_is_quoted_in_bounds_between_words(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("Numbers\n=======\n\n" + "seventeen and eighteen " * 60)
    key = Ed25519PrivateKey.generate()
    signer = Signer(device=to_text(key.public_key().public_bytes_raw()), sign=key.sign)
    with DocumentIndex.build([tmp_path], ":memory:", signer) as index:
        (hit, *_) = index.search("seventeen")
        quote = best_window(hit, ("seventeen",)).quote
    assert 200 < len(plain(quote)) <= QUOTE + 150
    assert quote.split()[-1] in {"seventeen", "and", "eighteen"}


def test_a_device_without_documents_or_model_says_so(hive: Any) -> None:
    work = hive.work("search", 0, {}, question=QUESTION)
    bare = replace(hive.tools[0], documents=None, model=None)
    with pytest.raises(SkillFailure, match="no documents"):
        SKILLS["search"].run(work, bare)
    with pytest.raises(SkillFailure, match="needs a model"):
        SKILLS["search"].run(work, replace(hive.tools[0], model=None))
    with pytest.raises(SkillFailure, match="needs a model"):
        SKILLS["rank"].run(work, bare)
    value = hive.run("search", 0, {}, question=QUESTION)
    with pytest.raises(SkillFailure, match="needs a model"):
        CHECKERS["fit"].check(work, value, bare)


def test_a_text_that_two_documents_share_is_cited_once_from_the_smaller(hive: Any) -> None:
    found = searches(hive)
    twin = copy.deepcopy(found["search-0"])
    for finding in twin["findings"]:
        finding.update(source="everything.txt", size=900, device="other", score=10**6)
    ranked = hive.run("rank", 0, {**found, "search-2": twin}, question=QUESTION)
    sources = [item["finding"]["source"] for item in ranked["candidates"]]
    assert "everything.txt" not in sources
    assert sources[0] == "ferry.txt"


def test_a_device_that_praises_itself_does_not_crowd_out_the_others(hive: Any) -> None:
    found = searches(hive)
    for finding in found["search-1"]["findings"]:
        finding["score"] = 10**9
    liar = copy.deepcopy(found["search-1"])
    liar["findings"] = [
        {**finding, "quote": finding["quote"][: 60 + n]}
        for n in range(8)
        for finding in found["search-1"]["findings"][:1]
    ]
    ranked = hive.run("rank", 0, {**found, "search-1": liar}, question=QUESTION)
    assert ranked["candidates"][0]["finding"]["source"] == "ferry.txt"


def test_the_order_does_not_depend_on_the_names_of_the_inputs(hive: Any) -> None:
    found = searches(hive)
    renamed = {"z": found["search-0"], "a": found["search-1"]}
    one = hive.run("rank", 0, found, question=QUESTION)
    assert one == hive.run("rank", 1, renamed, question=QUESTION)


def changed_quote(value: dict[str, Any]) -> None:
    finding = value["findings"][0]
    finding["quote"] = finding["quote"].replace("seven", "eleven")


def given_twice(value: dict[str, Any]) -> None:
    value["findings"] = [value["findings"][0]] * 2


def too_many(value: dict[str, Any]) -> None:
    value["findings"] = value["findings"] * 20


def not_counted(value: dict[str, Any]) -> None:
    value["searched"]["documents"] = "all"


def no_list(value: dict[str, Any]) -> None:
    value["findings"] = {}


def something_more(value: dict[str, Any]) -> None:
    value["praise"] = "the best"


@pytest.mark.parametrize(
    "forge", [changed_quote, given_twice, too_many, not_counted, no_list, something_more]
)
def test_a_forged_search_is_rejected(hive: Any, forge: Callable[[dict[str, Any]], None]) -> None:
    value = hive.run("search", 0, {}, question=QUESTION)
    forge(value)
    work = hive.work("search", 0, {}, question=QUESTION)
    assert not hive.check("quotation", work, value, 1).accept


@pytest.mark.parametrize("value", [None, [], "text", {"findings": [1], "searched": {}}])
@pytest.mark.parametrize("checker", ["quotation", "fit", "ranking", "citations"])
def test_a_misshapen_output_is_rejected_not_crashed_on(hive: Any, checker: str, value: Any) -> None:
    work = hive.work("search", 0, {}, question=QUESTION)
    assert not hive.check(checker, work, value, 1).accept


def test_a_true_quotation_that_answers_another_question_does_not_fit(hive: Any) -> None:
    value = hive.run("search", 1, {}, question="How long does a queen live in a colony of bees?")
    work = hive.work("search", 1, {}, question=QUESTION)
    assert hive.check("quotation", work, value, 0).accept
    assert not hive.check("fit", work, value, 0).accept


def test_two_questions_are_answered_in_parts_and_a_list_shows_every_candidate(hive: Any) -> None:
    other = "How long does a queen of a colony of bees live?"
    inputs = {
        "one": hive.run("rank", 0, searches(hive), question=QUESTION),
        "other": hive.run("rank", 0, searches(hive, other), question=other),
        "third": hive.run("rank", 0, searches(hive, ODD), question=ODD),
    }
    answer = hive.run("synthesize", 0, inputs, question="both")
    parts = answer["answer"].split("\n\n")
    assert [part.split("\n")[0] for part in parts] == [QUESTION, other, ODD]
    assert "up to five years" in parts[1]
    assert parts[2].endswith(NOT_FOUND)
    numbers = [citation["number"] for citation in answer["citations"]]
    assert numbers == list(range(1, len(numbers) + 1))
    work = hive.work("synthesize", 0, inputs, question="both")
    assert hive.check("citations", work, answer, 1).accept

    listed = hive.run("synthesize", 0, {"one": inputs["one"]}, style="list")
    assert all(line.startswith("- ") for line in listed["answer"].splitlines())
    work = hive.work("synthesize", 0, {"one": inputs["one"]}, style="list")
    assert hive.check("citations", work, listed, 1).accept


def reversed_order(value: dict[str, Any]) -> None:
    value["candidates"].reverse()


def one_dropped(value: dict[str, Any]) -> None:
    del value["candidates"][0]


def one_twice(value: dict[str, Any]) -> None:
    value["candidates"][1] = value["candidates"][0]


def one_invented(value: dict[str, Any]) -> None:
    value["candidates"][0]["finding"]["quote"] = "The ferry leaves when it likes."


def surer(value: dict[str, Any]) -> None:
    value["confidence"] = 0 if value["confidence"] > 500 else 1000


def sure_without_measure(value: dict[str, Any]) -> None:
    value["confidence"] = 1001


RANKINGS = [reversed_order, one_dropped, one_twice, one_invented, surer, sure_without_measure]


@pytest.mark.parametrize("forge", RANKINGS)
def test_a_forged_ranking_is_rejected(hive: Any, forge: Callable[[dict[str, Any]], None]) -> None:
    found = searches(hive)
    ranked = hive.run("rank", 0, found, question=QUESTION, keep=3)
    assert len(ranked["candidates"]) > 1
    forge(ranked)
    work = hive.work("rank", 0, found, question=QUESTION, keep=3)
    assert not hive.check("ranking", work, ranked, 1).accept


def added_text(value: dict[str, Any]) -> None:
    value["answer"] += " Trust me."


def other_source(value: dict[str, Any]) -> None:
    value["citations"][0]["source"] = "bees.txt"


def other_number(value: dict[str, Any]) -> None:
    value["citations"][0]["number"] = 2


def nothing_cited(value: dict[str, Any]) -> None:
    value["citations"] = []


def denied(value: dict[str, Any]) -> None:
    value.update(answer=NOT_FOUND, found=False, citations=[])


ANSWERS = [added_text, other_source, other_number, nothing_cited, denied, surer]


@pytest.mark.parametrize("forge", ANSWERS)
def test_a_forged_answer_is_rejected(hive: Any, forge: Callable[[dict[str, Any]], None]) -> None:
    _, ranked, answer = chain(hive)
    forge(answer)
    work = hive.work("synthesize", 0, {"rank": ranked}, question=QUESTION)
    assert not hive.check("citations", work, answer, 1).accept


def test_the_answer_is_made_of_quotations_and_nothing_else(hive: Any) -> None:
    _, _, answer = chain(hive)
    rest = answer["answer"]
    for citation in answer["citations"]:
        rest = rest.replace(f"{plain(citation['quote'])} [{citation['number']}]", "")
    assert set(rest.replace("See also:", "")) <= set("\n- ")
