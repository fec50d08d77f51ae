"""Invitations: links that say what they said, or one sentence why they do not."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.cli.invite import qr_text, write_qr
from pockethive.core.canonical import decode_object, encode, from_text, to_text
from pockethive.core.errors import BadInput, BadInvitation, ProtocolError
from pockethive.dht.admission import (
    REFUSALS,
    Application,
    AskNonce,
    Introduction,
    answer,
    read_answer,
    read_asked,
    refusal,
)
from pockethive.dht.contact import Contact
from pockethive.dht.invitation import (
    MAX_CONTACTS,
    MAX_LINK,
    SCHEME,
    Invitation,
    read_link,
    verifier,
)
from pockethive.dht.membership import MAX_TOLD, Membership, News, vouch
from pockethive.dht.testing import NOW, somebody
from tests.hive.people import CHARTER, FOUNDER, STRANGER, history, listed, owner_of


def invitation(count: int = 1, **changes: Any) -> Invitation:
    """An invitation as a founder's home makes it."""
    host = "fd00:1111:2222:3333:4444:5555:6666:7777"
    parts: dict[str, Any] = {
        "charter": CHARTER,
        "contacts": tuple(Contact(somebody(f"{n}").public, host, 65535) for n in range(count)),
        "secret": bytes(16),
        "expires": int(NOW),
        "uses": 1,
        "inviter": somebody("0").public,
    }
    return Invitation(**{**parts, **changes}).signed(FOUNDER)


@pytest.mark.parametrize("contacts", [1, MAX_CONTACTS])
def test_a_link_says_what_was_written_into_it(contacts: int) -> None:
    made = invitation(contacts)
    assert read_link(f"  {made.link()}\n") == made
    assert len(made.link()) <= MAX_LINK


@pytest.mark.parametrize(
    "change", [{"uses": 0}, {"uses": 65}, {"contacts": ()}, {"secret": b""}, {"expires": 0}]
)
def test_an_invitation_out_of_bounds_is_not_made(change: dict[str, Any]) -> None:
    with pytest.raises(BadInvitation):
        invitation(**change)


def sentence(link: str) -> str:
    """What is said of a link that cannot be used."""
    with pytest.raises(BadInvitation) as refused:
        read_link(link)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2
    return str(refused.value)


def changed(**fields: Any) -> str:
    """A link with fields replaced after it was signed."""
    value = decode_object(from_text(invitation().link()[len(SCHEME) :]), MAX_LINK)
    return SCHEME + to_text(encode({**value, **fields}))


def test_damaged_forged_and_foreign_links_are_told_apart() -> None:
    link = invitation().link()
    assert "damaged" in sentence(link[:-9])
    assert "damaged" in sentence(link[:60] + "!" + link[61:])
    assert "damaged" in sentence(changed(v=2))
    assert "damaged" in sentence(changed(contacts=["nobody"]))
    assert "damaged" in sentence(changed(hive="No Name"))
    assert "no invitation" in sentence("https://example.org/")
    assert "too long" in sentence(SCHEME + "A" * MAX_LINK)
    assert "forged" in sentence(changed(uses=64))
    assert "forged" in sentence(changed(contacts=[str(Contact(bytes(32), "10.0.0.1", 9))]))
    assert "forged" in sentence(changed(key=to_text(STRANGER.public)))


@given(st.text(max_size=200))
def test_noise_is_no_link(text: str) -> None:
    for link in (text, SCHEME + text):
        with pytest.raises(BadInvitation):
            read_link(link)


@given(st.integers(0, len(invitation().link()) - len(SCHEME) - 1), st.sampled_from("AZaz09-_"))
def test_one_letter_changed_makes_no_other_invitation(at: int, letter: str) -> None:
    link = invitation().link()
    other = link[: len(SCHEME) + at] + letter + link[len(SCHEME) + at + 1 :]
    if other != link:
        with pytest.raises(BadInvitation):
            read_link(other)


@pytest.mark.parametrize("contacts", [1, MAX_CONTACTS])
def test_the_qr_code_holds_the_link(contacts: int, tmp_path: Path) -> None:
    segno = pytest.importorskip("segno")
    link = invitation(contacts).link()
    code = segno.make_qr(link, error="l", boost_error=False)
    assert not code.is_micro
    drawn = qr_text(link)
    assert set(drawn) - {"\n"} <= set("█▀▄ \xa0") | set("\x1b[0m748;")
    for kind, begins in ((".svg", b"<?xml"), (".png", b"\x89PNG")):
        path = tmp_path / f"code{kind}"
        write_qr(link, path)
        assert path.read_bytes().startswith(begins)
    with pytest.raises(BadInput, match="cannot write"):
        write_qr(link, tmp_path / "nowhere" / "code.svg")
    width = len(re.sub(r"\x1b\[[0-9;]*m", "", drawn.splitlines()[0]))
    assert width <= 129 + 4


