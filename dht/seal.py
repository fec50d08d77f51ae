"""Sealed datagrams: authenticated and encrypted between two device keys, without a handshake.

    version 1 | sender's Ed25519 key 32 | boot salt 16 | counter 8 | sealed (time 8, plain), tag 16

The cipher is ChaCha20-Poly1305. Its key: X25519 between the two devices' Ed25519 keys moved to the
Montgomery curve, then HKDF-SHA256 with the sender's boot salt, and both keys in the info, so that
each direction, pair and boot has a key of its own. Its nonce: the counter, which serves all peers
and is never reused under one salt; random 12-byte nonces would meet their birthday limit near 2^32
datagrams.

Guards: a datagram is accepted once (a sliding window over counters per boot salt) and only within
`WINDOW` seconds of our clock, so that a receiver that restarted or forgot a peer cannot be fed old
ones. What is replayed within the window right after a restart does no harm where requests are
idempotent, as the DHT's own are. There is no forward secrecy: what must stay secret for years goes
through TLS.
"""

import itertools
import struct
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pockethive.core.errors import BadEncoding, BadSignature, ProtocolError
from pockethive.dht import reasons
from pockethive.dht.identity import PUBLIC_SIZE, Identity

MAX_DATAGRAM = 1232  # the IPv6 minimum MTU of 1,280 less IP and UDP headers
OVERHEAD = 1 + PUBLIC_SIZE + 16 + 8 + 8 + 16
MAX_PLAIN = MAX_DATAGRAM - OVERHEAD
WINDOW = 120.0  # seconds; devices set their clocks by network time, phones in a tunnel drift

_T = TypeVar("_T")
_VERSION = 1
_HEAD = 1 + PUBLIC_SIZE + 16 + 8
BOOT = slice(1 + PUBLIC_SIZE, 1 + PUBLIC_SIZE + 16)  # the sender's salt in a datagram
_PRIME = 2**255 - 19
_REPLAY_BITS = 2048
_MAX_PEERS = 4096
_SALTS_PER_PEER = 2
_CIPHERS = 1024


def montgomery(public: bytes) -> bytes:
    """The X25519 public key of an Ed25519 one: u = (1 + y) / (1 - y) (RFC 7748, section 4.1).

    Raises:
        BadEncoding: a y that is not reduced, or the neutral point.
    """
    y = int.from_bytes(public, "little") & (2**255 - 1)
    if len(public) != PUBLIC_SIZE or y >= _PRIME or y == 1:
        raise BadEncoding("not an Ed25519 key", where=reasons.KEY)
    return ((1 + y) * pow(1 - y, -1, _PRIME) % _PRIME).to_bytes(32, "little")


class WrongTime(ProtocolError):
    """Sealed under its sender's key when this device's clock says another time.

    `ahead`: seconds by which the sender's clock is ahead of ours, or the datagram is that old.
    """

    def __init__(self, public: bytes, plain: bytes, ahead: float) -> None:
        super().__init__("sealed too long ago, or a clock is wrong", where=reasons.CLOCK)
        self.public, self.plain, self.ahead = public, plain, ahead


class _Session:
    """Key and replay window of one sender's boot."""

    __slots__ = ("key", "newest", "salt", "seen")

    def __init__(self, salt: bytes, key: bytes) -> None:
        self.salt, self.key, self.newest, self.seen = salt, key, -1, 0

    def accept(self, counter: int) -> bool:
        """Mark a counter; False when it was seen or lies behind the window (RFC 6479)."""
        ahead = counter - self.newest
        if ahead > 0:
            shifted = self.seen << ahead if ahead < _REPLAY_BITS else 0
            self.seen = (shifted | 1) & ((1 << _REPLAY_BITS) - 1)
            self.newest = counter
            return True
        if -ahead >= _REPLAY_BITS or self.seen >> -ahead & 1:
            return False
        self.seen |= 1 << -ahead
        return True


