"""Words of a question tell what kind of answer it wants and whom it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.inference.clues import (
    Kind,
    asked_share,
    is_cut,
    kind_fits,
    name_share,
    named_text,
    subject,
    titled,
    unasked,
    wanted,
    word_share,
)
from pockethive.inference.phrases import phrases

PASSAGE = (
    "Edda Rowe runs the Salt Mill in Corran. It opened in 1874 because the river had moved. "
    "A tour costs 12 euros on Sundays."
)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who runs the mill?", Kind.PERSON),
        ("In which year did it open?", Kind.YEAR),
        ("When is it open?", Kind.TIME),
        ("How much is a tour?", Kind.NUMBER),
        ("Where does it stand?", Kind.PLACE),
        ("Why did it open?", Kind.REASON),
        ("What does it grind?", Kind.UNKNOWN),
    ],
)
def test_a_question_says_what_kind_of_answer_it_wants(question: str, kind: Kind) -> None:
    assert wanted(question) is kind


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (Kind.PERSON, "Edda Rowe", "Corran"),
        (Kind.PERSON, "Edda Rowe", "Rowe"),
        (Kind.YEAR, "1874", "12 euros"),
        (Kind.TIME, "Sundays", "12 euros"),
        (Kind.NUMBER, "12 euros", "1874"),
        (Kind.PLACE, "Corran", "Edda Rowe"),
        (Kind.REASON, "river had moved", "Edda Rowe"),
    ],
)
def test_a_phrase_looks_like_its_kind_or_not(kind: Kind, right: str, wrong: str) -> None:
    def fits(text: str, asked: Kind = kind) -> float:
        start = PASSAGE.index(text)
        return kind_fits(asked, PASSAGE, (start, start + len(text)))

    assert (fits(right), fits(wrong)) == (1, -1)
    assert fits(right, Kind.UNKNOWN) == 0


def test_who_is_asked_about_is_named_and_is_no_answer() -> None:
    question = "Who runs the Salt Mill?"
    assert named_text(question) == "The Salt Mill."
    assert named_text("Who runs it?") == ""
    assert name_share(question, PASSAGE) == 1
    assert name_share(question, "The Salt Works") == 0.5
    found = phrases(PASSAGE, (0, 39))
    kept = {PASSAGE[slice(*each)] for each in unasked(PASSAGE, found, question)}
    assert "Edda Rowe" in kept
    assert not any("Mill" in each for each in kept)


def test_words_are_shared_by_their_stems() -> None:
    assert word_share("Who repaired the bridges?", "The bridge needs repairs.") == 1
    assert word_share("Who sings?", "The bridge needs repairs.") == 0
    assert asked_share("Who repaired the bridge?", "repairs") == 1


def test_a_number_without_what_it_counts_is_cut() -> None:
    start = PASSAGE.index("12")
    assert is_cut(PASSAGE, (start, start + 2)) == 1
    assert is_cut(PASSAGE, (start, start + 8)) == 0


def test_a_text_is_about_what_it_names_most() -> None:
    assert subject("The Salt Mill is old. Ada Brink owns the Salt Mill.") == "Salt Mill"
    said = "The Choir of the Docks has a hall. Rain fell. The Choir of the Docks sings."
    assert subject(said) == "Choir of the Docks"
    assert subject("The Bakers' Mill is old. Who owns the Bakers' Mill?") == "Bakers' Mill"
    assert subject("Nothing is named here, not even once.") == ""


@given(st.text(max_size=80), st.text(alphabet="aB1 .?'-", max_size=80))
def test_any_text_gives_clues_between_minus_one_and_one(question: str, passage: str) -> None:
    kind = wanted(question)
    for each in phrases(passage, (0, len(passage))):
        assert kind_fits(kind, passage, each) in (-1, 0, 1)
        assert 0 <= asked_share(question, passage[slice(*each)]) <= 1
        assert is_cut(passage, each) in (0, 1)
    assert 0 <= name_share(question, passage) <= 1
    assert 0 <= word_share(question, passage) <= 1


def test_a_title_is_what_stands_in_quotation_marks() -> None:
    assert titled('What does the section "Opening hours" say?') == "Opening hours"
    assert titled("What does “Refunds” say?") == "Refunds"
    assert titled("What is five o'clock tea, and who's asking?") == ""
    assert titled('a lone " is no title') == ""
