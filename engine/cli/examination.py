"""What `pockethive doctor` looks at for a node: home, disk, process, database, port, clock, peers.

Guards: looking changes nothing that a running node uses; each finding has a cure.
"""

import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pockethive.core.errors import NetworkError, PocketHiveError, StorageError

_LEAST_FREE: Final = 1_000_000_000
_MOST_SKEW: Final = 30.0  # seconds; sealed datagrams and signed expiries bear a minute
_DATABASES: Final = ("records.sqlite", "cells.sqlite", "blobs/index.sqlite", "documents.sqlite")
_SECOND: Final = 0.2  # how long both clocks are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The node to look at: its home and settings."""

    home: Path
    listen: tuple[str, int] = ("127.0.0.1", 0)
    join: tuple[str, ...] = ()
    hive: str | None = None
    quota: int = 0

    @property
    def folder(self) -> Path:
        """Of the device of `pockethive node`."""
        from pockethive.home import NODE

        return self.home / NODE


Look = Callable[[Case], str]
"""Looks at one thing; returns what it saw, raises PocketHiveError or OSError when it is wrong."""


def examinations() -> dict[str, Look]:
    """What there is to look at, in its order."""
    return {
        "home": _home,
        "disk": _disk,
        "process": _process,
        "databases": _databases,
        "port": _port,
        "IPv6": _ipv6,
        "clock": _clock,
        "peers": _peers,
    }


def _home(case: Case) -> str:
    from pockethive.home import make_private

    make_private(case.home)
    owner = case.home.stat().st_uid
    if owner != os.getuid():
        raise StorageError(
            f"belongs to user {owner}, and this is user {os.getuid()}",
            where=str(case.home),
            cure=f"run it as that user, or sudo chown -R {os.getuid()} {case.home}",
        )
    for folder, _, files in os.walk(case.home, onerror=_unreadable):
        _check_usable(Path(folder), os.R_OK | os.W_OK | os.X_OK)
        for name in files:
            path = Path(folder) / name
            if path.suffix == ".key" and path.stat().st_mode & 0o077:
                raise StorageError(
                    "others can read the key", where=str(path), cure=f"chmod 600 {path}"
                )
            if path.lstat().st_uid != owner:
                raise StorageError(
                    f"belongs to user {path.lstat().st_uid}",
                    where=str(path),
                    cure=f"sudo chown -R {owner} {case.home}",
                )
    return str(case.home)


def _check_usable(path: Path, wanted: int) -> None:
    """Raises StorageError: this user may not read and write it, or nobody may write there."""
    if os.access(path, wanted):
        return
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise StorageError(
            "is read-only: its file system is mounted so",
            where=str(path),
            cure="mount it to be written, or choose another with --home",
        )
    what = "is read-only" if os.access(path, wanted & ~os.W_OK) else "cannot be read and written"
    raise StorageError(what, where=str(path), cure=f"chmod u+rw{'x' * path.is_dir()} {path}")


def _unreadable(error: OSError) -> None:
    raise StorageError(
        f"cannot be read: {error.strerror}",
        where=str(error.filename),
        cure=f"chmod -R u+rwX {error.filename}",
    ) from error


