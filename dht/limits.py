"""What the datagrams of one subnet and the messages of one key may cost: token buckets.

Guards: a flood costs this node little. A subnet (/24 of IPv4, /48 of IPv6) pays before anything is
decrypted, and most for a first contact, whose key agreement is dear; sessions that stand pay from
another bucket, so that forged source addresses cannot silence the peers that live there. A key pays
for its messages once it is authenticated. Both tables are bounded, the least recently used go.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pockethive.core.errors import ProtocolError
from pockethive.dht import reasons

_TRACKED: Final = 4096
_ANYBODY: Final = ""  # the one bucket of all first contacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Tokens a second; a bucket holds `burst` seconds' worth.

    Attributes:
        subnet: for the datagrams of one subnet, one token each.
        first: what a first contact costs, of the subnet's tokens for them and of everybody's.
        firsts: tokens of first contacts from all subnets together.
        key: for the messages of one authenticated key, one token each.
        burst: seconds.
        loopback: whether loopback pays too. A hive on one machine is all one subnet.
    """

    subnet: float = 2000.0
    first: float = 10.0
    firsts: float = 10_000.0
    key: float = 1000.0
    burst: float = 2.0
    loopback: bool = False


class Buckets:
    """Token buckets by name; a name not seen lately has a full one. Pure: `now` is an argument."""

    __slots__ = ("_burst", "_held", "_most", "_rate")

    def __init__(self, rate: float, burst: float, most: int = _TRACKED) -> None:
        """`rate` tokens a second, `burst` at most in a bucket, `most` buckets."""
        self._rate, self._burst, self._most = rate, burst, most
        self._held: OrderedDict[object, list[float]] = OrderedDict()  # tokens, when

    def take(self, name: object, cost: float, now: float) -> bool:
        """Take tokens if they are there."""
        held = self._held.get(name)
        if held is None:
            self._forget(now)
            held = self._held[name] = [self._burst, now]
        else:
            self._held.move_to_end(name)
        tokens = min(self._burst, held[0] + (now - held[1]) * self._rate)
        held[1] = now
        if tokens < cost:
            held[0] = tokens
            return False
        held[0] = tokens - cost
        return True

    def _forget(self, now: float) -> None:
        """Make room for one more; a bucket that is full again says nothing, so two of these go."""
        for _ in range(2):
            least = next(iter(self._held.values()), None)
            if least is not None and (now - least[1]) * self._rate >= self._burst:
                self._held.popitem(last=False)
        if len(self._held) >= self._most:
            self._held.popitem(last=False)


class Gate:
    """What a node lets in, by `Limits`. Belongs to the loop's thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known = Buckets(limits.subnet, limits.subnet * limits.burst)
        self._first = Buckets(limits.subnet, limits.subnet * limits.burst)
        self._firsts = Buckets(limits.firsts, limits.firsts * limits.burst, 1)
        self._keys = Buckets(limits.key, limits.key * limits.burst)

    def pays(self, host: str) -> bool:
        """Whether datagrams from this address are charged for."""
        return self._limits.loopback or not is_loopback(host)

    def datagram(self, host: str, known: bool, now: float) -> None:
        """Charge a datagram before it is opened.

        `known`: it names a session that stands. Raises ProtocolError: over the limit.
        """
        net, cost = subnet(host), self._limits.first
        if known:
            taken = self._known.take(net, 1.0, now)
        else:
            taken = self._first.take(net, cost, now) and self._firsts.take(_ANYBODY, cost, now)
        if not taken:
            raise ProtocolError("too many datagrams from there", where=reasons.FLOOD)

    def messages(self, public: bytes, count: int, now: float) -> None:
        """Charge the messages of an authenticated key. Raises ProtocolError: over the limit."""
        if not self._keys.take(public, count, now):
            raise ProtocolError("too many messages of this key", where=reasons.PEER_FLOOD)


@lru_cache(maxsize=_TRACKED)
def subnet(host: str) -> str:
    """The /24 or /48 that an address lies in, as text."""
    if ":" not in host:
        return host.rpartition(".")[0]
    try:
        packed = ipaddress.IPv6Address(host).packed
    except ValueError:
        return host
    return packed[:6].hex()


@lru_cache(maxsize=_TRACKED)
def is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


@lru_cache(maxsize=_TRACKED)
def is_public(host: str) -> bool:
    """Whether an address is one of the wide Internet: there a subnet has an owner."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False
