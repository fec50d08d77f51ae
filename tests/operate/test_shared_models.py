"""Models that devices of a hive give each other: two nodes over loopback, small files."""

import json
from pathlib import Path

import pytest

from pockethive.inference.bundle import (
    CARD,
    Bundle,
    Card,
    open_bundle,
    write_bundle,
)
from pockethive.inference.parcel import told_by
from pockethive.inference.quality import Quality, read_quality, write_quality
from tests.operate.conftest import Processes

pytestmark = pytest.mark.processes

WEIGHTS = bytes(range(256)) * 12_000  # three chunks of a blob


def bundle_in(home: Path, licence: str = "Apache-2.0", weights: bytes = WEIGHTS) -> Bundle:
    """A sound bundle of files that no run time could load, with what was measured of it."""
    made = home / "made"
    made.mkdir(parents=True)
    tokenizer = {"model": {"vocab": {"a": 0, "b": 1, "c": 2}}, "added_tokens": []}
    (made / "openvino_model.bin").write_bytes(weights)
    (made / "openvino_model.xml").write_text("<net/>")
    (made / "tokenizer.json").write_text(json.dumps(tokenizer))
    card = Card(
        name="tiny",
        quantization="int8",
        source="hf:owner/tiny",
        revision="0123abc",
        licence=licence,
        parameters=1000,
        context=64,
        stop_ids=(2,),
        chat="<s>{system}</s><u>{user}</u>",
        chat_bare="<u>{user}</u>",
        files={},
    )
    bundle = write_bundle(made, card, home / "models" / "tiny-int8")
    figures = Quality(
        card=bundle.card.sha256,
        tokens=10,
        perplexity=9.0,
        perplexity_before=8.0,
        agreement=0.9,
        peak_bytes=1,
    )
    write_quality(bundle.folder, figures)
    return bundle


def test_a_member_gets_a_bundle_of_another_with_the_same_card(processes: Processes) -> None:
    bundle = bundle_in(processes.folder / "a")
    node, contact = processes.node("--no-work")
    shared = processes.run("models", "share", "tiny")
    assert shared.returncode == 0, shared.stderr
    address = shared.stdout.strip()
    assert address.startswith("hive:")
    assert processes.run("models", "share", "tiny").stdout.strip() == address

    processes.node("--no-work", "--join", contact, home="b")
    listed = processes.run("models", "list", "--shared", home="b")
    assert listed.returncode == 0, listed.stderr
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    [row] = [row for row in rows if row[4] == address]
    assert row[:4] == ["tiny", "int8", "3 MB", "Apache-2.0"]

    got = processes.run("models", "get", address, home="b")
    assert got.returncode == 0, got.stderr
    assert bundle.card.sha256 in got.stdout
    there = open_bundle(processes.folder / "b" / "models" / "tiny-int8", full=True)
    assert there.card == bundle.card
    assert (there.folder / CARD).read_bytes() == (bundle.folder / CARD).read_bytes()
    assert read_quality(there.folder, there.card.sha256) is not None
    assert told_by(there.folder, "quality.json")
    assert told_by(bundle.folder, "quality.json") is None
    card = processes.run("models", "card", "tiny", home="b").stdout
    assert "says device" in card
    assert [path.name for path in there.folder.parent.iterdir()] == ["tiny-int8"]
    again = processes.run("models", "get", address, home="b")
    assert again.returncode == 0, "what is here is not fetched again"

    (there.folder / "openvino_model.bin").write_bytes(WEIGHTS[:-1] + b"X")
    mended = processes.run("models", "get", address, home="b")
    assert mended.returncode == 0, mended.stderr
    assert open_bundle(there.folder, full=True).card == bundle.card

    node.terminate()
    assert node.wait(30) == 0
    _, contact = processes.node("--no-work")
    late = processes.run("models", "get", address, "--join", contact, home="c")
    assert late.returncode == 0, late.stderr
    assert open_bundle(processes.folder / "c" / "models" / "tiny-int8").card == bundle.card

    ended = processes.run("models", "share", "tiny", "--stop")
    assert "is not shared any more" in ended.stdout
    gone = processes.run("models", "get", address, "--join", contact, home="d")
    assert gone.returncode == 1
    assert "no holder gave the blob" in gone.stderr
    listed = processes.run("models", "list", "--shared", "--join", contact, home="d")
    assert address not in listed.stdout
    assert not (processes.folder / "d" / "models").exists()


def test_what_a_member_shares_is_refused_before_it_is_fetched(processes: Processes) -> None:
    bundle_in(processes.folder / "a", licence="gemma")
    other = bundle_in(processes.folder / "b")
    _, contact = processes.node("--no-work")
    address = processes.run("models", "share", "tiny").stdout.strip()
    taken = processes.run("models", "get", address, "--join", contact, home="b")
    assert taken.returncode == 2
    assert "another bundle of tiny int8 is here" in taken.stderr
    assert open_bundle(other.folder, full=True).card == other.card

    strange = processes.run("models", "get", address, "--join", contact, home="c")
    assert strange.returncode == 2
    assert "stands under the licence 'gemma'" in strange.stderr
    assert not (processes.folder / "c" / "models").exists()
    said = ("--join", contact, "--accept-licence", "Gemma")
    agreed = processes.run("models", "get", address, *said, home="c")
    assert agreed.returncode == 0, agreed.stderr

    for wrong in ("hive:", "hive:12", "hive:" + "g" * 64):
        refused = processes.run("models", "get", wrong, home="c")
        assert refused.returncode == 2
        assert "is no address of a model" in refused.stderr


def test_sharing_needs_a_node_that_runs(processes: Processes) -> None:
    bundle_in(processes.folder / "a")
    refused = processes.run("models", "share", "tiny")
    assert refused.returncode == 1
    assert "no node runs in this home" in refused.stderr
    processes.node("--no-work")
    missing = processes.run("models", "share", "smollm2-135m-instruct")
    assert missing.returncode == 1
    assert "is not on this device" in missing.stderr
