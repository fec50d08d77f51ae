"""A second implementation, written from docs/wire.md alone: nothing of ours is imported here.

Whatever it needed and the page did not say was added to the page.
"""

import base64
import hashlib
import hmac
import json
import re
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PRIME = 2**255 - 19

# canonical bytes


def canonical(value: Any, depth: int = 0) -> str:
    assert depth <= 16
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        assert abs(value) <= 2**53
        return str(value)
    if isinstance(value, str):
        value.encode()  # refuses lone surrogates
        return '"' + re.sub(r'["\\\x00-\x1f]', _escaped, value) + '"'
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, depth + 1) for item in value) + "]"
    assert isinstance(value, dict)
    assert all(name.isascii() for name in value)
    pairs = (f"{canonical(n)}:{canonical(value[n], depth + 1)}" for n in sorted(value))
    return "{" + ",".join(pairs) + "}"


def _escaped(match: re.Match[str]) -> str:
    letter = match.group()
    short = {'"': '"', "\\": "\\", "\b": "b", "\t": "t", "\n": "n", "\f": "f", "\r": "r"}
    return f"\\{short[letter]}" if letter in short else f"\\u{ord(letter):04x}"


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def digest(domain: str, *parts: bytes) -> bytes:
    whole = f"pockethive/1 {domain}\n".encode()
    for part in parts:
        whole += struct.pack(">Q", len(part)) + part
    return hashlib.sha256(whole).digest()


# MessagePack, as much as the page needs


def pack(value: Any) -> bytes:
    if isinstance(value, int):
        assert 0 <= value < 128
        return bytes((value,))
    if isinstance(value, list):
        assert len(value) < 16
        return bytes((0x90 | len(value),)) + b"".join(map(pack, value))
    if isinstance(value, str):
        data = value.encode()
        assert len(data) < 32
        return bytes((0xA0 | len(data),)) + data
    size = len(value)
    return (bytes((0xC4, size)) if size < 256 else b"\xc5" + struct.pack(">H", size)) + bytes(value)


# devices


class Device:
    def __init__(self, seed: bytes) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.key.public_key().public_bytes_raw()
        scalar = bytearray(hashlib.sha512(seed).digest()[:32])
        scalar[0] &= 248
        scalar[31] = scalar[31] & 127 | 64
        self.secret = bytes(scalar)


def moved(public: bytes) -> bytes:
    y = int.from_bytes(public, "little") % 2**255
    return ((1 + y) * pow(1 - y, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")


def cipher(own: Device, peer: bytes, salt: bytes, ends: bytes) -> ChaCha20Poly1305:
    agreed = X25519PrivateKey.from_private_bytes(own.secret).exchange(
        X25519PublicKey.from_public_bytes(moved(peer))
    )
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt, b"pockethive/1 seal" + ends).derive(agreed))


def seal(own: Device, peer: bytes, salt: bytes, counter: int, inside: bytes) -> bytes:
    """`inside` is the time and the plain bytes."""
    count = struct.pack(">Q", counter)
    head = b"\x01" + own.public + salt + count
    return head + cipher(own, peer, salt, own.public + peer).encrypt(bytes(4) + count, inside, head)


def unseal(own: Device, datagram: bytes) -> bytes:
    peer, salt, count = datagram[1:33], datagram[33:49], datagram[49:57]
    opener = cipher(own, peer, salt, peer + own.public)
    return opener.decrypt(bytes(4) + count, datagram[57:], datagram[:57])


def fragments(kind: int, ident: int, payload: bytes) -> list[bytes]:
    parts = [payload[at : at + 1140] for at in range(0, len(payload), 1140)]
    return [
        struct.pack(">BQBB", kind, ident, index, len(parts)) + part
        for index, part in enumerate(parts)
    ]


def request(*items: Any) -> bytes:
    """A request's payload, filled up to 16 bytes."""
    return pack(list(items)).ljust(16, b"\0")


def bundle(messages: list[bytes]) -> bytes:
    return b"\x04" + b"".join(struct.pack(">H", len(each)) + each for each in messages)


def unbundle(plain: bytes) -> list[bytes]:
    if plain[0] != 4:
        return [plain]
    found, at = [], 1
    while at < len(plain):
        (size,) = struct.unpack_from(">H", plain, at)
        found.append(plain[at + 2 : at + 2 + size])
        at += 2 + size
    return found


def record(fields: dict[str, Any]) -> tuple[bytes, bytes]:
    """The digest that is signed, and the encoding once `signature` is there too."""
    proof = ("signature", "path")
    unsigned = {name: value for name, value in fields.items() if name not in proof}
    return digest("record", canonical(unsigned).encode()), canonical(fields).encode()


