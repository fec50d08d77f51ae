"""Metrics, health and the small web server that shows them."""

import json
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pockethive.core.errors import NetworkError
from pockethive.core.idle import Lending
from pockethive.core.ports import ModelFacts
from pockethive.dht.facts import NodeFacts
from pockethive.dht.tally import Tally
from pockethive.health import illnesses, obstacles
from pockethive.metrics import exposition
from pockethive.vitals import Vitals
from pockethive.web import MAX_CONNECTIONS, MAX_HEAD, Page, WebServer, respond
from tests.operate.conftest import Beside

FACTS = NodeFacts(
    records=3,
    record_bytes=2_000,
    max_records=10,
    max_record_bytes=9_000,
    cells=1,
    blobs=2,
    blob_bytes=77,
    blob_quota=1_000,
    peers=4,
    sent_datagrams=5,
    sent_bytes=600,
    received_datagrams=7,
    received_bytes=800,
    drops={"replay": 2, 'odd "name"\\\n': 1},
    operations={"get": Tally(buckets=[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1], seconds=9.5, failed=1)},
)
VITALS = Vitals(
    node=FACTS,
    uptime=12.5,
    members=3,
    jobs={"scout": 1, "verifier": 0},
    leases=1,
    answers={"grant": 6},
    lag=0.01,
    disk_free=10**10,
    memory=40_000_000,
    cpu=0.5,
    joining=True,
    draining=False,
    fault="",
    lending=Lending(open=True, reason="it is idle"),
    model=ModelFacts(under_way=2, held=7_000, limit=9_000, read=345),
)


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample, by an independent parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_an_independent_parser_reads_what_was_measured() -> None:
    samples = parsed(exposition(VITALS))
    assert samples["pockethive_up", ()] == 1
    assert samples["pockethive_records", ()] == 3
    assert samples["pockethive_datagram_bytes_total", (("direction", "out"),)] == 600
    assert samples["pockethive_drops_total", (("reason", 'odd "name"\\\n'),)] == 1
    assert samples["pockethive_open_jobs", (("machine", "scout"),)] == 1
    assert samples["pockethive_witness_answers_total", (("answer", "grant"),)] == 6
    assert samples["pockethive_model_cache_bytes", ()] == 7_000
    assert samples["pockethive_model_tokens_total", ()] == 345
    bucket = "pockethive_operation_seconds_bucket"
    assert samples[bucket, (("le", "0.01"), ("operation", "get"))] == 3
    assert samples[bucket, (("le", "+Inf"), ("operation", "get"))] == 4
    assert samples["pockethive_operation_seconds_sum", (("operation", "get"),)] == 9.5
    assert samples["pockethive_operation_failures_total", (("operation", "get"),)] == 1


@given(
    st.dictionaries(st.text(max_size=20).filter(lambda name: "\r" not in name), st.integers(0, 9)),
    st.floats(0, 1e12),
)
def test_whatever_is_counted_makes_readable_text(drops: dict[str, int], lag: float) -> None:
    text = exposition(replace(VITALS, node=replace(FACTS, drops=drops), lag=lag))
    read = {
        dict(k[1])["reason"]: v for k, v in parsed(text).items() if k[0].endswith("drops_total")
    }
    assert read == drops


@pytest.mark.parametrize(
    ("change", "ill", "why"),
    [
        ({}, False, None),
        ({"fault": "KeyError('x')"}, True, "machines crashed"),
        ({"disk_free": 1_000_000}, True, "1 MB are free"),
        ({"lag": 8.0}, True, "late by 8.0 s"),
        ({"draining": True}, False, "it is leaving"),
        ({"node": replace(FACTS, peers=0)}, False, "it knows no peer"),
    ],
)
def test_a_judgement_comes_with_its_reason(
    change: dict[str, Any], ill: bool, why: str | None
) -> None:
    vitals = replace(VITALS, **change)
    assert bool(illnesses(vitals)) == ill
    assert bool(obstacles(vitals)) == (why is not None)
    assert why is None or why in obstacles(vitals)[0]
    assert f"\npockethive_up {int(not ill)}\n" in exposition(vitals)


def fetch(beside: Beside, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(f"http://{beside.card.metrics}{path}", timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_a_running_device_shows_its_pages(beside: Beside) -> None:
    status, kind, text = fetch(beside, "/metrics?x=1")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert parsed(text)["pockethive_members", ()] == 1
    assert parsed(text)["pockethive_resident_memory_bytes", ()] > 10**7
    assert fetch(beside, "/health")[::2] == (200, '{"ok": true, "reasons": []}\n')
    assert fetch(beside, "/nothing")[0] == 404
    beside.device.broken(KeyError("a fault of ours"))
    status, _, text = fetch(beside, "/health")
    assert status == 503
    assert "a fault of ours" in json.loads(text)["reasons"][0]
    assert fetch(beside, "/ready")[0] == 503


def test_a_taken_port_is_named_with_its_cure(beside: Beside) -> None:
    host, _, port = beside.card.metrics.rpartition(":")
    with pytest.raises(NetworkError, match=r"port is taken.*--metrics"):
        beside.device.call(WebServer({}).start(host, int(port)))


PAGES = {"/a": lambda: Page(200, "text/plain", b"here")}


@given(st.binary(max_size=300))
def test_any_bytes_get_one_whole_answer(head: bytes) -> None:
    answer = respond(head, PAGES)
    first, _, rest = answer.partition(b"\r\n")
    assert first.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505"))
    assert b"Connection: close\r\n" in rest


@given(st.sampled_from([b"GET", b"HEAD", b"POST", b"get"]), st.text(max_size=30), st.binary())
def test_only_known_pages_are_shown(method: bytes, path: str, more: bytes) -> None:
    target = "/" + path.replace(" ", "")
    answer = respond(method + b" " + target.encode() + b" HTTP/1.1\r\n" + more, PAGES)
    shown = method in (b"GET", b"HEAD") and target.partition("?")[0] == "/a"
    assert answer.startswith(b"HTTP/1.1 200") == shown
    assert answer.endswith(b"here") == (shown and method == b"GET")


def test_a_page_that_fails_is_one_answer_and_the_next_is_fine(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> Page:
        raise ZeroDivisionError

    assert respond(b"GET /b HTTP/1.1\r\n\r\n", {"/b": broken}).startswith(b"HTTP/1.1 500")
    assert "a page could not be made" in caplog.text


def test_what_is_too_long_or_too_many_is_turned_away_and_the_rest_served(beside: Beside) -> None:
    host, _, port = beside.card.metrics.rpartition(":")
    where = host, int(port)
    with socket.create_connection(where, 10) as one:
        one.sendall(b"GET / HTTP/1.1\r\nx: " + b"y" * 2 * MAX_HEAD)
        assert one.recv(100).startswith(b"HTTP/1.1 431")
    crowd = [socket.create_connection(where, 10) for _ in range(MAX_CONNECTIONS + 4)]
    try:
        for each in crowd[:4]:
            each.sendall(b"\x00\xff")
        turned_away = [each for each in crowd[MAX_CONNECTIONS:] if each.recv(1) == b""]
        assert len(turned_away) == 4
    finally:
        for each in crowd:
            each.close()
    assert fetch(beside, "/health")[0] == 200