# what a joining device says


def application() -> Application:
    anna = owner_of("anna")
    entry = listed(somebody("new"))
    return Application(
        invitation=bytes(32),
        nonce=b"n" * 32,
        owner=anna.public,
        owner_name="Anna",
        device_name="laptop",
        certificate=entry.certificate,
    )


def test_a_proof_serves_one_device_one_hive_and_one_nonce() -> None:
    key, admitter, device = verifier(b"s" * 16), somebody("a").public, somebody("new").public
    asked = application().proven(key, CHARTER.id, admitter, device)
    assert asked.proves(key, CHARTER.id, admitter, device)
    assert not asked.proves(verifier(b"t" * 16), CHARTER.id, admitter, device)
    assert not asked.proves(key, bytes(32), admitter, device)
    assert not asked.proves(key, CHARTER.id, device, device)
    assert not asked.proves(key, CHARTER.id, admitter, admitter)
    assert b"s" * 16 not in asked.encode()
    for name, value in (("nonce", bytes(32)), ("owner", bytes(32)), ("device_name", "phone")):
        fields = {one: getattr(asked, one) for one in Application.__slots__}
        other = Application(**{**fields, name: value})
        assert not other.proves(key, CHARTER.id, admitter, device)


def test_all_that_travels_reads_back() -> None:
    voucher = vouch(somebody("a"), somebody("child").public, CHARTER.id)
    news = News(7, 3, (voucher,))
    assert News.decode(news.encode()) == news
    for asked in (application(), AskNonce(CHARTER.id), Introduction(CHARTER.id, news, "k@h:1")):
        assert read_asked(asked.encode()) == asked
    for reason in REFUSALS:
        assert read_answer(refusal(reason), "nonce") == (reason, b"")
    assert read_answer(answer(nonce=b"n"), "nonce") == ("", b"n")
    for odd in (answer(news=b"n"), encode({"v": 1, "refused": "because"}), b"{}"):
        with pytest.raises(ProtocolError):
            read_answer(odd, "nonce")


@given(st.binary(max_size=200))
def test_noise_to_the_open_door_is_refused_in_words(data: bytes) -> None:
    for read in (read_asked, News.decode, lambda said: read_answer(said, "nonce")):
        with pytest.raises(ProtocolError):
            read(data)


VALUES = st.none() | st.booleans() | st.integers(-9, 2**53) | st.text(max_size=90)


@given(st.dictionaries(st.sampled_from(sorted(application().__slots__)), VALUES), VALUES)
def test_odd_fields_at_the_open_door_are_refused_in_words(fields: dict[str, Any], odd: Any) -> None:
    whole = decode_object(application().encode(), 4_000)
    for said in ({**whole, **fields, "proof": odd}, {"v": 1, "ask": odd, "hive": odd}):
        with pytest.raises(ProtocolError):
            read_asked(encode(said))
    with pytest.raises(ProtocolError):
        News.decode(encode({"v": 1, "version": 1, "pages": 1, "vouchers": [[odd, odd, odd]]}))


# vouchers


def test_a_listed_device_vouches_for_its_home_until_it_is_revoked() -> None:
    membership = Membership(CHARTER)
    sponsor, child, stranger = somebody("a"), somebody("child"), somebody("stranger")
    both, without = history(["a", "b"], ["b"])
    voucher = vouch(sponsor, child.public, CHARTER.id)
    assert not membership.believe(voucher)  # nobody is listed yet
    membership.take(both)
    assert membership.believe(voucher)
    assert not membership.believe(voucher)  # nothing new
    assert membership.is_member(child.public)
    assert not membership.is_listed(child.public)
    assert not membership.believe(vouch(child, stranger.public, CHARTER.id))
    assert not membership.believe(vouch(sponsor, stranger.public, bytes(32)))
    membership.take(without)
    assert not membership.is_member(sponsor.public)
    assert not membership.is_member(child.public)
    assert membership.vouchers() == ()
    assert not membership.believe(voucher)


def test_vouchers_are_bounded_and_the_oldest_makes_room() -> None:
    membership = Membership(CHARTER, history(["a"])[0])
    children = [somebody(f"child {number}").public for number in range(260)]
    for child in children:
        membership.believe(vouch(somebody("a"), child, CHARTER.id))
    assert len(membership.vouchers()) == 256
    assert not membership.is_member(children[0])
    assert membership.is_member(children[-1])
    told = News.decode(News(1, 1, membership.vouchers()).encode()).vouchers
    assert [voucher.device for voucher in told] == children[-MAX_TOLD:]
