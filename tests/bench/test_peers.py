"""What a run without some peers keeps of the record before."""

from bench.swarm.peers import with_earlier
from bench.swarm.record import Record


def row(what: str, peer: str, ours: float) -> dict[str, object]:
    return {"what": what, "peer": peer, "ours": ours, "theirs": 1.0, "ratio": 1.0}


def record(*rows: dict[str, object], ended: str) -> Record:
    results = {"rows": list(rows)}
    return Record(
        name="peers", full=False, seed=1, results=results, seconds=1, cpu_seconds=1, ended=ended
    )


def test_rows_of_peers_that_are_not_here_are_kept_with_their_day() -> None:
    old = [row("a set", "kademlia", 1), row("a set", "hivemind", 1)]
    first = with_earlier([row("a set", "kademlia", 2)], record(*old, ended="1 May"))
    assert first == [
        row("a set", "kademlia", 2),
        {**row("a set", "hivemind", 1), "measured": "1 May"},
    ]
    second = with_earlier([row("a set", "kademlia", 3)], record(*first, ended="2 May"))
    assert second[1]["measured"] == "1 May"
    both = [row("a set", "kademlia", 4), row("a set", "hivemind", 4)]
    assert with_earlier(both, record(*second, ended="3 May")) == both
    assert with_earlier(both, None) == both


def test_a_measure_is_the_same_whichever_of_our_settings_was_best() -> None:
    old = row("decode32, tokens/s (PocketHive, quick)", "llama.cpp", 1)
    now = row("decode32, tokens/s (PocketHive, roomy)", "llama.cpp", 2)
    assert with_earlier([now], record(old, ended="1 May")) == [now]
