"""Where a node listens: UDP and TCP on one port, the address others may dial, an orderly end.

Guards: a port is had for both or for neither; what cannot be had is said with its cure.
"""

import asyncio
import errno
import socket
from typing import Final

from pockethive.core.errors import Failure, NetworkError
from pockethive.dht.carrier import Answer, BlobCarrier
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity
from pockethive.dht.server import HiveServer
from pockethive.dht.settings import NodeSettings
from pockethive.dht.store import RecordStore

_PORT_TRIES: Final = 16
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


async def listen(
    settings: NodeSettings,
    identity: Identity,
    storage: RecordStore,
    carrier: BlobCarrier,
    answer: Answer,
) -> HiveServer:
    """A server that listens; a free port whose TCP twin is taken is given back.

    Raises NetworkError: the port is taken, or the address is not ours.
    """
    host, port = settings.listen
    for left in range(_PORT_TRIES if port == 0 else 1, 0, -1):
        server = HiveServer(settings, identity, storage)
        try:
            await server.listen(port, host)
            bound = server.transport.get_extra_info("sockname")[1]
            carrier.counters = server.protocol.counters
            await carrier.listen(Contact(identity.public, host, bound), answer)
            return server
        except OSError as error:
            if server.transport is not None:
                await stop_server(server)
            if port or left == 1 or error.errno != errno.EADDRINUSE:
                raise _refusal(error, host, port) from error
    raise AssertionError("unreachable: the last attempt returns or raises")


def _refusal(error: OSError, host: str, port: int) -> Failure:
    if error.errno == errno.EADDRINUSE:
        return NetworkError(
            f"port {port} is taken",
            where=f"{host}:{port}",
            cure="stop the other program, or choose another port (0 takes any free one)",
        )
    return NetworkError(
        f"cannot listen: {error.strerror or error}",
        where=f"{host}:{port}",
        cure="choose an address of this machine",
    )


def reachable(host: str) -> str:
    """For a wildcard, the address this machine would use outward; no packet is sent."""
    if host not in _WILDCARDS:
        return host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    outward = "2001:db8::1" if ":" in host else "192.0.2.1"  # reserved for documentation
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((outward, 9))
        except OSError:
            return _WILDCARDS[host]
        return str(probe.getsockname()[0])


async def stop_server(server: HiveServer) -> None:
    """Close its socket and end its tasks."""
    tasks = server.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # the transport closes its socket in the loop's next round


async def cancel(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
