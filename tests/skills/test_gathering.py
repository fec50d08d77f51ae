"""What a device gathers from its own documents, what leaves it, and which lies about it are found.

The double takes the first kind that a sentence can tell: here the keeper of a meter.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pockethive.actors.documents.index import DocumentIndex, Signer
from pockethive.actors.skill import Tools, Work
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.actors.skills.gathering import possible
from pockethive.actors.skills.telling import kinds
from pockethive.actors.skills.wording import bare
from pockethive.core.canonical import decode, encode, to_text
from pockethive.core.errors import SkillFailure
from pockethive.inference.testing import ScriptedModel
from pockethive.trials.sentences import sentences
from pockethive.trials.world import make
from tests.skills.conftest import verify

REGISTER = """# Register of the water office, 3 May 2020

## Entry 1

The keeper of meter 1234 is Ada Falk (xonexone).

## Entry 2

The keeper of meter 4321 is Bruno Dorn (xtwoxtwo).

## Entry 3

On 4 June 2019 meter 1234 showed 29 units (xthreexx).
"""
ASKED = "Who is the keeper of meter 1234?"


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Tools]:
    (tmp_path / "register.md").write_text(REGISTER, encoding="utf-8")
    key = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
    device = to_text(key.public_key().public_bytes_raw())
    signer = Signer(device=device, sign=key.sign)
    with DocumentIndex.build([tmp_path], ":memory:", signer) as index:
        yield Tools(model=ScriptedModel(), documents=index, sign=key.sign, verify=verify)


def work(tools: Tools, inputs: dict[str, Any] | None = None, question: str = ASKED) -> Work:
    assert tools.documents is not None
    return Work(
        task="t",
        name="round-2.gather",
        skill="gather",
        params={"question": question},
        inputs=inputs or {},
        device=tools.documents.device,
    )


def gather(tools: Tools, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
    made = SKILLS["gather"].run(work(tools, inputs), tools)
    value: dict[str, Any] = decode(encode(made.value), 1 << 20)
    return value


def accepted(tools: Tools, value: Any) -> bool:
    return CHECKERS["gathered"].check(work(tools), value, tools).accept


def test_only_sentences_that_tell_what_is_asked_leave(tools: Tools) -> None:
    value = gather(tools)
    assert value["wanted"] == "one-keeper"
    assert [(row["thing"], row["value"]) for row in value["rows"]] == [("meter 1234", "Ada Falk")]
    finding = value["rows"][0]["finding"]
    assert finding["quote"] == "The keeper of meter 1234 is Ada Falk (xonexone)."
    assert finding["passage"]["title"] == "Register of the water office, 3 May 2020"
    assert value["searched"] == {"documents": 1, "passages": 3}
    told = encode(value)
    assert b"xtwoxtwo" not in told
    assert b"xthreexx" not in told
    assert accepted(tools, value)


def test_the_last_reckoning_says_what_is_asked_now(tools: Tools) -> None:
    answered = {"v": 1, "answer": "1951", "citations": [], "found": True, "hops": 1, "question": ""}
    assert gather(tools, {"round-1.last": answered})["rows"] == []
    gone_on = {**answered, "found": False, "question": "Who is the keeper of meter 4321?"}
    asked = "Who is the keeper of the meter of Norby?"
    found = SKILLS["gather"].run(work(tools, {"round-1.last": gone_on}, asked), tools)
    assert [row["value"] for row in found.value["rows"]] == ["Bruno Dorn"]
    for inputs in ({"round-2.gather-9": gone_on}, {"round-1.last": gone_on}):
        assert [row["value"] for row in gather(tools, inputs)["rows"]] == ["Ada Falk"]


@pytest.mark.parametrize(
    ("where", "lie"),
    [
        ("value", "Bruno Dorn"),
        ("thing", "meter 4321"),
        ("value", ""),
        ("place", "Norby"),
        ("when", "2019-06-04"),
    ],
)
def test_a_row_that_says_what_its_sentence_does_not_is_refused(
    tools: Tools, where: str, lie: str
) -> None:
    value = copy.deepcopy(gather(tools))
    value["rows"][0][where] = lie
    assert not accepted(tools, value)


def test_what_others_would_refuse_is_not_handed_out(tools: Tools, tmp_path: Path) -> None:
    long = "The keeper of meter 1234, " + "as everybody in these parts has always known, " * 28
    (tmp_path / "long.md").write_text(f"# Letter\n\n{long}is Bruno Dorn.\n", encoding="utf-8")
    key = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
    assert tools.documents is not None
    signer = Signer(device=tools.documents.device, sign=key.sign)
    with DocumentIndex.build([tmp_path], ":memory:", signer) as index:
        more = replace(tools, documents=index)
        value = gather(more)
        assert [row["value"] for row in value["rows"]] == ["Ada Falk"]
        assert accepted(more, value)


def test_a_sentence_that_stands_in_no_document_is_refused(tools: Tools) -> None:
    value = copy.deepcopy(gather(tools))
    finding = value["rows"][0]["finding"]
    finding["quote"] = finding["quote"].replace("Ada Falk", "Ida Falk")
    value["rows"][0]["value"] = "Ida Falk"
    assert not accepted(tools, value)
    finding["passage"]["text"] = finding["quote"]
    assert not accepted(tools, value)


def test_misshapen_outputs_are_refused(tools: Tools) -> None:
    value = gather(tools)
    for broken in (
        None,
        {**value, "wanted": "one-secret"},
        {**value, "wanted": ""},
        {**value, "rows": [*value["rows"], *value["rows"]]},
        {**value, "rows": [{"thing": "meter 1234"}]},
        {**value, "more": 1},
    ):
        assert not accepted(tools, broken)


def test_without_documents_there_is_nothing_to_gather(tools: Tools) -> None:
    nothing = Tools(model=ScriptedModel(), documents=None, sign=bytes, verify=verify)
    with pytest.raises(SkillFailure):
        SKILLS["gather"].run(work(tools), nothing)


def test_every_fact_of_a_world_can_be_told_by_its_sentences() -> None:
    """Types bound what the model may choose; they must never rule out what is right."""
    for statement in make(11, 300).statements():
        if statement.fact is not None:
            assert statement.fact.kind in possible(bare(statement.text)), statement.text


def test_no_example_is_worded_as_a_world_is() -> None:
    """The model must know a kind by its examples, never by the forms that worlds are made of."""
    told = sentences()
    forms = [form for kind in told.kinds.values() for form in (*kind.said, kind.corrected)]
    forms += [form for kind in told.kinds.values() for form in kind.asked]
    forms += [f"What is {kind.named}?" for kind in told.kinds.values() if kind.named]
    forms += [form for asked in told.asked.values() for said in asked.values() for form in said]
    forms += told.words["distractors"]
    data = kinds()
    shots = "".join(form.shots for form in (data.says, data.asks, data.picks))
    examples = re.findall(r"(?:Sentence|Question): (.*?)[.?]?\n", shots)
    assert len(examples) > 50
    for form in filter(None, forms):
        worded = re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(form.rstrip("?"))))
        assert not [each for each in examples if worded.fullmatch(each)], form
