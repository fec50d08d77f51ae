"""Reading all that has come to a socket: asyncio brings one datagram in a round of its loop.

A round costs more than opening a datagram, and what is answered together shares datagrams: who has
much to do does it in fewer and larger steps. Guards: a flood has no more than `MOST` of a round;
where a loop does not read by readiness, or nothing is real, all is as asyncio has it.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from pockethive.dht.seal import MAX_DATAGRAM

MOST: Final = 32  # datagrams of one round
_BUFFER: Final = 2**20  # bytes; the system may allow fewer
_SIZE: Final = MAX_DATAGRAM + 1  # bytes that are read of each


class Backlog:
    """What waits in the socket of a datagram transport. Belongs to the loop's thread."""

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        # asyncio reads into 256 KiB otherwise, which costs more than opening what it read
        transport.max_size = _SIZE  # type: ignore[attr-defined]
        end = transport.get_extra_info("socket")
        if end is not None:  # k answers to each of many lookups arrive at once
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        ready = isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)
        self._socket: socket.socket | None = end.dup() if end is not None and ready else None

    def take(self) -> Iterator[tuple[bytes, Any]]:
        """What has come by now, with its sender's address. An error of the network ends it."""
        end = self._socket
        if end is None:
            return
        with suppress(OSError):  # most times: nothing more has come
            for _ in range(MOST - 1):
                yield end.recvfrom(_SIZE)

    def close(self) -> None:
        """The port is not free before this is closed, too."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
