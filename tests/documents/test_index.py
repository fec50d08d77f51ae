"""The index finds, proves, and does nothing twice."""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pockethive.actors.documents.attestation import fault, quotation
from pockethive.actors.documents.index import DocumentIndex, Signer
from pockethive.actors.documents.query import analyse
from pockethive.core.canonical import decode, encode, to_text
from pockethive.core.errors import DocumentError

TEXTS = {
    "tea.txt": "Tea\n===\n\nGreen tea is brewed at seventy degrees for two minutes.\n\n"
    "Black tea takes boiling water and four minutes, and some drink it with milk and sugar.\n",
    "harbour.md": "# Harbour\n\nThe ferry leaves the harbour at seven in the morning and at noon. "
    "Tickets cost four crowns.\n\n## Winter\n\nIn winter there is one ferry a day, and none when "
    "the harbour is frozen over, as it was in the year of the great storm.\n",
    "calls.txt": "The call operator ** unpacks a mapping into keyword arguments of the call.\n\n"
    "The method __call__ makes an instance callable like any function would be.\n",
}


def signer(number: int = 1) -> Signer:
    key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    return Signer(device=to_text(key.public_key().public_bytes_raw()), sign=key.sign)


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "documents"
    place.mkdir()
    for name, text in TEXTS.items():
        (place / name).write_text(text)
    return place


@pytest.fixture
def index(folder: Path) -> Any:
    with DocumentIndex.build([folder], ":memory:", signer()) as made:
        yield made


def found(index: DocumentIndex, question: str) -> dict[str, Any]:
    hit = index.search(question)[0]
    proven = quotation(hit.source, index.device, hit.passage, index.prove(hit))
    text = hit.passage.text
    value = {**proven, "quote": text[:20], "start": 0, "score": 1}
    return dict(decode(encode(value), 10_000))  # as it comes from the wire


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("When does the ferry leave?", "harbour.md"),
        ("how long do I brew green tea", "tea.txt"),
        ("what does ** do in a call?", "calls.txt"),
        ("what is __call__?", "calls.txt"),
    ],
)
def test_a_question_finds_its_document(index: DocumentIndex, question: str, source: str) -> None:
    hits = index.search(question)
    assert hits[0].source == source
    assert hits[0].passage.text in TEXTS[source]
    assert hits[0].coverage > 0.4


def test_a_question_about_other_things_covers_little_or_finds_nothing(index: DocumentIndex) -> None:
    assert index.search("quantum chromodynamics lagrangian") == ()
    assert all(hit.coverage < 0.4 for hit in index.search("who won the football game at seven?"))


@pytest.mark.parametrize(
    "question", ["", "???", '"', "a AND b OR (", "NEAR(x y)", "tea*", "title:tea", "'; --"]
)
def test_nothing_in_a_question_is_search_syntax(index: DocumentIndex, question: str) -> None:
    index.search(question)


def test_an_index_tells_which_words_it_knows_and_picks_other_passages(index: DocumentIndex) -> None:
    assert index.known("does a zeppelin leave the harbour") == pytest.approx(2 / 3)
    assert index.known("") == 0.0
    hits = {hit.key for hit in index.search("ferry")}
    picked = index.pick(b"seed", 2, without=hits)
    assert picked == index.pick(b"seed", 2, without=hits)
    assert picked
    assert not any("ferry" in passage.text for passage in picked)


def test_small_words_are_kept_when_there_is_nothing_else() -> None:
    assert analyse("what is in?").words == ("what", "is", "in")
    assert analyse("what does 'in' do with strings").symbols == ("in",)
    assert analyse("the in operator on the list").symbols == ("in",)
    assert analyse("the difference between == and is").symbols == ("==", "is")
    assert analyse("difference between / and // here").symbols == ("/", "//")
    assert analyse("a well-known thing").symbols == ()


def test_a_finding_proves_itself(index: DocumentIndex) -> None:
    assert fault(found(index, "ferry"), index.device, verify) is None


def changed(**new: Any) -> Callable[[dict[str, Any]], None]:
    return lambda finding: finding.update(new)


