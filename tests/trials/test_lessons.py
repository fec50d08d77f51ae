"""Lessons for a specialist."""

from itertools import islice
from random import Random

import pytest

from pockethive.core.errors import BadInput
from pockethive.trials.families import FAMILIES
from pockethive.trials.family import walk
from pockethive.trials.forms import asked, forms, forms_of
from pockethive.trials.hanoi import Hanoi, random_pegs
from pockethive.trials.lessons import TAUGHT, facts, is_kept, lessons, move_lesson, move_test, right


@pytest.mark.parametrize("form", TAUGHT)
def test_lessons_are_seeded_and_in_the_familys_own_words(form: str) -> None:
    made = list(islice(lessons(form, 4), 50))
    assert made == list(islice(lessons(form, 4), 50))
    assert made != list(islice(lessons(form, 5), 50))
    assert {each.way for each in made} == {way.name for way in forms()[form].ways}
    long = next(lessons(form, 4, examples=True))
    assert long.prompt.endswith(made[0].prompt)
    assert len(long.prompt) > len(made[0].prompt)
    assert long.answer == made[0].answer
    assert all(each.answer not in each.wrong for each in made)


def test_every_fact_that_a_job_asks_for_is_taught() -> None:
    for name in ("sums", "products", "sorting", "sums-by-counting"):
        kind = FAMILIES[name]
        job = kind.job(1, 6)
        for step in walk(kind, job):
            taught = {str(each.places): right(each) for each in facts(step.form)}
            assert taught[str(step.places)] == kind.right(job, step)
    assert [len(facts(form)) for form in ("next", "smaller", "sum", "product")] == [
        10,
        90,
        100,
        100,
    ]


def test_no_lesson_shows_a_state_that_is_tested() -> None:
    tested = set()
    for disks in range(3, 10):
        kind = Hanoi()
        tested |= {str(step.places) for step in walk(kind, kind.job(0, disks))}
    chance = Random(1)
    tested |= {str(move_test(chance, disks).places) for disks in range(3, 8) for _ in range(40)}
    taught = {str(move_lesson(chance).places) for _ in range(3000)}
    assert len(taught) > 1500
    assert tested.isdisjoint(taught)


def test_about_one_state_in_ten_is_kept_for_tests() -> None:
    chance = Random(2)
    kept = sum(is_kept(random_pegs(chance, 9)) for _ in range(2000))
    assert 150 < kept < 260


def test_a_lesson_is_the_prompt_of_the_step() -> None:
    step = facts("smaller")[5]
    prompts = {asked(step, way).prompt for way in forms_of(step).ways}
    found = (each for each in lessons("smaller", 1, examples=True) if each.prompt in prompts)
    assert next(found).answer.strip() == right(step)


def test_what_nobody_teaches() -> None:
    with pytest.raises(BadInput, match="no lessons"):
        next(lessons("singing", 1))
