"""Sentences, phrases, stop strings and prompt places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadInput
from pockethive.core.forms import fill_places
from pockethive.core.ports import ChoiceForm
from pockethive.inference.answer_forms import answer_forms
from pockethive.inference.finding import flat
from pockethive.inference.phrases import MOST_PHRASES, MOST_WORDS, phrases
from pockethive.inference.spans import sentences
from pockethive.inference.tokens import StopScanner

PASSAGE = (
    "The old mill, e.g. its wheel, was built by Dr. Brown in 1874.  It is closed!\n\n"
    "1. Ask for the key.\n2. Open the door:\n\n   mill --open\n* Wait."
)


def texts(passage: str) -> list[str]:
    return [flat(passage[start:end]) for start, end in sentences(passage)]


def test_sentences_end_where_a_reader_would_end_them() -> None:
    assert texts(PASSAGE) == [
        "The old mill, e.g. its wheel, was built by Dr. Brown in 1874.",
        "It is closed!",
        "Ask for the key.",
        "Open the door:",
        "mill --open",
        "Wait.",
    ]


@given(st.text(alphabet="ab .!?:\n*1-•é\t\"'", max_size=200))
def test_sentences_cover_in_order_and_are_never_blank(passage: str) -> None:
    last = 0
    for start, end in sentences(passage):
        assert last <= start < end <= len(passage)
        assert passage[start:end] == passage[start:end].strip()
        last = end


def test_phrases_hold_answers_and_cross_no_punctuation() -> None:
    text = "In 1968 the last keeper, Pierre Lacombe, left the house of grey granite."
    found = {text[start:end] for start, end in phrases(text, (0, len(text)))}
    assert {"1968", "Pierre Lacombe", "last keeper", "house of grey granite"} <= found
    assert "keeper, Pierre" not in found
    assert not any(phrase.startswith("the ") for phrase in found if phrase.count(" ") == 1)


@given(st.text(alphabet="abc ,.()the", max_size=2000))
def test_phrases_are_few_and_lie_inside_their_sentence(text: str) -> None:
    found = phrases(text, (0, len(text)))
    assert len(found) <= MOST_PHRASES
    for start, end in found:
        assert 0 <= start < end <= len(text)


def test_a_phrase_has_few_words_or_is_a_clause() -> None:
    text = "one two three four five six seven"
    found = {text[start:end] for start, end in phrases(text, (0, len(text)))}
    assert max(len(phrase.split()) for phrase in found - {text}) == MOST_WORDS


def test_a_stop_string_is_found_across_pieces_and_never_shown() -> None:
    scanner = StopScanner(["\nUser:", "END"])
    shown = [scanner.add(piece) for piece in ("Hello\n", "Us", "e it. E", "N", "D tail")]
    assert shown == ["Hello", "", "\nUse it. ", "", ""]
    assert scanner.found
    assert scanner.rest() == ""


@given(st.text(alphabet="ab", max_size=30), st.lists(st.integers(1, 4), max_size=30))
def test_the_scanner_shows_what_a_search_in_the_whole_text_would(
    text: str, sizes: list[int]
) -> None:
    scanner, shown, rest = StopScanner(["abba"]), "", text
    for size in [*sizes, len(text) or 1]:
        if not scanner.found:
            shown += scanner.add(rest[:size])
            rest = rest[size:]
    assert shown + scanner.rest() == text.split("abba", maxsplit=1)[0]


def test_places_are_filled_in_one_pass() -> None:
    form = ChoiceForm(name="f", shots="{q} ", template="Q: {q} A:")
    assert fill_places(form, {"q": "{q}"}) == "{q} Q: {q} A:"
    with pytest.raises(BadInput, match="f: the prompt form asks for q"):
        fill_places(form, {"question": "x"})


def test_the_shipped_forms_end_where_answers_begin() -> None:
    told = answer_forms()
    for form in (told.choose, told.choose_in):
        assert form.template.endswith("Answer:")
        assert form.shots.endswith("\n\n")
        assert form.shots.count("Answer: ") == form.shots.count("Question: ") >= 3
    assert told.asked_by.template.endswith(" {text}\nQuestion:")
