"""Devices of one hive find each other on the local network by multicast DNS (RFC 6762, 6763).

Guards: the device key travels in the TXT record, so what is found is a contact that must still
prove itself; a link-local address is announced bare and found with the number of the link it was
heard on, or not at all; a network without multicast costs a logged sentence, not an error.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Sequence
from typing import Final

from zeroconf import Error as ZeroconfError
from zeroconf import InterfaceChoice, IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from pockethive.core.canonical import digest, from_text, to_text
from pockethive.core.errors import BadEncoding, NetworkError
from pockethive.dht import wire
from pockethive.dht.contact import Contact
from pockethive.dht.identity import PUBLIC_SIZE

log = logging.getLogger(__name__)

SERVICE: Final = "_pockethive._udp.local."
MAX_FOUND: Final = 256
_INFO_MS: Final = 1500

Interfaces = Sequence[str] | None
"""Addresses of the interfaces to use; None for all of them."""


class Announcer:
    """Says on the local network that a node of this hive is here, from `start` to `stop`."""

    def __init__(self, contact: Contact, hive: str, interfaces: Interfaces = None) -> None:
        self._contact, self._hive, self._interfaces = contact, hive, interfaces
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self) -> None:
        """Raises NetworkError: this machine has no multicast, or the contact is no address."""
        contact = self._contact
        if not wire.is_address(contact.host):
            raise NetworkError(
                "only addresses can be announced on the local network",
                where=contact.host,
                cure="advertise an address, or join without discovery",
            )
        label = digest("mdns", contact.public, self._hive.encode()).hex()[:32]
        info = AsyncServiceInfo(
            SERVICE,
            f"{label}.{SERVICE}",
            parsed_addresses=[contact.host.partition("%")[0]],  # links have other numbers elsewhere
            port=contact.port,
            properties={"key": to_text(contact.public), "hive": self._hive},
            server=f"{label}.local.",
        )
        self._zeroconf = _open(self._interfaces)
        try:
            await (await self._zeroconf.async_register_service(info))
        except (ZeroconfError, OSError) as error:
            await self.stop()
            raise _no_multicast(error) from error

    async def stop(self) -> None:
        """Say goodbye; nothing happens when it was not started."""
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is not None:
            await zeroconf.async_unregister_all_services()
            await zeroconf.async_close()


async def discover(
    hive: str,
    timeout: float = 2.0,  # noqa: ASYNC109 - how long to listen, not a limit on a result
    interfaces: Interfaces = None,
) -> tuple[Contact, ...]:
    """Contacts of a hive's nodes that are heard in `timeout` seconds; none without multicast.

    Less than 1.5 seconds hears little: the first question goes out after a random delay.
    """
    try:
        zeroconf = _open(interfaces)
    except NetworkError as error:
        log.info("%s", error)
        return ()
    names: dict[str, None] = {}

    def noticed(name: str, state_change: ServiceStateChange, **_: object) -> None:
        if state_change is ServiceStateChange.Added and len(names) < MAX_FOUND:
            names[name] = None

    try:
        browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[noticed])
        await asyncio.sleep(timeout)
        await browser.async_cancel()
        infos = [AsyncServiceInfo(SERVICE, name) for name in names]
        await asyncio.gather(*(info.async_request(zeroconf.zeroconf, _INFO_MS) for info in infos))
    except (ZeroconfError, OSError) as error:
        log.info("%s", _no_multicast(error))
        return ()
    finally:
        await zeroconf.async_close()
    found = dict.fromkeys(c for info in infos for c in _contacts(info, hive))
    return tuple(found)


def _contacts(info: AsyncServiceInfo, hive: str) -> list[Contact]:
    """What an announcement says, if it is of this hive and well formed."""
    properties = info.decoded_properties
    if properties.get("hive") != hive or not info.port:
        return []
    try:
        public = from_text(properties.get("key") or "", PUBLIC_SIZE)
    except BadEncoding:
        return []
    hosts = (host for host in info.parsed_scoped_addresses() if wire.is_address(host))
    return [Contact(public, host, info.port) for host in hosts if "%" in host or not _local(host)]


def _local(host: str) -> bool:
    """Whether an address is link-local, of IPv6: without its link nobody can be reached there."""
    return ":" in host and ipaddress.IPv6Address(host).is_link_local


def _open(interfaces: Interfaces) -> AsyncZeroconf:
    try:
        for host in interfaces or ():  # zeroconf leaves a socket open when it fails on one
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((host, 0))
        if interfaces is not None:
            return AsyncZeroconf(interfaces=list(interfaces))
        families = IPVersion.All if socket.has_dualstack_ipv6() else IPVersion.V4Only
        return AsyncZeroconf(interfaces=InterfaceChoice.All, ip_version=families)
    except (ZeroconfError, OSError) as error:
        raise _no_multicast(error) from error


def _no_multicast(error: Exception) -> NetworkError:
    return NetworkError(
        f"no discovery on the local network: {error or type(error).__name__}",
        cure="join a known contact instead (key@host:port)",
    )
