"""Where a device can be reached: its public key and one address. Text form `key@host:port`.

Guards: a contact without a key does not exist, so whoever answers at the address is authenticated.
"""

from dataclasses import dataclass

from pockethive.core.canonical import from_text, to_text
from pockethive.core.errors import BadEncoding, BadInvitation
from pockethive.dht.identity import PUBLIC_SIZE

_CURE = "write key@host:port, such as the line that `pockethive node` prints when it starts"


@dataclass(frozen=True, slots=True)
class Contact:
    """A device's public key (32 bytes) and address; UDP and TCP share the port."""

    public: bytes
    host: str
    port: int

    def __post_init__(self) -> None:
        if len(self.public) != PUBLIC_SIZE or not self.host or not 0 <= self.port < 65536:
            raise BadInvitation("a contact is a key of 32 bytes, a host and a port", cure=_CURE)

    @classmethod
    def parse(cls, text: str) -> "Contact":
        """Read `key@host:port`; an IPv6 address stands in brackets.

        Raises:
            BadInvitation: says which part is wrong.
        """
        key, at, address = text.strip().partition("@")
        if not at:
            raise BadInvitation(f"no '@' in the contact {text[:120]!r}", cure=_CURE)
        host, colon, port = address.rpartition(":")
        if not colon or not host:
            raise BadInvitation(f"no port in the contact {text[:120]!r}", cure=_CURE)
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise BadInvitation(f"an IPv6 address needs brackets: [{host}]:{port}", cure=_CURE)
        if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
            raise BadInvitation(f"{port[:20]!r} is not a port (1 to 65535)", cure=_CURE)
        try:
            return cls(from_text(key, PUBLIC_SIZE), host, int(port))
        except BadEncoding as error:
            raise BadInvitation(f"the key before '@' is damaged: {error}", cure=_CURE) from error

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{to_text(self.public)}@{host}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port
