"""What a private hive is: the founder's key and a name. Everything about it is signed by that key.

Guards: a hive's id is a hash of key and name, so a hive of the same name by somebody else is
another hive; what is said on the local network is a part of the id, never the name.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

from pockethive.core.canonical import decode_object, digest, encode, from_text, to_text
from pockethive.core.errors import BadEncoding
from pockethive.dht.identity import PUBLIC_SIZE, Identity

MAX_CHARTER: Final = 256
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_hive_name(name: object) -> str:
    """A name that a hive may have, open or private. Raises BadEncoding."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadEncoding(
            f"{str(name)[:80]!r} is no name of a hive",
            cure="use 1 to 63 of a-z, 0-9 and hyphens, such as home",
        )
    return name


class FounderKey(Identity):
    """The key of a hive. It signs member lists and invitations and nothing else."""

    FILE: ClassVar[str] = "hive.key"


@dataclass(frozen=True)
class Charter:
    """A hive's identity.

    Raises (on construction):
        BadEncoding: the key has not 32 bytes, or the name is not 1 to 63 of a-z, 0-9 and hyphens.
    """

    public: bytes
    name: str

    def __post_init__(self) -> None:
        if len(self.public) != PUBLIC_SIZE:
            raise BadEncoding("the key of a hive has 32 bytes")
        check_hive_name(self.name)

    @cached_property
    def id(self) -> bytes:
        """32 bytes that name this hive and no other."""
        return digest("hive", self.public, self.name.encode())

    @cached_property
    def network(self) -> str:
        """What devices of the hive call it on the wire, where a name would tell too much."""
        return self.id.hex()[:32]

    @cached_property
    def list_key(self) -> bytes:
        """The DHT key under which the member list stands, 20 bytes."""
        return digest("hive list", self.id)[:20]

    def encode(self) -> bytes:
        """Canonical bytes."""
        return encode({"v": 1, "key": to_text(self.public), "name": self.name})

    @classmethod
    def decode(cls, data: bytes) -> "Charter":
        """The charter behind `encode`. Raises BadEncoding."""
        value = decode_object(data, MAX_CHARTER)
        if value.keys() != {"v", "key", "name"} or value["v"] != 1 or value["v"] is True:
            raise BadEncoding("not a charter of version 1")
        if not isinstance(value["key"], str):
            raise BadEncoding("the key of a charter is text")
        return cls(from_text(value["key"], PUBLIC_SIZE), value["name"])
