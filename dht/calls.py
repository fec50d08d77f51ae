"""Requests to peers: sent, sent again by the peer's round-trip times, answered or given up.

Guards: an answer counts only from the key that was asked, and ends a call once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pockethive.core.errors import NetworkError, ProtocolError, WrongClock
from pockethive.dht import reasons, wire
from pockethive.dht.contact import Contact
from pockethive.dht.rtt import RoundTrips
from pockethive.dht.seal import WINDOW
from pockethive.dht.transport import Message, SealedTransport

_SLOWEST: Final = 4.0  # seconds between two sendings of one request


@dataclass(slots=True, eq=False)
class _Call:
    message: Message
    future: "asyncio.Future[Message]"
    started: float
    deadline: float
    wait: float
    tries: int
    timer: asyncio.TimerHandle | None = None
    extensible: bool = False
    resent: bool = False  # then nobody knows which sending the answer belongs to


class Calls:
    """This node's requests that wait for an answer. Belongs to the loop's thread."""

    def __init__(self, transport: SealedTransport, randbytes: Callable[[int], bytes]) -> None:
        self._transport, self._randbytes = transport, randbytes
        self._loop = asyncio.get_running_loop()
        self._trips = RoundTrips()
        self._waiting: dict[int, _Call] = {}

    async def exchange(
        self,
        contact: Contact,
        payload: bytes,
        timeout: float | None,  # noqa: ASYNC109 - it also decides when to send again
        tries: int,
    ) -> Message:
        """The answer's message. Raises NetworkError: silence."""
        public = contact.public
        wait = self._trips.timeout(public)
        started = self._loop.time()
        ident = int.from_bytes(self._randbytes(8), "big")
        message = Message(public, contact.address, wire.REQUEST, ident, payload)
        deadline = started + (wait * tries if timeout is None else timeout)
        call = _Call(message, self._loop.create_future(), started, deadline, wait, tries)
        call.extensible = timeout is None
        self._waiting[ident] = call
        try:
            self._transmit(call)
            answer = await call.future
        finally:
            del self._waiting[ident]
            if call.timer is not None:
                call.timer.cancel()
        if timeout is None and not call.resent:  # a direct request's time is its handler's
            self._trips.sample(public, self._loop.time() - started)
        return answer

    def take(self, message: Message) -> bool:
        """Take a reply or a challenge; whether it proves where it came from.

        Raises:
            ProtocolError: nobody waits for it, or another key was asked.
        """
        call = self._waiting.get(message.ident)
        if call is None or call.future.done():
            raise ProtocolError("an answer nobody waits for", where=reasons.LATE)
        if call.message.public != message.public:
            raise ProtocolError("an answer from another key", where=reasons.IMPOSTOR)
        if message.kind == wire.CHALLENGE:
            call.resent = True  # two round trips, no sample of one
            if call.extensible:  # it lives, and four datagrams have to arrive instead of two
                call.extensible = False
                call.tries += 1
                call.deadline += call.wait
            cookie = message.payload[: wire.MIN_REQUEST]
            proof = Message(message.public, message.address, wire.PROOF, message.ident, cookie)
            self._transport.send(proof)
            return False
        call.future.set_result(message)
        # The id went to the address that was asked. From elsewhere the answer is as good, but
        # whoever holds the key may have written any source address.
        return call.message.address == message.address

    def differ(self, public: bytes, ident: int, ahead: float) -> None:
        """An answer came that was sealed so many seconds from now: its call ends with the reason"""
        call = self._waiting.get(ident)
        if call is None or call.future.done() or call.message.public != public:
            return
        host, port = call.message.address
        where = "behind" if ahead > 0 else "ahead of"
        error = WrongClock(
            f"this device's clock is {abs(ahead):.0f} s {where} the other's",
            where=f"{host}:{port}",
            cure=f"set the one that is wrong: beyond {WINDOW:.0f} s neither hears the other",
        )
        call.future.set_exception(error)

    def stop(self) -> None:
        """Fail all that wait."""
        for call in self._waiting.values():
            if not call.future.done():
                call.future.set_exception(NetworkError("this node is stopping"))

    def _transmit(self, call: _Call) -> None:
        call.tries -= 1
        now = self._loop.time()
        after = max(0.0, call.deadline - now)
        if call.tries > 0:
            after = min(after, call.wait)
        call.wait = min(2 * call.wait, _SLOWEST)
        call.timer = self._loop.call_later(after, self._expire, call)
        self._transport.send(call.message)

    def _expire(self, call: _Call) -> None:
        if call.future.done():
            return
        if call.tries > 0 and self._loop.time() < call.deadline:
            call.resent = True
            self._transmit(call)
            return
        host, port = call.message.address
        call.future.set_exception(
            NetworkError(
                "no answer", where=f"{host}:{port}", cure="is that device up and reachable?"
            )
        )
