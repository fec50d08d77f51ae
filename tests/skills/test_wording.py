"""Names, numbers and days in sentences, and questions within questions."""

import pytest

from pockethive.actors.skills.wording import (
    affirmed,
    bare,
    days,
    described,
    mentions,
    named,
    names,
    numbers,
    things,
    told_day,
    words,
)


def test_remarks_and_introductions_are_not_read() -> None:
    assert bare("Note of 3 May 2021: Ada Falk moved (kept).") == "Ada Falk moved."


def test_what_is_denied_is_told_apart() -> None:
    assert affirmed("Ada Falk dwells in Norby, not in Selton.") == (
        "Ada Falk dwells in Norby",
        " in Selton.",
    )
    assert affirmed("Ada Falk dwells in Norby.") == ("Ada Falk dwells in Norby.", "")


def test_names_are_neither_days_nor_things_nor_first_words() -> None:
    said = "On 3 May 2021 Ada Falk saw meter 1234 and shipment GO-727 near Norby."
    assert names(said) == ("Ada Falk", "Norby")
    assert names("The Lune flows past Norby.") == ("Lune", "Norby")
    assert names("Meter 1234 is in Norby.") == ("Norby",)
    assert things(said, "meter") == ("meter 1234",)
    assert things(said, "shipment") == ("shipment GO-727",)


def test_numbers_are_no_parts_of_days_and_names() -> None:
    assert numbers("On 3 May 2021 meter 1234 showed 29 units.", "meter 1234") == ("29",)
    assert numbers("With shipment GO-727 299 crates came.", "shipment GO-727") == ("299",)


def test_days_are_days_of_a_calendar() -> None:
    assert days("3 May 2021 and 31 June 2021") == ("2021-05-03",)
    assert told_day("2021-05-03") == "3 May 2021"


def test_words_are_no_names() -> None:
    assert words("Ada Falk toils as a baker, yes a baker") == ("toils", "baker")


@pytest.mark.parametrize(
    ("question", "about"),
    [
        ("Who heads Norby?", "Norby"),
        ("How many units did meter 1234 show on 3 May 2021?", "meter 1234"),
        ("Where is shipment GO-727?", "shipment GO-727"),
        ("who is it?", ""),
    ],
)
def test_a_question_is_about_what_it_names(question: str, about: str) -> None:
    assert named(question) == about


def test_what_is_only_described_must_be_found_first() -> None:
    asked = "On which river does the place where the keeper of meter 1234 lives lie?"
    first = described(asked)
    assert first is not None
    assert first.phrase == "the keeper of meter 1234"
    second = described(first.rest.replace("{}", "Ada Falk"))
    assert second is not None
    assert second.phrase == "the place where Ada Falk lives"
    assert second.rest.replace("{}", "Norby") == "On which river does Norby lie?"
    assert described("On which river does Norby lie?") is None


@pytest.mark.parametrize(
    "question", ["Who is the mayor of Norby?", "Which cart took the most crates to Norby?", "Who?"]
)
def test_what_a_question_asks_is_not_within_it(question: str) -> None:
    assert described(question) is None


def test_a_name_is_mentioned_whole() -> None:
    assert mentions("Meter 1234 leaks", "meter 1234")
    assert not mentions("meter 12345 leaks", "meter 1234")
    assert not mentions("shipment GO-7271", "shipment GO-727")
