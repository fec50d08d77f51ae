"""Families of micro-steps: right choices lead to the truth, and nothing but choices does."""

import re
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.canonical import decode, encode
from pockethive.core.errors import BadInput
from pockethive.trials.counting import counted_product, counted_smaller, counted_sum
from pockethive.trials.digits import Digits
from pockethive.trials.families import FAMILIES, family
from pockethive.trials.family import HELD_FROM, Control, Family, Job, Step, play, walk
from pockethive.trials.forms import forms
from pockethive.trials.hanoi import Hanoi, legal, next_move, random_pegs, solution
from pockethive.trials.programme import Programme, Work, asks, together
from pockethive.trials.sorting import Sorting
from pockethive.trials.tally import Tally
from pockethive.trials.wordlists import of_split, words

NAMES = tuple(FAMILIES)
READING = ("tally", "labels", "timeline")
LENGTHS = st.integers(1, 5)


def solved(kind: Family, job: Job) -> str:
    return kind.answer(job, play(kind, job, lambda step: kind.right(job, step)))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2 * HELD_FROM), length=LENGTHS)
def test_right_choices_come_to_the_truth(name: str, seed: int, length: int) -> None:
    kind = family(name)
    job = kind.job(seed, length + 1)
    assert solved(kind, job) == kind.truth(job)


@pytest.mark.parametrize("name", NAMES)
def test_every_step_has_an_id_of_its_own_and_several_options(name: str) -> None:
    kind = family(name)
    steps = walk(kind, kind.job(3, 5))
    assert len({step.id for step in steps}) == len(steps) > 0
    for step in steps:
        assert len(set(step.options)) == len(step.options) >= 1
        assert len(forms()[step.form].ways) >= 4
    assert any(len(step.options) > 1 for step in steps)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_travels_and_is_gone_on_with_elsewhere(name: str) -> None:
    kind, job = family(name), family(name).job(5, 4)
    there = Job(job.family, decode(encode(dict(job.given)), 1 << 16))
    state: Any = kind.begin(there)
    while steps := kind.steps(there, state):
        state = kind.apply(there, state, [kind.right(job, step) for step in steps])
        state = decode(encode(state), 1 << 20)
    assert kind.answer(there, state) == kind.truth(job)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
def test_wrong_choices_end_as_well(name: str, seed: int) -> None:
    kind, chance = family(name), Random(seed)
    job = kind.job(seed, 4)
    assert isinstance(
        kind.answer(job, play(kind, job, lambda step: chance.choice(step.options), 20_000)), str
    )


@pytest.mark.parametrize("name", NAMES)
def test_one_wrong_choice_among_many_is_felt(name: str) -> None:
    """Of the steps that can go wrong, half or more change the answer: code repairs nothing."""
    kind = family(name)
    job = kind.job(8, 4)
    steps = [step for step in walk(kind, job) if len(step.options) > 1]
    felt = 0
    for wrong in steps[:24]:

        def choose(step: Step, wrong: Step = wrong) -> str:
            right = kind.right(job, step)
            if step.id != wrong.id:
                return right
            return next(option for option in step.options if option != right)

        felt += kind.answer(job, play(kind, job, choose, 20_000)) != kind.truth(job)
    assert felt >= 0.5 * len(steps[:24])


@pytest.mark.parametrize("name", NAMES)
def test_other_options_and_other_jobs_are_refused(name: str) -> None:
    kind = family(name)
    job = kind.job(1, 3)
    state = kind.begin(job)
    count = len(kind.steps(job, state))
    with pytest.raises(BadInput, match="no option"):
        kind.apply(job, state, ["never heard of it"] * count)
    with pytest.raises(BadInput, match="choices for"):
        kind.apply(job, state, ["x"] * (count + 1))
    with pytest.raises(BadInput, match="a job of"):
        kind.begin(Job("another", job.given))
    with pytest.raises(BadInput):
        kind.job(1, 0)


@pytest.mark.parametrize("name", READING)
def test_what_travels_does_not_hold_the_truth(name: str) -> None:
    kind = family(name)
    job = kind.job(4, 30)
    assert kind.truth(job) not in str(job.given)
    with pytest.raises(BadInput, match="not known here"):
        kind.truth(Job(job.family, job.given))
    assert kind.job(4, 30) == job
    assert kind.job(5, 30) != job


@pytest.mark.parametrize(
    ("name", "lists"),
    [
        ("tally", [("things",), ("records",)]),
        ("labels", [("labels", each) for each in words("labels")["labels"]]),
        (
            "timeline",
            [("events",), ("papers",), ("verbs",), ("towns",), ("happened",), ("written",)],
        ),
    ],
)
def test_held_seeds_share_no_word_or_sentence_with_the_others(
    name: str, lists: list[tuple[str, ...]]
) -> None:
    for path in lists:
        found = words(name)
        for key in path:
            found = found[key]
        dev, held = of_split(found, 7), of_split(found, HELD_FROM + 7)
        assert len({*dev, *held}) == len(dev) + len(held)
        assert min(len(dev), len(held)) >= 6