def other_text(finding: dict[str, Any]) -> None:
    finding["passage"] = {**finding["passage"], "text": finding["quote"] + " and more"}


def other_heading(finding: dict[str, Any]) -> None:
    finding["passage"] = {**finding["passage"], "heading": "Elsewhere"}


def without_path(finding: dict[str, Any]) -> None:
    finding["path"] = finding["path"][:-1]


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (changed(quote="The ferry never leaves"), "does not stand in its passage"),
        (changed(quote=""), "does not stand"),
        (changed(start=1), "does not stand"),
        (changed(start=-1), "cannot be"),
        (changed(source="other.md"), "not signed"),
        (changed(size=1), "not under the document's root"),
        (changed(root=to_text(b"r" * 32)), "not under"),
        (changed(salt=to_text(b"s" * 16)), "not under"),
        (changed(salt="!"), "broken proof"),
        (changed(root_signature=to_text(b"s" * 64)), "not signed"),
        (changed(v=2), "version 2"),
        (changed(score=True), "of another type"),
        (changed(extra=1), "fields"),
        (changed(quote="x" * 5000), "larger"),
        (changed(path=[1]), "cannot be"),
        (other_text, "not under"),
        (other_heading, "not under"),
        (without_path, "not under"),
    ],
)
def test_a_forged_finding_is_named_as_such(
    index: DocumentIndex, forge: Callable[[dict[str, Any]], None], reason: str
) -> None:
    finding = found(index, "ferry")
    forge(finding)
    told = fault(finding, index.device, verify)
    assert told is not None
    assert reason in told


def test_a_finding_of_another_device_is_refused(index: DocumentIndex) -> None:
    other = signer(2).device
    assert "another device" in str(fault(found(index, "ferry"), other, verify))
    finding: Mapping[str, Any] = {**found(index, "ferry"), "device": other}
    assert "not signed" in str(fault(finding, other, verify))


def rows(database: Path) -> dict[str, bytes]:
    with sqlite3.connect(database) as connection:
        found = dict(connection.execute("SELECT source, signature FROM documents").fetchall())
    connection.close()
    return found


def test_only_what_changed_is_indexed_again(folder: Path, tmp_path: Path) -> None:
    database = tmp_path / "home" / "index.sqlite"
    DocumentIndex.build([folder], database, signer()).close()
    before = rows(database)
    (folder / "tea.txt").write_text("Tea\n\nThe tea was sold and nothing about it is known here.")
    (folder / "calls.txt").unlink()
    (folder / "new.txt").write_text("Something new under the sun was written down here today.")
    with DocumentIndex.build([folder], database, signer()) as index:
        assert index.sources() == ("harbour.md", "new.txt", "tea.txt")
        assert index.search("green degrees brewed") == ()
        assert index.search("new under the sun")[0].source == "new.txt"
        assert index.search("keyword mapping") == ()
    after = rows(database)
    assert after["harbour.md"] == before["harbour.md"]  # salts and root untouched
    assert after["tea.txt"] != before["tea.txt"]


def test_an_index_of_another_device_or_a_damaged_file_is_made_anew(
    folder: Path, tmp_path: Path
) -> None:
    database = tmp_path / "index.sqlite"
    DocumentIndex.build([folder], database, signer(1)).close()
    with DocumentIndex.build([folder], database, signer(2)) as index:
        assert fault(found(index, "ferry"), signer(2).device, verify) is None
    database.write_bytes(b"not a database at all, only some bytes" * 40)
    with DocumentIndex.build([folder], database, signer(2)) as index:
        assert index.documents == 3


def test_bad_files_are_skipped_with_a_report_and_all_bad_is_an_error(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with DocumentIndex.build([folder], ":memory:", signer()) as index:
        assert index.documents == 3
        assert [Path(problem.where).name for problem in index.skipped] == ["picture.png"]
    bad = tmp_path / "bad"
    bad.mkdir()
    with pytest.raises(DocumentError, match="no files here"):
        DocumentIndex.build([bad], ":memory:", signer())
    (bad / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DocumentError, match=r"picture\.png.*not UTF-8"):
        DocumentIndex.build([bad], ":memory:", signer())
