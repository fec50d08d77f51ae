"""A very small HTTP/1.1 server: GET and HEAD of a few pages, one request a connection.

Guards: a request has at most 8 KiB and five seconds, there are at most 32 connections, a body is
never read; whatever arrives ends as one answer or as a closed connection, never as an exception in
the loop. Nothing here changes anything.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pockethive.connections import Connections
from pockethive.core.errors import NetworkError

_log = logging.getLogger(__name__)

MAX_HEAD: Final = 8_192
MAX_CONNECTIONS: Final = 32
SECONDS: Final = 5.0
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a path shows now."""

    status: int
    kind: str  # its Content-Type
    body: bytes


Pages = Mapping[str, Callable[[], Page]]
"""By path. Called on the loop; must not block."""


class WebServer:
    """Serves `pages`. Belongs to one event loop."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._server: asyncio.Server | None = None
        self._connections = Connections(MAX_CONNECTIONS, SECONDS)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; where. Raises NetworkError: the port is taken, or the address is not ours."""
        try:
            self._server = await asyncio.start_server(self._connected, host, port, limit=MAX_HEAD)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise NetworkError(
                f"metrics cannot be served: {'the port is taken' if taken else error.strerror}",
                where=f"{host}:{port}",
                cure="choose another --metrics HOST:PORT (port 0 takes any free one)",
            ) from error
        bound = self._server.sockets[0].getsockname()
        return str(bound[0]), int(bound[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is None:
            return
        await self._connections.close(self._server)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._connections.serve(reader, writer, self._answered)

    async def _answered(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return answer(_plain(431), with_body=True)
        return respond(head, self._pages)


def respond(head: bytes, pages: Pages) -> bytes:
    """The whole answer to the head of a request, whatever its bytes are."""
    words = head.partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or not words[1].startswith(b"/") or not words[2].startswith(b"HTTP/"):
        return answer(_plain(400), with_body=True)
    method, target, version = words
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        return answer(_plain(505), with_body=True)
    if method not in (b"GET", b"HEAD"):
        return answer(_plain(405), with_body=True)
    show = pages.get(target.partition(b"?")[0].decode("ascii", "replace"))
    try:
        page = _plain(404) if show is None else show()
    except Exception:  # noqa: BLE001 - a fault of ours is one answer, and a line in the log
        _log.exception("a page could not be made")
        page = _plain(500)
    return answer(page, with_body=method == b"GET")


def answer(page: Page, *, with_body: bool) -> bytes:
    """A page as it travels."""
    lines = [
        f"HTTP/1.1 {page.status} {_REASONS[page.status]}",
        f"Content-Type: {page.kind}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *(["Allow: GET, HEAD"] if page.status == 405 else []),
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
    return head + (page.body if with_body else b"")


def _plain(status: int) -> Page:
    return Page(status, "text/plain; charset=utf-8", f"{_REASONS[status]}\n".encode())