def batch_signed(name: bytes, path: bytes) -> bytes:
    """What the signature of a batch covers, from a record's name and its path."""
    place, size = struct.unpack(">HH", path[:4])
    rest = [path[at : at + 32] for at in range(4, len(path), 32)]
    node, last = digest("batch leaf", name), size - 1
    while last:
        if place != last or place % 2:
            pair = (rest.pop(0), node) if place % 2 else (node, rest.pop(0))
            node = digest("batch node", *pair)
        place, last = place // 2, last // 2
    assert not rest
    return digest("batch", path[2:4], node)


# private hives


def hkdf(secret: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, info).derive(secret)


def encoded(fields: dict[str, Any]) -> bytes:
    """A canonical object; bytes in it become text."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return text(value)
        return [plain(item) for item in value] if isinstance(value, list) else value

    return canonical({name: plain(value) for name, value in fields.items()}).encode()


def charter(key: bytes, name: str) -> tuple[bytes, bytes, str, bytes]:
    """Its bytes and id, the hive's name on the wire, the key of its list."""
    assert re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", name)
    identifier = digest("hive", key, name.encode())
    list_key = digest("hive list", identifier)[:20]
    return encoded({"key": key, "name": name, "v": 1}), identifier, identifier[:16].hex(), list_key


def member_list(version: int, generation: int, rows: list[list[Any]]) -> list[tuple[bytes, bytes]]:
    """(slot, body) of the head and of the pages; a row's third item is the device."""
    rows = sorted(rows, key=lambda row: bytes(row[2]))
    pages = [encoded({"members": rows[at : at + 8], "v": 1}) for at in range(0, len(rows), 8)]
    names = [digest("member page", page) for page in pages]
    head = encoded({"generation": generation, "pages": names, "v": 1, "version": version})
    return [(b"head", head), *((b"%02x" % number, page) for number, page in enumerate(pages))]


def key_cipher(agreed: bytes, hive: bytes, generation: int, ends: bytes) -> ChaCha20Poly1305:
    info = b"pockethive/1 hive key" + hive + struct.pack(">I", generation) + ends
    return ChaCha20Poly1305(hkdf(agreed, info))


def sealed_key(key: bytes, device: bytes, hive: bytes, generation: int, secret: bytes) -> bytes:
    """`secret` is the ephemeral key's."""
    ephemeral = X25519PrivateKey.from_private_bytes(secret)
    public = ephemeral.public_key().public_bytes_raw()
    agreed = ephemeral.exchange(X25519PublicKey.from_public_bytes(moved(device)))
    cipher = key_cipher(agreed, hive, generation, public + device)
    return public + cipher.encrypt(bytes(12), key, None)


def opened_key(own: Device, sealed: bytes, hive: bytes, generation: int) -> bytes:
    secret, public = X25519PrivateKey.from_private_bytes(own.secret), sealed[:32]
    agreed = secret.exchange(X25519PublicKey.from_public_bytes(public))
    cipher = key_cipher(agreed, hive, generation, public + own.public)
    return cipher.decrypt(bytes(12), sealed[32:], None)


def body_context(generation: int, kind: str, *place: bytes) -> bytes:
    """The associated data of a body; `place` is record key, author and slot."""
    head = b"\x02" + struct.pack(">I", generation)
    return head + digest("body context", kind.encode(), *place)


def body_key(key: bytes, nonce: bytes) -> bytes:
    return digest("body key", hkdf(key, b"pockethive/1 body"), nonce)


def sealed_body(key: bytes, context: bytes, plain: bytes) -> bytes:
    nonce_key = hkdf(key, b"pockethive/1 body nonce")
    nonce = digest("body nonce", nonce_key, context, plain)[:12]
    cipher = ChaCha20Poly1305(body_key(key, nonce))
    return context[:5] + nonce + cipher.encrypt(nonce, plain, context)


def opened_body(key: bytes, context: bytes, sealed: bytes) -> bytes:
    cipher = ChaCha20Poly1305(body_key(key, sealed[5:17]))
    return cipher.decrypt(sealed[5:17], sealed[17:], context)


LINK = "pockethive://join/"


def link(fields: dict[str, Any], sign: Any) -> str:
    """`sign` makes the hive's signature over a message."""
    signature = sign(digest("invitation", encoded(fields)))
    return LINK + text(encoded({**fields, "signature": signature}))


def read_link(written: str) -> tuple[dict[str, Any], bytes, bytes]:
    """The fields but for the signature, what is signed, the signature."""
    letters = written.removeprefix(LINK)
    fields = json.loads(unbased(letters))
    signature = unbased(fields.pop("signature"))
    return fields, digest("invitation", canonical(fields).encode()), signature


def unbased(letters: str) -> bytes:
    return base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))


def join_proof(verifier: bytes, *said: bytes) -> bytes:
    """`said`: id, admitter, device, nonce, owner, owner name, device name, certificate."""
    return hmac.digest(verifier, digest("join proof", *said), "sha256")
