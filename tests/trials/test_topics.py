"""The questions on topics: they stand in their texts; an answer is marked as a reader would."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.actors.documents.corpus import licence_texts, write_corpus
from pockethive.core.errors import BadInput
from pockethive.topic_asking import Reply, figures, texts_in
from pockethive.trials.topics import (
    SPLITS,
    Part,
    TopicQuestion,
    askable,
    levelled,
    marked,
    of_split,
    parse,
    topic_questions,
)

DATA = Path(__file__).parents[1] / "data"
UNARY = TopicQuestion(
    id="u", split="dev", question="What is ~x?", parts=(Part(('"-(x+1)"',), ("unary.txt",)),)
)
TWO = TopicQuestion(
    id="t",
    split="dev",
    question="What is a dunder, and who is bound?",
    parts=(Part(("dunder",), ("ids.txt", "names.txt")), Part(("the target",), ("with.txt",))),
)
UNKNOWN = TopicQuestion(id="n", split="held", question="Who paid?", parts=())


def row(**changed: Any) -> dict[str, Any]:
    part = {"phrases": ["one"], "sources": ["a.txt"]}
    return {"id": "a", "split": "dev", "question": "What?", "parts": [part], **changed}


def file_of(*rows: Any, form: Any = 1) -> str:
    return json.dumps({"format": form, "questions": rows})


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The documents of this machine."""
    return texts_in(write_corpus(tmp_path_factory.mktemp("corpus"), 1, licences=True))


def test_the_set_is_as_large_and_as_mixed_as_it_is_said_to_be() -> None:
    every = topic_questions()
    known = [each for each in every if each.known]
    assert len(known) >= 60
    assert len(every) - len(known) >= 6
    assert sum(len(each.parts) > 1 for each in known) >= 12
    assert [each.split for each in every] == ["dev", "held"] * 36 + ["dev"] * 80 + ["fresh"] * 40
    assert len({each.id for each in every}) == len(every)
    for split in SPLITS:
        assert sum(not each.known for each in of_split(every, split)) >= 3


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other releases say it otherwise")
def test_every_phrase_stands_in_its_source(texts: dict[str, str]) -> None:
    here = {f"{name}.txt" for name in ("GPL-2", "BSD", "MPL-2.0")} <= texts.keys()
    asked, left = askable(topic_questions(), texts)
    licences = {each.id for each in topic_questions() for part in each.parts if _law(part)}
    assert {each.id for each in left} <= (set() if here else licences), left
    assert len(asked) + len(left) == len(topic_questions())
    for question in asked:
        for part in question.parts:
            for phrase in part.phrases:
                held = [name for name in part.sources if levelled(phrase) in levelled(texts[name])]
                assert held, (question.id, phrase)


def _law(part: Part) -> bool:
    return any(name[0].isupper() for name in part.sources)