@pytest.mark.parametrize("seed", [2, HELD_FROM + 2])
def test_a_tally_is_what_reading_the_records_again_gives(seed: int) -> None:
    kind = Tally()
    job = kind.job(seed, 200)
    thing, records = job.given["thing"], job.given["records"]
    amounts = [re.findall(rf"(\d+) {thing}", record) for record in records]
    assert all(len(each) == 1 for each in amounts)
    assert kind.truth(job) == str(sum(int(each[0]) for each in amounts))


@pytest.mark.parametrize("seed", [2, HELD_FROM + 2])
def test_labels_are_what_looking_words_up_gives(seed: int) -> None:
    kind = family("labels")
    job = kind.job(seed, 300)
    listed = {
        label: [word for split in both.values() for word in split]
        for label, both in words("labels")["labels"].items()
    }
    kinds = {word: label for label in listed for word in listed[label]}
    assert len(kinds) == sum(map(len, listed.values())), "a word of two kinds"
    counts = Counter(kinds[item] for item in job.given["items"])
    assert kind.truth(job) == ", ".join(f"{label} {counts[label]}" for label in listed)


def test_a_timeline_is_in_order_and_leaves_papers_out() -> None:
    kind = family("timeline")
    job = kind.job(6, 40)
    told = kind.truth(job).split("; ")
    years = [int(row.rpartition(" ")[2]) for row in told]
    assert years == sorted(years)
    for row in told:
        page, _, line = row.partition(" ")[0].partition(".")
        sentence = job.given["documents"][int(page) - 1][int(line) - 1]
        assert any(event in sentence for event in words("timeline")["events"]["dev"])
    papers = [s for page in job.given["documents"] for s in page if "town" not in s]
    assert 0 < len(told) < len(papers)


@pytest.mark.parametrize("disks", range(1, 8))
@pytest.mark.parametrize("by", ["moves", "facts", "counting"])
def test_hanoi_by_right_choices_is_legal_and_shortest(disks: int, by: Any) -> None:
    job = Hanoi(by).job(0, disks)
    pegs: list[list[int]] = [list(range(disks, 0, -1)), [], []]
    sides = ("left", "middle", "right")
    moves = [tuple(map(sides.index, each.split("-"))) for each in solved(Hanoi(by), job).split()]
    for here, there in moves:
        assert (here, there) in legal(pegs)
        pegs[there].append(pegs[here].pop())
    assert len(pegs[2]) == disks
    assert len(moves) == 2**disks - 1


def test_the_next_move_from_any_state_brings_it_nearer() -> None:
    chance = Random(3)
    for _ in range(50):
        pegs, moves = random_pegs(chance, 5), 0
        while len(pegs[2]) < 5:
            here, there = next_move(pegs)
            assert (here, there) in legal(pegs)
            pegs[there].append(pegs[here].pop())
            moves += 1
        assert moves < 2**5
    assert next_move([[3, 2, 1], [], []]) == solution(3, 0, 2)[0]


def test_counting_knows_sums_products_and_order_of_all_digits() -> None:
    for one in range(10):
        for two in range(10):
            a, b = str(one), str(two)
            assert "".join(reversed(_counted(counted_sum(a, b)))) == f"{one + two:02}"
            assert "".join(reversed(_counted(counted_product(a, b)))) == f"{one * two:02}"
            if one != two:
                assert _counted(counted_smaller(a, b)) == str(min(one, two))


def _counted(work: Work[Any]) -> Any:
    kind = family("sums-by-counting")
    job = kind.job(0, 1)
    try:
        steps = next(work)
        while True:
            steps = work.send(tuple(kind.right(job, step) for step in steps))
    except StopIteration as ended:
        return ended.value


def test_what_runs_side_by_side_is_asked_in_one_round() -> None:
    def asking(times: int) -> Work[str]:
        said = ""
        for number in range(times):
            said += yield from asks("next", {"number": str(number)}, ("a", "b"))
        return said

    work = together(asking(times) for times in (2, 0, 3))
    assert [step.places["number"] for step in next(work)] == ["0", "0"]
    assert len(work.send(("a", "b"))) == 2
    assert len(work.send(("b", "a"))) == 1
    with pytest.raises(StopIteration) as ended:
        work.send(("b",))
    assert ended.value.value == ["ab", "", "bab"]


def test_a_layer_of_a_sort_is_asked_side_by_side() -> None:
    kind: Programme = Sorting()
    job = Job("sorting", {"numbers": ["512", "321", "987", "654", "111"]})
    assert len(kind.steps(job, kind.begin(job))) == 2


def test_the_columns_of_a_sum_are_asked_side_by_side() -> None:
    kind: Programme = Digits("sums", "counting")
    job = Job("sums-by-counting", {"one": "507", "two": "234"})
    assert [s.places["number"] for s in kind.steps(job, kind.begin(job))] == (
        ["seven", "zero", "zero", "zero", "five", "zero"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_control_draws_and_does_not_listen(name: str) -> None:
    kind, control = family(name), family(f"{name}-control")
    job = control.job(2, 6)
    assert control.truth(job) == kind.truth(job)
    assert solved(control, job) == solved(control, job)
    drawn = {solved(Control(kind, seed), job) for seed in range(20)}
    assert len(drawn) > 1
    assert kind.truth(job) not in drawn or len(drawn) < 20


def test_a_family_nobody_wrote() -> None:
    with pytest.raises(BadInput, match="no family"):
        family("juggling")
