"""Speed that was measured here, and choosing a model by what is needed of one."""

from dataclasses import replace
from pathlib import Path

import pytest

from pockethive.cli.command_line import run_command
from pockethive.configs.loader import load_team_text
from pockethive.core.errors import ConfigError, ModelError, RefusedModel
from pockethive.core.spec import ModelNeed, ModelWish
from pockethive.inference.bundle import Bundle
from pockethive.inference.choosing import Candidate, candidates, choose
from pockethive.inference.speed import FILE, Speed, keep_speed, measure, read_speed
from pockethive.inference.testing import ScriptedModel
from pockethive.vocabulary import vocabulary

SPEED = Speed(card="", prefill=400.0, decode=25.0, memory=500_000_000, threads=2)
SMALL = Candidate(
    name="small",
    quantization="int8",
    licence="Apache-2.0",
    parameters=135_000_000,
    memory=600_000_000,
    speed=30.0,
)
LARGE = replace(
    SMALL, name="large", licence="gemma", parameters=10**9, memory=4 * 10**9, speed=None
)
GIGABYTE = 10**9

TEAM = """
team: t
model: {model}
roles:
  finder: {{skill: search, verify: {{check: quotation}}}}
planner:
  steps:
    look: {{role: finder, params: {{question: "{{goal}}"}}}}
"""


def test_a_speed_is_what_the_middle_round_took() -> None:
    rounds = iter([0, 2, 2, 6, 6, 7, 7, 10, 10, 19, 19, 90])  # reads 2, writes 2; 1, 2; 9, 62
    model = ScriptedModel(default="one two three four five " * 20, context=8192)
    speed = measure(model, "c", 2, lambda: float(next(rounds)))
    words = model.count(model.calls[0][1])
    assert speed.prefill == pytest.approx(words / 2)
    assert speed.decode == pytest.approx(47 / 2)
    assert len({prompt.split()[0] for _, prompt in model.calls}) == len(model.calls) == 6
    with pytest.raises(ModelError, match="cannot be told"):
        measure(ScriptedModel(default="one"), "c", 2)


def test_a_model_that_reads_little_is_given_less_to_read() -> None:
    model = ScriptedModel(default="one two three " * 40, context=120)
    clock = iter([0.0, 1.0, 1.0, 3.5] * 9)
    assert measure(model, "c", 1, lambda: next(clock)).decode > 0


def test_figures_are_kept_beside_the_card_that_they_belong_to(
    small_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, card = small_bundle.folder, small_bundle.card.sha256
    assert read_speed(folder, card) is None
    keep_speed(folder, replace(SPEED, card=card))
    assert read_speed(folder, card) == replace(SPEED, card=card)
    assert read_speed(folder, "0" * 64) is None
    assert run_command(["models", "list", "--home", str(tmp_path)]) == 0
    assert "25.0/s" in capsys.readouterr().out
    assert run_command(["models", "card", "tiny", "--home", str(tmp_path)]) == 0
    assert "reads 400 and writes 25.0 tokens a second here" in capsys.readouterr().out
    for damaged in (b"", b"[]", b'{"card": 1}', b"\xff" * 9_000):
        (folder / FILE).write_bytes(damaged)
        assert read_speed(folder, card) is None


@pytest.mark.parametrize(
    ("wish", "free", "name"),
    [
        (ModelWish(), 8 * GIGABYTE, "large"),
        (ModelWish(at_least=100_000_000, fits=True), GIGABYTE, "small"),
        (ModelWish(at_least=100_000_000), GIGABYTE, "large"),
        (ModelWish(fits=True), None, "large"),
        (ModelWish(at_most=500_000_000), None, "small"),
        (ModelWish(speed=20), None, "small"),
        (ModelWish(licences=("apache-2.0",)), None, "small"),
    ],
)
def test_the_largest_model_that_has_what_is_needed_is_taken(
    wish: ModelWish, free: int | None, name: str
) -> None:
    for found in ([SMALL, LARGE], [LARGE, SMALL]):
        assert choose(wish, found, free) == ModelNeed(name=name)


def test_of_models_alike_the_finer_weights_are_taken() -> None:
    coarse = replace(SMALL, quantization="int4", speed=90.0)
    assert choose(ModelWish(), [coarse, SMALL], None).quantization == "int8"
    assert choose(ModelWish(speed=50), [coarse, SMALL], None).quantization == "int4"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (ModelWish(at_least=2 * GIGABYTE), "fewer than 2000M"),
        (ModelWish(at_most=1_000_000), "more than 1M"),
        (ModelWish(fits=True), "100 MB of memory are free"),
        (ModelWish(speed=31), "slower than 31 tokens/s"),
        (ModelWish(licences=("MIT",)), "another licence"),
    ],
)
def test_a_refusal_says_what_there_is_and_what_it_lacks(wish: ModelWish, said: str) -> None:
    with pytest.raises(RefusedModel, match=said) as caught:
        choose(wish, [SMALL], 100_000_000)
    assert "small int8 (135M, 600 MB of memory, 30 tokens/s, Apache-2.0)" in str(caught.value)
    with pytest.raises(RefusedModel, match="there is none"):
        choose(wish, [], None)


def test_a_team_may_wish_for_a_model_instead_of_naming_one(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    words = vocabulary(tmp_path)
    [here] = candidates(tmp_path)
    assert (here.parameters, here.speed) == (1000, None)
    team = load_team_text(TEAM.format(model="{at_most: 1M, fits: auto}"), "t.yaml", words)
    assert team.model == ModelNeed(name=small_bundle.card.name)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{at_least: 100M}", "t.yaml:3:8: no model here will do: tiny int8 (0M"),
        ("{at_least: many}", "t.yaml:3:19: at_least must be a count of parameters, found 'many'"),
        ("{at_least: 100}", "write 100M"),
        ("{fits: always}", "fits 'always' is not known"),
        ("{speed: 0}", "speed is 0, it must be from 1 to 100000"),
        ("{at_least: 1M, quantization: int4}", "model has no setting 'quantization'"),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_is_a_fault_at_its_place(
    small_bundle: Bundle, tmp_path: Path, model: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_team_text(TEAM.format(model=model), "t.yaml", vocabulary(tmp_path))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
