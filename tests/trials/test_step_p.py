"""The bench of single steps: which states it draws, and what its figures say."""

import pytest

from bench.swarm.step_p import Seen, figures, states
from pockethive.trials.families import FAMILIES
from pockethive.trials.family import Step


@pytest.mark.parametrize("name", ["labels", "timeline", "sums"])
def test_states_are_distinct_and_of_their_split(name: str) -> None:
    dev, held = (states(FAMILIES[name], split, 1) for split in ("dev", "held"))
    for form, found in dev.items():
        keys = [str(step.places) for _, step in found]
        assert len(set(keys)) == len(keys)
        if name != "sums":  # there are no more than a hundred sums
            assert set(keys).isdisjoint(str(step.places) for _, step in held[form])


def test_pooled_figures_are_of_the_mean_over_ways() -> None:
    step = Step("0.0.0", "turn", {"last": "other"}, ("smallest", "other"))
    right = ((0.9, 0.1), (0.2, 0.8), (0.9, 0.1), (0.8, 0.2))
    wrong = ((0.1, 0.9),) * 4
    found = figures([Seen(step, "smallest", right), Seen(step, "smallest", wrong)], 1)
    assert found["pooled"]["p"] == pytest.approx(0.4)
    assert found["pooled"]["rival"] == pytest.approx(0.6)
    assert found["pooled"]["right"] == found["pooled"]["below"] == 0.5
    assert [row["right"] for row in found["ways"].values()] == [0.5, 0.0, 0.5, 0.5]
    assert found["worst"][0]["chances"] == {"other": 0.9, "smallest": 0.1}