def _disk(case: Case) -> str:
    there = next(path for path in (case.home, *case.home.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < _LEAST_FREE:
        raise StorageError(
            f"only {free / 1e6:.0f} MB are free", where=str(case.home), cure="free at least 1 GB"
        )
    index, used = case.folder / "blobs", 0
    if index.is_dir():
        used = sum(path.stat().st_size for path in index.rglob("*") if path.is_file())
    if case.quota and used > 0.95 * case.quota:
        raise StorageError(
            f"{used / 1e6:.0f} of {case.quota / 1e6:.0f} MB for blobs are used",
            where=str(index),
            cure="raise quota_mb, or --quota",
        )
    return f"{free / 1e9:.0f} GB free, {used / 1e6:.0f} MB of blobs"


def _process(case: Case) -> str:
    """Whether a node runs here, and answers."""
    status = running(case)
    if status is not None:
        return f"a node runs here as process {status['pid']}"
    holder = _lock_holder(case.folder / "lock")
    if holder is None:
        return "no node runs here"
    raise StorageError(
        f"process {holder or 'unknown'} holds it and does not answer",
        where=str(case.folder),
        cure=f"kill {holder}" if holder else "find it with fuser, and end it",
    )


def running(case: Case) -> dict[str, Any] | None:
    """The status of the node that runs in this home; None when none answers."""
    from pockethive.control import ask

    try:
        status: dict[str, Any] = ask(case.folder, "status")
    except PocketHiveError:
        return None
    return status


def _lock_holder(path: Path) -> int | None:
    """The process that holds a lock file, 0 if it cannot be told, None if nobody does."""
    import fcntl

    if not path.exists():
        return None
    with path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder_by_inode(path.stat().st_ino)
    return None


def _holder_by_inode(inode: int) -> int:
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    for line in lines:
        words = line.split()
        if len(words) > 5 and "->" not in words and words[5].endswith(f":{inode}"):
            return int(words[4])
    return 0


def _databases(case: Case) -> str:
    """SQLite's own check; a running node holds its files, and has checked them when it opened."""
    if running(case) is not None:
        return "in use by the node that runs here"
    good = []
    for name in _DATABASES:
        path = case.folder / name
        if not path.exists():
            continue
        # SQLite reads nothing where it may not write, and says no more than that it cannot.
        _check_usable(path.parent, os.R_OK | os.W_OK | os.X_OK)
        _check_usable(path, os.R_OK | os.W_OK)
        try:
            db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
            try:
                said = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            finally:
                db.close()
        except sqlite3.Error as error:
            said = str(error)
        if said != "ok":
            raise StorageError(
                f"damaged: {said}",
                where=str(path),
                cure="restore it from a backup, or move it away to start empty",
            )
        good.append(path.name)
    return f"{', '.join(good)} are whole" if good else "none yet"


def _port(case: Case) -> str:
    """The port of the settings can be had, UDP and TCP."""
    if running(case) is not None:
        return "held by the node that runs here"
    host, port = case.listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind, name in ((socket.SOCK_DGRAM, "UDP"), (socket.SOCK_STREAM, "TCP")):
        with socket.socket(family, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                raise NetworkError(
                    f"{name} port {port} cannot be had: {error.strerror}",
                    where=host,
                    cure="stop the other program, or choose another --listen",
                ) from error
    return f"{host}:{port}" if port else f"any free one of {host}"


def _ipv6(_: Case) -> str:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return "not here; PocketHive goes by IPv4"
    return "here"


def _clock(case: Case) -> str:
    """Wall and monotonic clock go together, the system is in step, and so is the running node."""
    wall, steady = time.time(), time.monotonic()
    status = running(case)
    if status is not None and abs(status["wall"] - time.time()) > _MOST_SKEW:
        raise PocketHiveError("the running node lives at another time", cure="restart it")
    time.sleep(_SECOND)
    jump = abs((time.time() - wall) - (time.monotonic() - steady))
    if jump > _SECOND:
        raise PocketHiveError(f"it jumped by {jump:.1f} s", cure="let NTP slew it, not step it")
    if status is not None and (bad := status["drops"].get("clock", 0)) > 10:
        raise PocketHiveError(
            f"{bad} datagrams came from another time", cure="set this clock, or the peers'"
        )
    return f"steady, {_synchronized()}"


def _synchronized() -> str:
    """What the kernel says of NTP, where it can be read. Raises PocketHiveError."""
    if Path("/run/systemd/timesync/synchronized").exists():
        return "in step with NTP"
    if Path("/run/systemd/timesync").is_dir():
        raise PocketHiveError("NTP runs and is not in step", cure="timedatectl timesync-status")
    return "NTP state unknown"


def _peers(case: Case) -> str:
    """Somebody answers: the running node's peers, or those to join."""
    status = running(case)
    if status is not None:
        if not status["peers"] and case.join:
            raise NetworkError("the node knows no peer", cure="is one of --join up and reachable?")
        return f"the node knows {status['peers']}"
    if not case.join:
        return "none to ask; name some with --join"
    import asyncio

    from pockethive.reading import network_of, passing_node

    hive = network_of(case.hive, case.home)

    async def look() -> int:
        async with passing_node(case.join, hive, case.home) as (node, _):
            return len(node.contacts())

    return f"{asyncio.run(look())} answered or were named"
