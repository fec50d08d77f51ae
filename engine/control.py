"""Asking a node that runs on this machine: a Unix socket in its folder, one JSON object a line.

    {"v":1,"do":"get","key":"members"}   ->   {"v":1,"ok":true,"value":[…]}
                                         ->   {"v":1,"ok":false,"error":"…","exit":2}

Guards: the socket is its user's alone (mode 0600 in a folder of mode 0700, and the kernel names who
is at the other end); a request has at most 16 KiB, an answer 4 MiB; at most eight ask at a time,
each for a minute at most. `node.json` in the folder says where the socket is: a path beyond what
the kernel takes (some 100 bytes) is replaced by one in a private temporary folder.
"""

import asyncio
import logging
import os
import shutil
import socket
import struct
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from pockethive.connections import Connections
from pockethive.core.errors import BadEncoding, BadInput, Failure, NetworkError, PocketHiveError
from pockethive.home import write_atomically

_log = logging.getLogger(__name__)

VERSION: Final = 1
MAX_REQUEST: Final = 16 * 1024
MAX_ANSWER: Final = 4 * 2**20
MAX_ASKING: Final = 8
SECONDS: Final = 60.0
MAX_PATH: Final = 100  # bytes; Linux takes 107, others 103
CARD: Final = "node.json"
_SOCKET: Final = "control.sock"
_PEER: Final = struct.Struct("3i")  # pid, uid, gid

Answerer = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""From a request's fields to its value. Raises PocketHiveError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a running node says of itself in `node.json`. `metrics`: host:port, or empty."""

    pid: int
    device: str
    contact: str
    socket: str
    metrics: str

    def write(self, folder: Path) -> None:
        """Into the node's folder. Raises StorageError."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        write_atomically(folder / CARD, orjson.dumps({"v": VERSION, **fields}))

    @classmethod
    def read(cls, folder: Path) -> "Card | None":
        """The card of the node that runs, or ran, in this folder; None when there is none."""
        try:
            value = parse((folder / CARD).read_bytes())
        except (OSError, BadEncoding):
            return None
        fields: dict[str, Any] = {name: value.get(name) for name in cls.__slots__}
        texts = [field for name, field in fields.items() if name != "pid"]
        if type(fields["pid"]) is not int or not all(isinstance(text, str) for text in texts):
            return None
        return cls(**fields)


def parse(line: bytes, limit: int = MAX_REQUEST) -> dict[str, Any]:
    """One message. Raises BadEncoding: over `limit`, not an object, of another version."""
    if len(line) > limit:
        raise BadEncoding(f"a message of {len(line)} bytes, at most {limit} are read")
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadEncoding(f"not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("v") != VERSION or value["v"] is True:
        raise BadEncoding(f"not a message of version {VERSION}")
    return value


class ControlServer:
    """Answers on a socket. Belongs to one event loop."""

    def __init__(self, ways: Mapping[str, Answerer]) -> None:
        self._ways = ways
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._short: Path | None = None  # the temporary folder, where one was needed
        self._connections = Connections(MAX_ASKING, SECONDS)

    async def start(self, folder: Path) -> Path:
        """Listen; where. The caller holds the folder's lock. Raises Failure."""
        path = folder / _SOCKET
        if len(os.fsencode(path)) > MAX_PATH:
            self._short = Path(tempfile.mkdtemp(prefix="pockethive-"))
            path = self._short / _SOCKET
        path.unlink(missing_ok=True)  # of a process that was killed: we hold the lock
        try:
            self._server = await asyncio.start_unix_server(self._connected, path, limit=MAX_REQUEST)
            path.chmod(0o600)
        except OSError as error:
            raise Failure(f"no control socket: {error.strerror}", where=str(path)) from error
        self._path = path
        return path

    async def stop(self) -> None:
        """Close the socket and every connection; leave no file."""
        if self._server is None:
            return
        await self._connections.close(self._server)
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _is_ours(writer):
            writer.close()
            return
        await self._connections.serve(reader, writer, self._asked)

    async def _asked(self, reader: asyncio.StreamReader) -> bytes:
        return await self._answer(await _line(reader))

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = parse(line)
            way = self._ways.get(str(request.get("do")))
            if way is None:
                raise BadInput(f"this node does not know how to {str(request.get('do'))[:40]!r}")
            answer = orjson.dumps({"v": VERSION, "ok": True, "value": await way(request)})
            if len(answer) >= MAX_ANSWER:
                raise Failure("the answer is too long", cure="ask for less")
        except PocketHiveError as error:
            answer = _refusal(str(error), error.exit_code)
        except Exception:  # noqa: BLE001 - a fault of ours is one answer, and a line in the log
            _log.exception("a request on the control socket failed")
            answer = _refusal("the node failed; its log says more", 1)
        return answer + b"\n"


def ask(folder: Path, do: str, **fields: Any) -> Any:
    """Ask the node that runs in `folder`; the value. Blocks.

    Raises:
        NotRunning: no node runs there. Failure, BadInput: what the node says.
    """
    card = Card.read(folder)
    if card is None:
        raise NotRunning(folder)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(SECONDS)
            if Path(card.socket).lstat().st_uid not in {os.getuid(), 0}:
                raise NotRunning(folder)
            connection.connect(card.socket)
            connection.sendall(orjson.dumps({"v": VERSION, "do": do, **fields}) + b"\n")
            line = _read_line(connection)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotRunning(folder) from error
    except OSError as error:
        raise NetworkError(f"the node of this home does not answer: {error}") from error
    value = parse(line, MAX_ANSWER)
    if value.get("ok") is True:
        return value.get("value")
    kind = BadInput if value.get("exit") == BadInput.exit_code else Failure
    raise kind(str(value.get("error")))


class NotRunning(Failure):
    """No node runs in a home."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            "no node runs in this home",
            where=str(folder),
            cure="start one with `pockethive node`; get, put and peers can ask another with --join",
        )


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The request; one without an end, or over the bound, is refused by `parse`."""
    try:
        return await reader.readline()
    except ValueError:  # over the reader's limit
        return b" " * (MAX_REQUEST + 1)


def _read_line(connection: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n") and len(data) <= MAX_ANSWER:
        piece = connection.recv(65_536)
        if not piece:
            break
        data += piece
    return bytes(data)


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    """Whether this user, or root, is at the other end; the folder's mode says so elsewhere."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, option, _PEER.size)
    return _PEER.unpack(raw)[1] in {os.getuid(), 0}


def _refusal(error: str, code: int) -> bytes:
    return orjson.dumps({"v": VERSION, "ok": False, "error": error, "exit": code})
