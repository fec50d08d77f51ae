"""What is reckoned of rows: what is right, counts, sums, joins; and who checks finds lies."""

import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pockethive.actors.documents.attestation import Proof, passage_leaf, quotation, statement
from pockethive.actors.documents.passages import Passage
from pockethive.actors.skill import Tools, Work
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.actors.skills.gathering import open_question
from pockethive.actors.skills.wording import described, told_day
from pockethive.core import merkle
from pockethive.core.canonical import decode, encode, to_text
from pockethive.core.errors import BadInput
from pockethive.trials.questions import ask
from pockethive.trials.world import make
from tests.skills.conftest import verify

STANDING = ["register", "report", "letter"]


def row(thing: str, value: str, title: str, **more: str) -> dict[str, Any]:
    """A row as a device gives it, out of a document of one sentence."""
    told = {"place": "", "when": "", "device": "one", **more}
    key = Ed25519PrivateKey.from_private_bytes(told.pop("device").ljust(32).encode())
    device, salt = to_text(key.public_key().public_bytes_raw()), bytes(16)
    source = f"{title}, {thing}, {value}"
    day = f" on {told_day(told['when'])}" if told["when"] else ""
    quote = f"{thing} has {value}{' at ' * bool(told['place'])}{told['place']}{day}"
    passage = Passage(heading="", index=0, text=quote, title=title)
    root = passage_leaf(salt, passage)
    signature = key.sign(statement(device, source, 1, root))
    proof = Proof(salt=salt, path=(), root=root, size=1, signature=signature)
    proven = quotation(source, device, passage, proof)
    finding = {**proven, "quote": quote, "score": 0, "start": 0}
    return {"thing": thing, "value": value, "finding": finding, **told}


def twin(of: dict[str, Any]) -> dict[str, Any]:
    """The same said once more in another passage of its document."""
    key = Ed25519PrivateKey.from_private_bytes(b"one".ljust(32))
    finding, salt = of["finding"], bytes(16)
    passages = [
        Passage(heading="", index=n, text=finding["quote"], title=finding["passage"]["title"])
        for n in range(2)
    ]
    leaves = [passage_leaf(salt, each) for each in passages]
    root = merkle.root(leaves)
    signature = key.sign(statement(finding["device"], finding["source"], 2, root))
    made = []
    for n, passage in enumerate(passages):
        path = merkle.path(leaves, n)
        proof = Proof(salt=salt, path=path, root=root, size=2, signature=signature)
        made.append(quotation(finding["source"], finding["device"], passage, proof))
    finding.update(made[0])
    return {**of, "finding": {**finding, **made[1]}}


def output(wanted: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "v": 1,
        "wanted": wanted,
        "rows": list(rows),
        "searched": {"documents": 1, "passages": 9},
    }


def work(question: str, inputs: dict[str, Any], **params: Any) -> Work:
    told = {"question": question, "standing": STANDING, **params}
    made = {f"round-{1 if key == 'last' else 2}.{key}": each for key, each in inputs.items()}
    name = "round-2.reckon"
    return Work(task="t", name=name, skill="reckon", params=told, inputs=made, device="one")


def tools() -> Tools:
    return Tools(model=None, documents=None, sign=bytes, verify=verify)


