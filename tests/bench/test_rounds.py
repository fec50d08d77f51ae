"""A team for micro-steps has as many rounds as its jobs need."""

from bench.swarm.live import rounds_for
from pockethive.trials.families import family
from pockethive.trials.progress import begun, gone_on, undecided


def test_rounds_are_enough_for_the_longest_job_and_some_are_to_spare() -> None:
    kind = family("sums-by-counting")
    jobs = [kind.job(seed, 3) for seed in range(4)]
    rounds = rounds_for(kind, jobs, 4)
    needed = []
    for job in jobs:
        progress, count = begun(kind, job), 0
        while steps := undecided(kind, job, progress, 4):
            right = {step.id: kind.right(job, step) for step in steps}
            progress, count = gone_on(kind, job, progress, right), count + 1
        assert kind.answer(job, progress.state) == kind.truth(job)
        needed.append(count)
    assert max(needed) + 2 <= rounds <= 2 + 1.1 * max(needed)
    assert rounds_for(kind, jobs, 1) > rounds
