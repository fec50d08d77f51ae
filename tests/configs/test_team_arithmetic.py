"""`arithmetic:` of a team's model: what it becomes, and what it is refused for, at its place."""

import pytest

from pockethive.configs.loader import load_team_text
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.errors import ConfigError
from pockethive.core.spec import EXACT, QUICK, ModelNeed

WORDS = Vocabulary(
    skills={"summarize": SkillInfo(needs_model=True)}, checkers=frozenset({"ranking"})
)


def text(model: str) -> str:
    return (
        f"team: digest\nmodel: {model}\n"
        "roles:\n  writer: {skill: summarize, verify: {check: ranking}}\n"
        "planner: {steps: {digest: {role: writer}}}\n"
    )


@pytest.mark.parametrize(
    ("model", "need"),
    [
        ("tiny", ModelNeed(name="tiny", arithmetic=EXACT)),
        ("{name: tiny, arithmetic: exact}", ModelNeed(name="tiny")),
        ("{name: tiny, arithmetic: quick}", ModelNeed(name="tiny", arithmetic=QUICK)),
        (
            "{name: tiny, quantization: int4, arithmetic: quick}",
            ModelNeed(name="tiny", quantization="int4", arithmetic=QUICK),
        ),
        (
            "{name: tiny, quantization: int8onnx, arithmetic: exact}",
            ModelNeed(name="tiny", quantization="int8onnx"),
        ),
    ],
)
def test_a_team_may_choose_its_arithmetic(model: str, need: ModelNeed) -> None:
    assert load_team_text(text(model), "t.yaml", WORDS).model == need


@pytest.mark.parametrize(
    ("model", "column", "said"),
    [
        ("{name: tiny, arithmetic: rough}", 33, "arithmetic 'rough' is not known"),
        (
            "{name: tiny, quantization: int8onnx, arithmetic: quick}",
            57,
            "ONNX Runtime has one arithmetic: it rounds activations in any case",
        ),
        (
            "{name: tiny, quantization: int4onnx, arithmetic: quick}",
            57,
            "take the quantization int8 or int4",
        ),
        ("{name: tiny, arithmetics: quick}", 21, "did you mean 'arithmetic'?"),
    ],
)
def test_what_cannot_be_is_named_at_its_place(model: str, column: int, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_team_text(text(model), "t.yaml", WORDS)
    assert f"t.yaml:2:{column}" in str(caught.value)
    assert said in str(caught.value)