def reckon(question: str, *outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    before = more.pop("before", {})
    task = work(question, {**{str(n): each for n, each in enumerate(outputs)}, **before}, **more)
    value: dict[str, Any] = decode(encode(SKILLS["reckon"].run(task, tools()).value), 1 << 20)
    assert CHECKERS["reckoned"].check(task, value, tools()).accept
    return value


HOME = "Where does Ada Falk live?"


def test_higher_standing_is_right_and_then_the_newer() -> None:
    old = row("Ada Falk", "Norby", "Register of 3 May 2020")
    new = row("Ada Falk", "Selton", "Register of 1 January 2021")
    letter = row("Ada Falk", "Kirkby", "Letter of 9 June 2022")
    report = row("Ada Falk", "Ashby", "Report of 9 June 2021")
    made = reckon(HOME, output("one-home", old, letter), output("one-home", report, new))
    assert (made["answer"], made["found"]) == ("Selton", True)
    cited = [each["passage"]["title"] for each in made["citations"]]
    assert cited == ["Register of 1 January 2021"]
    assert reckon(HOME, output("one-home", letter, report))["answer"] == "Ashby"


def test_not_known_cites_nothing() -> None:
    made = reckon(HOME, output("one-home"))
    assert (made["answer"], made["found"], made["citations"]) == ("not known", False, [])


CARGO = (
    row("shipment GO-1", "30", "Register of 3 May 2020", place="Norby"),
    row("shipment GO-1", "40", "Register of 1 January 2021", place="Norby"),
    row("shipment GO-2", "50", "Report of 3 May 2020", place="Norby"),
    row("shipment GO-3", "90", "Report of 3 May 2020", place="Selton"),
)


@pytest.mark.parametrize(
    ("shape", "answer"), [("count", "2"), ("sum", "90"), ("greatest", "shipment GO-2")]
)
def test_each_thing_counts_once_by_what_is_right_of_it(shape: str, answer: str) -> None:
    made = reckon("How much came to Norby?", output(f"{shape}-cargo", *CARGO))
    assert made["answer"] == answer
    assert len(made["citations"]) == 2


def test_a_meter_that_was_put_right_is_counted_where_it_stands() -> None:
    rows = (
        row("meter 1", "Norby", "Register of 3 May 2020"),
        row("meter 1", "Selton", "Register of 3 May 2021"),
        row("meter 2", "Norby", "Register of 3 May 2020"),
    )
    asked = "How many meters stand in {}?"
    assert reckon(asked.format("Norby"), output("count-site", *rows))["answer"] == "1"
    assert reckon(asked.format("Selton"), output("count-site", *rows))["answer"] == "1"
    assert reckon(asked.format("Kirkby"), output("count-site", *rows))["answer"] == "not known"


def test_days_order_a_timeline_and_name_the_greatest() -> None:
    visits = [
        row("Ada Falk", place, "Report of 3 May 2020", when=day)
        for place, day in (("Norby", "2019-05-04"), ("Selton", "2019-02-10"))
    ]
    made = reckon("Which places did Ada Falk visit?", output("order-visit", *visits))
    assert made["answer"] == "Selton, Norby"
    readings = [
        row("meter 1", units, "Report of 3 May 2020", when=day)
        for units, day in (("9", "2019-05-04"), ("10", "2019-02-01"))
    ]
    made = reckon("When did meter 1 show most?", output("greatest-reading", *readings))
    assert made["answer"] == "1 February 2019"


def test_a_join_goes_on_with_what_was_found() -> None:
    question = "Where does the keeper of meter 1 live?"
    first = reckon(
        question, output("one-keeper", row("meter 1", "Ada Falk", "Report of 3 May 2020"))
    )
    assert (first["question"], first["found"]) == ("Where does Ada Falk live?", False)
    home = output("one-home", row("Ada Falk", "Norby", "Report of 3 May 2020"))
    second = reckon(question, home, before={"last": first})
    assert (second["answer"], second["question"], second["hops"]) == ("Norby", "", 2)
    assert [each["number"] for each in second["citations"]] == [1, 2]
    assert reckon(question, output(""), before={"last": second}) == second


def test_only_what_enough_devices_quote_counts() -> None:
    true = [row("Ada Falk", "Norby", "Report of 3 May 2020", device=d) for d in ("one", "two")]
    lie = row("Ada Falk", "Selton", "Register of 3 May 2022", device="three")
    outputs = [output("one-home", each) for each in (*true, lie)]
    assert reckon(HOME, *outputs)["answer"] == "Selton"
    assert reckon(HOME, *outputs, agreeing=2)["answer"] == "Norby"
    assert reckon(HOME, *outputs, agreeing=3)["answer"] == "not known"


@pytest.mark.parametrize("lie", [{"value": "Selton"}, {"place": "Selton"}, {"when": "2022-05-03"}])
def test_a_row_that_its_quotation_does_not_say_counts_for_nothing_whoever_accepted_it(
    lie: dict[str, str],
) -> None:
    true = row("Ada Falk", "Norby", "Report of 3 May 2020")
    assert reckon(HOME, output("one-home", {**true, **lie}))["answer"] == "not known"


def test_who_agrees_in_the_value_alone_does_not_say_the_same() -> None:
    true = row("shipment GO-1", "30", "Report of 3 May 2020", place="Norby, not at Selton")
    true["place"] = "Norby"
    outputs = [output("sum-cargo", true)] * 2
    for place in ("Selton", ""):
        lying = [output("sum-cargo", {**true, "place": place}), *outputs]
        assert reckon("How much came to Norby?", *lying, agreeing=2)["answer"] == "30"
        assert reckon("How much came to Selton?", *lying)["answer"] == "not known"


def test_no_output_counts_for_more_than_one_device() -> None:
    many = [row("Ada Falk", "Selton", "Register of 3 May 2022", device=str(n)) for n in range(4)]
    true = [row("Ada Falk", "Norby", "Report of 3 May 2020", device=d) for d in ("one", "two")]
    honest = [output("one-home", each) for each in true]
    assert reckon(HOME, output("one-home", *many), *honest, agreeing=2)["answer"] == "Norby"
    twice = output("count-cargo", *[row("shipment GO-1", "30", "Report", place="Norby")] * 2)
    assert reckon("How many shipments came to Norby?", twice)["answer"] == "not known"


def test_a_device_that_says_a_thing_twice_is_still_one() -> None:
    lie = row("Ada Falk", "Selton", "Register of 3 May 2022")
    again = twin(lie)
    true = [row("Ada Falk", "Norby", "Report of 3 May 2020", device=d) for d in ("one", "two")]
    outputs = [output("one-home", lie, again), *(output("one-home", each) for each in true)]
    assert reckon(HOME, *outputs)["answer"] == "Selton"
    assert reckon(HOME, *outputs, agreeing=2)["answer"] == "Norby"


def test_whoever_reckoned_before_can_have_nothing_else_looked_for() -> None:
    question = "Where does the keeper of meter 1 live?"
    true = output("one-home", row("Ada Falk", "Norby", "Report of 3 May 2020"))
    for other in (
        "Where does Ada Falk work?",
        "Who owes Ada Falk money?",
        f"Where does {'x' * 200} live?",
    ):
        odd = {**ANSWERED, "found": False, "question": other}
        assert reckon(question, true, before={"last": odd})["hops"] == 1
    good = {**ANSWERED, "found": False, "question": "Where does Ada Falk live?"}
    assert reckon(question, true, before={"last": good})["answer"] == "Norby"


@pytest.mark.parametrize("seed", range(3))
def test_every_question_that_is_asked_on_goes_on_with_what_was_asked(seed: int) -> None:
    for each in ask(make(seed, 300), 6, ("join2", "join3"), seed):
        question, hops = each.text, 0
        while (inner := described(question)) is not None:
            question, hops = inner.rest.replace("{}", "Clara Vogt"), hops + 1
            last = {**ANSWERED, "found": False, "question": question, "hops": hops}
            assert open_question(work(each.text, {"last": last})) == question
        assert hops >= 1


@pytest.mark.parametrize("name", ["hops", "found", "v"])
def test_true_is_not_one(name: str) -> None:
    task = work(HOME, {"a": output("one-home", row("Ada Falk", "Norby", "Report of 3 May 2020"))})
    value = SKILLS["reckon"].run(task, tools()).value
    value[name] = 1 if value[name] is True else True
    assert not CHECKERS["reckoned"].check(task, value, tools()).accept


def test_without_rounds_forms_tell_what_an_input_is() -> None:
    made = output("one-home", row("Ada Falk", "Norby", "Report of 3 May 2020"))
    asked = {"question": "Where does the keeper of meter 1 live?", "standing": STANDING}
    before = {**ANSWERED, "found": False, "question": "Where does Ada Falk live?"}
    inputs = {"gather-2": made, "reckon-1": before}
    task = Work(task="t", name="reckon-2", skill="reckon", params=asked, inputs=inputs, device="x")
    assert SKILLS["reckon"].run(task, tools()).value["answer"] == "Norby"


ANSWERED = {"v": 1, "answer": "EVIL", "citations": [], "found": True, "hops": 1, "question": ""}


def test_a_device_that_gathers_cannot_pass_for_who_reckoned_before() -> None:
    true = output("one-home", row("Ada Falk", "Norby", "Report of 3 May 2020"))
    assert reckon(HOME, ANSWERED, true)["answer"] == "Norby"
    assert reckon(HOME, true, before={"last": ANSWERED})["answer"] == "EVIL"


@pytest.mark.parametrize(
    "odd",
    [
        *(None, 5, True, "hops", ["hops"], {}, {"hops": 1}, {"rows": 1}),
        *({**ANSWERED, name: value} for name in ANSWERED for value in (None, "x", -1, [1])),
    ],
    ids=repr,
)
def test_nonsense_stops_nobody(odd: Any) -> None:
    true = output("one-home", row("Ada Falk", "Norby", "Report of 3 May 2020"))
    assert reckon(HOME, odd, true)["answer"] == "Norby"
    found = reckon(HOME, true, before={"last": odd})
    assert found["answer"] in ("Norby", "EVIL", "x", "not known")


def test_what_most_took_the_question_for_counts_and_nonsense_does_not() -> None:
    good = output("one-home", row("Ada Falk", "Norby", "Report of 3 May 2020"))
    other = output("one-trade", row("Ada Falk", "baker", "Report of 3 May 2020"))
    assert reckon(HOME, good, good, other, {"rows": 1})["answer"] == "Norby"


def test_who_reckons_again_finds_a_lie() -> None:
    task = work(HOME, {"a": output("one-home", row("Ada Falk", "Norby", "Report of 3 May 2020"))})
    value = copy.deepcopy(SKILLS["reckon"].run(task, tools()).value)
    value["answer"] = "Selton"
    assert not CHECKERS["reckoned"].check(task, value, tools()).accept


@pytest.mark.parametrize("params", [{"standing": "register"}, {"agreeing": 0}])
def test_params_without_sense_are_refused(params: dict[str, Any]) -> None:
    rows = output("one-home", row("Ada Falk", "Norby", "Report of 3 May 2020"))
    with pytest.raises(BadInput):
        reckon(HOME, rows, **params)
