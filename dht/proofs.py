"""Which device was heard from which address: proofs by returned challenges.

Guards: a source address is what the sender wrote. It is believed once a secret that we sent there
came back under the device's key: an answer to our request, or the cookie of a challenge (as QUIC's
Retry, RFC 9000, section 8.1). Cookies need no memory; proofs are bounded, the oldest go.
"""

import hashlib
from collections import OrderedDict
from typing import Final

from pockethive.dht.transport import Address, Message

COOKIE_SIZE: Final = 8
_MAX_KEYS: Final = 4096
_ADDRESSES: Final = 3  # of one key: a device that moved, or roams between two networks


class Proofs:
    """Belongs to the loop's thread."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._proved: OrderedDict[bytes, tuple[Address, ...]] = OrderedDict()

    def holds(self, public: bytes, address: Address) -> bool:
        return address in self._proved.get(public, ())

    def addresses(self, public: bytes) -> tuple[Address, ...]:
        """Where a device was heard from, the latest first."""
        return self._proved.get(public, ())

    def add(self, public: bytes, address: Address) -> None:
        held = self._proved.get(public, ())
        if held[:1] == (address,):
            return
        others = (one for one in held if one != address)
        self._proved[public] = (address, *others)[:_ADDRESSES]
        if len(self._proved) > _MAX_KEYS:
            self._proved.popitem(last=False)

    def forget(self, public: bytes, address: Address) -> None:
        """It fell silent there: the next time it has to prove it."""
        left = tuple(one for one in self._proved.get(public, ()) if one != address)
        if left:
            self._proved[public] = left
        else:
            self._proved.pop(public, None)

    def cookie(self, message: Message) -> bytes:
        """What comes back only from whoever receives at the message's address."""
        text = f"{message.address[0]} {message.address[1]} {message.ident}".encode()
        made = hashlib.blake2b(message.public + text, key=self._secret, digest_size=COOKIE_SIZE)
        return made.digest()
