"""The bench of questions on topics: what a quick run draws, and what its page says."""

from bench.swarm.record import Record
from bench.swarm.topics import QUICK, by_split, drawn, section
from pockethive.topic_asking import Reply
from pockethive.trials.topics import Mark, topic_questions


def reply(split: str, *, said: int, parts: int = 1, found: bool = True) -> Reply:
    mark = Mark(
        parts=parts,
        said=said,
        cited=said,
        citations=2 if found else 0,
        citations_right=said,
        spans=said,
        found=found,
    )
    return Reply(
        id="t",
        split=split,
        question="?",
        answer="",
        sources=(),
        mark=mark,
        status="completed",
        seconds=2.0,
    )


def test_a_quick_run_asks_fresh_questions_only_and_each_seed_others() -> None:
    one, again, other = drawn(1, full=False), drawn(1, full=False), drawn(2, full=False)
    assert one == again != other
    assert len(set(one)) == len(other) == QUICK
    assert {each.split for each in (*one, *other)} == {"fresh"}
    unknown = {each for each in topic_questions() if each.split == "fresh" and not each.known}
    assert unknown <= set(one)
    full = drawn(1, full=True)
    assert {each.split for each in full} == {"held", "fresh"}
    assert len(full) == sum(each.split != "dev" for each in topic_questions())


def test_the_page_says_what_each_half_reached_and_what_was_left_out() -> None:
    given = [
        reply("dev", said=1),
        reply("held", said=0),
        reply("held", said=1),
        reply("held", said=0, parts=0, found=False),
    ]
    setting = {
        "devices": 2,
        "documents": [5, 4],
        "splits": by_split(given),
        "left_out": [{"id": "t50", "why": "GPL-2.txt is not here"}],
        "rows": [each.row() for each in given],
    }
    record = Record(
        name="topics",
        full=False,
        seed=1,
        results={"settings": [setting]},
        seconds=1.0,
        cpu_seconds=1.0,
    )
    told = section(record)
    assert "Left out, for want of their texts: t50." in told
    dev, held = told.strip().splitlines()[-2:]
    assert dev.startswith("| 2 (5 + 4) | dev | 1 of 1 (")
    assert held.startswith("| 2 (5 + 4) | held | 1 of 2 (")
    assert "| 1 of 4 (" in held
    assert "| 1 of 1 (" in held
    assert held.endswith("| other documents 1 | 2.0 |")