def test_no_question_is_one_of_the_other_sets() -> None:
    others = set()
    for path in DATA.glob("language_reference*.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        others |= {_words(each["question"]) for each in told["answerable"]}
        others |= {_words(each) for each in told["unanswerable"]}
    mine = [_words(each.question) for each in topic_questions()]
    assert len(others) > 100
    assert not others.intersection(mine)
    assert len(set(mine)) == len(mine)


def _words(text: str) -> str:
    return " ".join("".join(char if char.isalnum() else " " for char in text.lower()).split())


def test_what_a_machine_lacks_or_says_otherwise_is_left_out_by_name() -> None:
    there = {"ids.txt": "A Dunder  name", "names.txt": "dunder", "with.txt": "bound to\nthe target"}
    asked, left = askable([TWO, UNARY, UNKNOWN], there)
    assert asked == (TWO, UNKNOWN)
    assert [(each.id, each.why) for each in left] == [("u", "unary.txt is not here")]
    _, left = askable([TWO], {**there, "names.txt": "underscored"})
    assert [each.why for each in left] == ["names.txt says it otherwise here"]


def test_licence_texts_are_named_as_they_are_and_links_are_not_read_twice(tmp_path: Path) -> None:
    (tmp_path / "GPL-3").write_text("Free as in speech.")
    (tmp_path / "GPL").symlink_to("GPL-3")
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    common = {name for name in licence_texts(tmp_path) if not name.startswith("Python")}
    assert common == {"GPL-3.txt"}
    assert not {"GPL-3.txt", "BSD.txt"} & licence_texts(tmp_path / "nowhere").keys()


@pytest.mark.parametrize(
    ("answer", "cited", "failure"),
    [
        ("It is -(x+1). [1]", [("unary.txt", 'It is "-(x+1)".')], ""),
        ("It is -(x+1). [1]", [("power.txt", 'It is "-(x+1)".')], "other documents"),
        ("It inverts. [1]", [("power.txt", "x"), ("unary.txt", "It inverts.")], "another passage"),
        ("It inverts. [1]", [("power.txt", "It inverts.")], "other documents"),
    ],
)
def test_an_answer_must_say_it_and_cite_where_it_stands(
    answer: str, cited: list[tuple[str, str]], failure: str
) -> None:
    mark = marked(UNARY, answer, cited, found=True)
    assert (mark.right, mark.failure) == (not failure, failure)
    assert mark.citations == len(cited)


def test_what_is_refused_is_right_only_where_nothing_is_known() -> None:
    assert marked(UNKNOWN, "Not found.", [], found=False).right
    assert marked(UNKNOWN, "You. [1]", [("a.txt", "You.")], found=True).failure.startswith(
        "answered"
    )
    assert marked(UNARY, "Not found.", [], found=False).failure == "refused"


def test_half_an_answer_to_two_questions_is_not_right() -> None:
    half = marked(TWO, "A dunder [1]", [("names.txt", "a dunder"), ("odd.txt", "odd")], found=True)
    assert (half.said, half.cited, half.parts, half.failure) == (1, 1, 2, "one part only")
    assert (half.citations_right, half.citations, half.spans) == (1, 2, 1)
    cited = [("names.txt", "a dunder"), ("with.txt", "the target")]
    assert marked(TWO, "A dunder [1] the target [2]", cited, found=True).right


def test_figures_count_questions_parts_and_citations_apart() -> None:
    half = marked(TWO, "A dunder [1]", [("names.txt", "a dunder"), ("odd.txt", "odd")], found=True)
    none = marked(UNKNOWN, "Not found.", [], found=False)
    found = figures([_reply("t", half), _reply("n", none)])
    assert (found["right"]["right"], found["right"]["of"]) == (0, 1)
    assert (found["recall"]["right"], found["recall"]["of"]) == (1, 2)
    assert (found["precision"]["right"], found["precision"]["of"]) == (1, 2)
    assert (found["not_known"]["right"], found["not_known"]["of"]) == (1, 1)
    assert found["failures"] == {"one part only": 1}


def _reply(name: str, mark: Any) -> Reply:
    return Reply(
        id=name,
        split="dev",
        question="?",
        answer="",
        sources=(),
        mark=mark,
        status="completed",
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "format 1"),
        (file_of(row(), form=2), "format 1"),
        (file_of(), "1 to 1000 questions"),
        (file_of(row(), row()), "used twice: a"),
        (file_of(row(split="test")), r"\[0\].split"),
        (file_of(row(question="")), r"\[0\].question"),
        (file_of(row(question="w" * 301)), r"\[0\].question"),
        (file_of(row(id=7)), r"\[0\].id"),
        (file_of({**row(), "more": 1}), "just these fields"),
        (file_of(row(parts=[{"phrases": ["x"]}])), r"parts\[0\]"),
        (file_of(row(parts=[{"phrases": [], "sources": ["a"]}])), "phrases"),
        (file_of(row(parts=[{"phrases": ["“”"], "sources": ["a"]}])), r"phrases\[0\]"),
        (file_of(row(parts=[row()["parts"][0]] * 4)), "0 to 3 parts"),
        (" " * 1_000_001, "1000000 characters"),
    ],
)
def test_a_bad_file_is_refused_and_says_where(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        parse(text, "some.json")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "split", "question", "parts"]), inner, max_size=4
            )
        ),
        max_leaves=10,
    )
)
def test_whatever_stands_in_a_file_is_read_or_refused(value: Any) -> None:
    with pytest.raises(BadInput):
        parse(file_of(value, row(split="neither")), "some.json")
    with pytest.raises(BadInput):
        parse(json.dumps(value), "some.json")


def test_a_split_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="say dev, held or fresh"):
        of_split(topic_questions(), "test")
