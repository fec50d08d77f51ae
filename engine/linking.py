"""Linking a second device to its owner: a request goes one way, certificates come back.

Both are one line of text, passed by whatever means: they hold no secret. The secret key never
leaves the home it was made in. A home asks at once for the devices of its first swarm, because only
the owner's key could certify them later.
"""

from pathlib import Path
from typing import Any, Final

from pockethive.core.canonical import decode_object, encode, from_text, to_text
from pockethive.core.errors import BadEncoding, BadInput
from pockethive.dht.identity import Identity, OwnerKey, certified, certify
from pockethive.dht.member_list import check_name
from pockethive.home import NODE, Person, keep_certificate, keep_person, make_private, person_of

REQUEST: Final = "pockethive-request:"
CERTIFICATE: Final = "pockethive-certificate:"
FOLDERS: Final = (
    NODE,
    "swarm-1/owner",
    "swarm-1/device-1",
    "swarm-1/device-2",
    "swarm-1/device-3",
)
MAX_DEVICES: Final = 16
_MAX_TEXT: Final = 8_000


def request_link(home: Path) -> str:
    """What the owner's home is asked for. Makes the devices' keys."""
    make_private(home)
    devices = []
    for name in FOLDERS:
        make_private(home / name)
        devices.append(to_text(Identity.load_or_create(home / name).public))
    return REQUEST + to_text(encode({"v": 1, "devices": devices}))


def answer_link(home: Path, text: str) -> str:
    """Certificates of this home's owner for the devices of a request.

    Raises:
        BadInput: not a request, or the owner's key is elsewhere.
    """
    value = _read(text, REQUEST, {"v", "devices"})
    person = person_of(home)
    if person.linked is not None:
        raise BadInput(
            "the owner's key is not in this home", cure="use the device on which it was made"
        )
    make_private(home)
    owner = OwnerKey.load_or_create(home)
    devices = [_key(device) for device in _list(value["devices"])]
    signed = [[to_text(one), to_text(certify(owner, one))] for one in devices]
    answer = {
        "v": 1,
        "owner": to_text(owner.public),
        "name": check_name(person.name),
        "devices": signed,
    }
    return CERTIFICATE + to_text(encode(answer))


def install_link(home: Path, text: str) -> Person:
    """Take the certificates that came back; the owner.

    Raises:
        BadInput: not certificates, or for other devices than this home's.
    """
    value = _read(text, CERTIFICATE, {"v", "owner", "name", "devices"})
    owner = _key(value["owner"])
    given: dict[bytes, bytes] = {}
    for row in _list(value["devices"]):
        if not isinstance(row, list) or len(row) != 2:
            raise _bad(CERTIFICATE)
        given[_key(row[0])] = _key(row[1], 64)
    held = {name: Identity.load_or_create(home / name).public for name in _made(home)}
    fitting = {
        name: given[device]
        for name, device in held.items()
        if device in given and certified(owner, device, given[device])
    }
    if NODE not in fitting:
        raise BadInput(
            "these certificates are not for this device",
            cure="make the request here: pockethive owner link --request",
        )
    try:
        person = Person(name=check_name(value["name"]), linked=owner)
    except BadEncoding as error:
        raise _bad(CERTIFICATE) from error
    for name, certificate in fitting.items():
        keep_certificate(home / name, owner, certificate)
    keep_person(home, person)
    return person


def _made(home: Path) -> list[str]:
    return [name for name in FOLDERS if (home / name / Identity.FILE).exists()]


def _read(text: str, scheme: str, fields: set[str]) -> dict[str, Any]:
    text = text.strip()
    if not text.startswith(scheme) or len(text) > _MAX_TEXT:
        raise _bad(scheme)
    try:
        value = decode_object(from_text(text[len(scheme) :]), _MAX_TEXT)
    except BadEncoding as error:
        raise _bad(scheme) from error
    if value.keys() != fields or value["v"] != 1 or value["v"] is True:
        raise _bad(scheme)
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_DEVICES:
        raise BadInput("a text of no devices, or of too many")
    return value


def _key(text: object, size: int = 32) -> bytes:
    try:
        if not isinstance(text, str):
            raise BadEncoding("a key is text")
        return from_text(text, size)
    except BadEncoding as error:
        raise BadInput("a damaged key in this text", cure="copy the whole text") from error


def _bad(scheme: str) -> BadInput:
    return BadInput(
        "this text is damaged, or something else",
        cure=f"copy the whole line that begins with {scheme}",
    )
