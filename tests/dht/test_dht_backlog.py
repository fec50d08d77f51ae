"""Everything that has come to a socket is read in one round of the loop, within a bound."""

import asyncio
import socket

from pockethive.dht.backlog import MOST, Backlog


class _Heard(asyncio.DatagramProtocol):
    """Notes what asyncio brings."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.append(data)


async def listening() -> tuple[asyncio.DatagramTransport, Backlog, _Heard]:
    loop = asyncio.get_running_loop()
    transport, heard = await loop.create_datagram_endpoint(_Heard, local_addr=("127.0.0.1", 0))
    return transport, Backlog(transport), heard


def told(transport: asyncio.DatagramTransport, count: int) -> tuple[str, int]:
    """So many datagrams lie in its socket now; where they came from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        for number in range(count):
            sender.sendto(b"%d" % number, transport.get_extra_info("sockname"))
        name: tuple[str, int] = sender.getsockname()
        return name


def test_all_that_has_come_is_taken_at_once_in_its_order() -> None:
    async def play() -> None:
        transport, backlog, heard = await listening()
        sender = told(transport, 5)
        assert list(backlog.take()) == [(b"%d" % number, sender) for number in range(5)]
        assert not list(backlog.take())
        await asyncio.sleep(0)
        assert not heard.heard, "nothing is read twice"
        backlog.close()
        transport.close()

    asyncio.run(play())


def test_a_flood_has_no_more_than_a_bound_of_a_round() -> None:
    async def play() -> None:
        transport, backlog, _ = await listening()
        told(transport, MOST + 9)
        assert len(list(backlog.take())) == MOST - 1  # asyncio has brought one before
        backlog.close()
        transport.close()

    asyncio.run(play())


def test_after_its_end_nothing_is_taken_and_the_port_is_free() -> None:
    async def play() -> None:
        transport, backlog, _ = await listening()
        told(transport, 2)
        taking = backlog.take()
        next(taking)
        backlog.close()
        assert not list(taking), "also where it ends in the middle"
        assert not list(backlog.take())
        place = transport.get_extra_info("sockname")
        transport.close()
        await asyncio.sleep(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(place)

    asyncio.run(play())