class Sealer:
    """Seals and opens datagrams for one device. Belongs to one thread."""

    def __init__(
        self, identity: Identity, clock: Callable[[], float], randbytes: Callable[[int], bytes]
    ) -> None:
        self._public = identity.public
        self._secret = X25519PrivateKey.from_private_bytes(identity.agreement_secret)
        self._clock = clock
        self._salt = randbytes(16)
        self._counter = itertools.count()
        self._head = bytes([_VERSION]) + self._public + self._salt
        self._agreed: OrderedDict[bytes, bytes] = OrderedDict()
        self._outgoing: OrderedDict[bytes, bytes] = OrderedDict()
        self._incoming: OrderedDict[bytes, tuple[_Session, ...]] = OrderedDict()

    @property
    def boot(self) -> bytes:
        """What tells this process from others under the same key."""
        return self._salt

    def meet(self, public: bytes) -> None:
        """Prepare for sealing to a key. Raises BadEncoding: it is none."""
        if public not in self._outgoing:
            _keep(self._outgoing, public, self._key(public, self._salt, self._public + public))

    def knows(self, datagram: bytes) -> bool:
        """Whether a datagram names a session that stands, so that opening it is cheap."""
        return self._session(datagram[1 : 1 + PUBLIC_SIZE], datagram[BOOT]) is not None

    def seal(self, public: bytes, plain: bytes) -> bytes:
        """A datagram for the holder of `public`; `plain` has at most MAX_PLAIN bytes.

        Raises:
            BadEncoding: too long, or `public` is no key.
        """
        if len(plain) > MAX_PLAIN:
            raise BadEncoding(f"{len(plain)} bytes in a datagram, at most {MAX_PLAIN} fit")
        self.meet(public)
        cipher = _cipher(self._outgoing[public])
        counter = struct.pack(">Q", next(self._counter))
        head = self._head + counter
        time = struct.pack(">Q", int(self._clock() * 1000))
        return head + cipher.encrypt(b"\0\0\0\0" + counter, time + plain, head)

    def open(self, datagram: bytes) -> tuple[bytes, bytes]:
        """The sender's public key and the plain bytes.

        Raises:
            ProtocolError: with a reason code in `where` (size, version, key, seal, clock, replay).
        """
        if not OVERHEAD <= len(datagram) <= MAX_DATAGRAM:
            raise BadEncoding("a datagram of an impossible size", where=reasons.SIZE)
        if datagram[0] != _VERSION:
            raise BadEncoding("another version of sealed datagrams", where=reasons.VERSION)
        head, public = datagram[:_HEAD], datagram[1 : 1 + PUBLIC_SIZE]
        salt, counter = head[1 + PUBLIC_SIZE : -8], head[-8:]
        if public == self._public:
            raise BadEncoding("a datagram under our own key", where=reasons.KEY)
        session = self._session(public, salt)
        fresh = session is None
        if session is None:
            session = _Session(salt, self._key(public, salt, public + self._public))
        try:
            plain = _cipher(session.key).decrypt(b"\0\0\0\0" + counter, datagram[_HEAD:], head)
        except InvalidTag as error:
            raise BadSignature("a seal that does not open", where=reasons.SEAL) from error
        sent = int.from_bytes(plain[:8], "big") / 1000
        if abs(sent - self._clock()) > WINDOW:
            raise WrongTime(public, plain[8:], sent - self._clock())
        if not session.accept(int.from_bytes(counter, "big")):
            raise ProtocolError("a datagram seen before", where=reasons.REPLAY)
        if fresh:
            held = self._incoming.get(public, ())
            _keep(self._incoming, public, (*held, session)[-_SALTS_PER_PEER:])
        return public, plain[8:]

    def _session(self, public: bytes, salt: bytes) -> _Session | None:
        for session in self._incoming.get(public, ()):
            if session.salt == salt:
                return session
        return None

    def _key(self, public: bytes, salt: bytes, ends: bytes) -> bytes:
        agreed = self._agreed.get(public)
        if agreed is None:
            try:
                agreed = self._secret.exchange(
                    X25519PublicKey.from_public_bytes(montgomery(public))
                )
            except ValueError as error:  # a point of low order: the secret would be zero
                raise BadEncoding("a key of low order", where=reasons.KEY) from error
            _keep(self._agreed, public, agreed)
        info = b"pockethive/1 seal" + ends
        return HKDF(SHA256(), 32, salt, info).derive(agreed)


@lru_cache(maxsize=_CIPHERS)
def _cipher(key: bytes) -> ChaCha20Poly1305:
    """One costs 2.2 KiB and 2 microseconds: kept for what is in use, not for every session."""
    return ChaCha20Poly1305(key)


def _keep(cache: OrderedDict[bytes, _T], key: bytes, value: _T) -> None:
    cache[key] = value
    if len(cache) > _MAX_PEERS:
        cache.popitem(last=False)
