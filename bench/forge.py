"""What attackers send: noise, damage, replays, and what somebody with a key of his own can seal.

Everything follows from the random source and the clock that are handed in.
"""

import random
from collections.abc import Callable, Sequence

from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity
from pockethive.dht.record import sign_record
from pockethive.dht.rules import NOTE
from pockethive.dht.seal import MAX_PLAIN, Sealer
from pockethive.dht.testing import key, note, somebody


class Forge:
    """Makes hostile datagrams for one target.

    `guess` are ids of the target's own requests, as if somebody had read them on the way.
    """

    def __init__(self, seed: int, target: bytes, clock: Callable[[], float]) -> None:
        self.rng = random.Random(seed)
        self.target, self.clock = target, clock
        self.guess: list[int] = []
        self.old: list[bytes] = []
        anna = somebody("anna")
        self.records = [note(anna, bytes(size)).encode() for size in (0, 1, 300, 1200)]
        contacts = [Contact(anna.public, host, 4400) for host in ("10.0.0.1", "fe80::1%3", "::1")]
        self.lists = [wire.pack_contacts(contacts[:count]) for count in range(4)]
        self.texts = [str(contact).encode() for contact in contacts]
        self.turn()

    def turn(self) -> None:
        """Somebody new attacks."""
        identity = Identity.from_seed(self.rng.randbytes(32))
        self.sealer = Sealer(identity, self.clock, self.rng.randbytes)
        self.sender = identity.public
        self.records[-1] = sign_record(
            identity, NOTE, key("k"), b"", int(self.clock()) + 99, bytes(200)
        ).encode()

    def datagram(self) -> bytes:
        """One of all kinds; most are sealed as they should be, around what should not be."""
        rng = self.rng
        match rng.randrange(12):
            case 0:
                return rng.randbytes(rng.randrange(1500))
            case 1:
                return bytes((1,)) + rng.randbytes(rng.randrange(80, 1300))
            case 2:
                return self.mutated(self.sealer.seal(self.target, self.plain()))
            case 3 if self.old:
                return rng.choice(self.old)
        data = self.sealer.seal(self.target, self.plain())
        if rng.random() < 0.01:
            self.old = [*self.old[-99:], data]
        return data

    def plain(self) -> bytes:
        """What is sealed: messages, most of them nearly right, alone or in bundles."""
        rng = self.rng
        if rng.random() < 0.15:
            items = [self.message() for _ in range(rng.randrange(1, 6))]
            plain = rng.choice(wire.bundle(items))
        else:
            plain = self.message()
        return (self.mutated(plain) if rng.random() < 0.3 else plain)[:MAX_PLAIN]

    def message(self) -> bytes:
        rng = self.rng
        kind = rng.choice([0, 0, 0, 0, 1, 2, 3, 3, 0x80, 0x81, 77])
        count = rng.choice([1, 1, 1, 1, 2, 3, 8, 9, 0])
        index = rng.randrange(count or 1) + rng.choice([0, 0, 0, 0, 1])
        ident = rng.choice([rng.getrandbits(64), rng.randrange(50), *self.guess])
        payload = self.request() if kind & 1 == 0 else self.reply()
        if rng.random() < 0.3:
            payload = self.mutated(payload)
        return wire.HEAD.pack(kind, ident, index, count) + payload

    def request(self) -> bytes:
        rng = self.rng
        methods = ["ping", "find_node", "find_value", "fetch", "store", "deposit", "ask"]
        methods += ["dial", "dial_for"]
        arguments = [self.value(0) for _ in range(rng.randrange(4))]
        if rng.random() < 0.4:
            arguments = rng.choice(
                [
                    [key("k")],
                    [rng.choice(self.records)],
                    ["echo", rng.randbytes(20)],
                    [0],
                    [rng.choice(self.lists)],
                    [key("k"), rng.randbytes(32)],
                ]
            )
        return self.packed(rng.choice([*methods, "twin", "", "x" * 99]), arguments)

    def reply(self) -> bytes:
        rng = self.rng
        return self.packed(rng.choice([0, 1, 2, "0"]), [self.value(0)])[:1100]

    @staticmethod
    def packed(first: object, rest: Sequence[object]) -> bytes:
        return wire.pack_request(first, rest)  # type: ignore[arg-type]  # any first item packs

    def value(self, depth: int) -> object:
        rng = self.rng
        if depth < 3 and rng.random() < 0.2:
            inner = [self.value(depth + 1) for _ in range(rng.randrange(4))]
            return rng.choice([inner, {"k": inner}, {1: inner}])
        return rng.choice(
            [
                rng.randbytes(rng.choice([0, 19, 20, 32, 200])),
                rng.getrandbits(64),
                -rng.getrandbits(40),
                None,
                True,
                1.5,
                "text" * rng.randrange(9),
                rng.choice(self.records)[: rng.randrange(400)],
                rng.choice(self.lists),
            ]
        )

    def mutated(self, data: bytes) -> bytes:
        """A few edits: flipped bits, cuts, repeats, noise put in."""
        rng, edited = self.rng, bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(edited) + 1)
            match rng.randrange(5):
                case 0 if at < len(edited):
                    edited[at] ^= 1 << rng.randrange(8)
                case 1 if at < len(edited):
                    edited[at] = rng.choice([0, 0x7F, 0x80, 0xC1, 0xDF, 0xFF])
                case 2:
                    del edited[at : at + rng.randrange(1, 9)]
                case 3:
                    edited[at:at] = rng.randbytes(rng.randrange(1, 9))
                case _:
                    edited[at:at] = edited[at : at + rng.randrange(40)]
        return bytes(edited)
