"""A job goes on by counted choices alone, and comes back from where it travelled."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.canonical import decode, encode
from pockethive.core.errors import BadInput
from pockethive.trials.families import FAMILIES
from pockethive.trials.progress import begun, gone_on, read, undecided

LENGTHS = {"hanoi": 3, "sums": 4, "products": 2}


@given(
    name=st.sampled_from(sorted(FAMILIES)), seed=st.integers(0, 10**6), at_once=st.integers(1, 9)
)
@settings(max_examples=40)
def test_a_job_decided_in_any_portions_ends_with_its_truth(
    name: str, seed: int, at_once: int
) -> None:
    family = FAMILIES[name]
    job = family.job(seed, LENGTHS.get(name.partition("-")[0], 8))
    progress = begun(family, job)
    while steps := undecided(family, job, progress, at_once):
        assert len(steps) <= at_once
        choices = {step.id: family.right(job, step) for step in steps}
        progress = read(decode(encode(gone_on(family, job, progress, choices).told()), 1 << 20))
    assert family.answer(job, progress.state) == family.truth(job)


def test_a_step_that_nobody_decided_is_asked_again() -> None:
    family = FAMILIES["labels"]
    job = family.job(1, 4)
    first, *others = undecided(family, job, begun(family, job), 4)
    choices = {step.id: step.options[0] for step in others}
    assert undecided(family, job, gone_on(family, job, begun(family, job), choices), 4) == (first,)


@pytest.mark.parametrize("choice", [("nowhere", "animal"), ("", "stone")])
def test_what_cannot_be_chosen_is_refused(choice: tuple[str, str]) -> None:
    family = FAMILIES["labels"]
    job = family.job(1, 4)
    step = undecided(family, job, begun(family, job), 1)[0]
    with pytest.raises(BadInput, match="is no option of step"):
        gone_on(family, job, begun(family, job), {choice[0] or step.id: choice[1]})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"v": 2, "state": {}, "decided": {}},
        {"v": 1, "state": 1, "decided": {}},
        {"v": 1, "state": {}, "decided": {"a": 1}},
        {"v": 1, "state": {}},
    ],
)
def test_what_is_no_progress_is_refused(value: object) -> None:
    with pytest.raises(BadInput):
        read(value)
