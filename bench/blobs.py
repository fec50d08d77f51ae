"""Rate of a large blob: a plain TLS stream, `Node.fetch` from one holder and from three.

    python -m bench.blobs --size 256 --rounds 5

One machine, one run, the three ways in turn, every holder a process of its own. The plain way is
asyncio's TCP with TLS 1.3, Ed25519 certificates pinned on both sides, pieces of 256 KiB, and
SHA-256 at the receiver (what study/dht.md measured); it keeps nothing, or writes a file ("plain,
disk"), or keeps all pieces ("plain, memory": new memory costs its pages, 0.1 s of processor for
256 MiB). `Node.fetch` checks and keeps every chunk, on the disk or in memory. Rates are MB (10^6
bytes) a second; `share_of_like` compares with the plain way that keeps as much, in the same round,
and `cpu_of_like` the receiver's processor time, which other programs disturb less.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

from cryptography import x509

from bench.machine import machine
from pockethive.dht.audience import EVERYONE
from pockethive.dht.certificate import certificate_pem
from pockethive.dht.contact import Contact
from pockethive.dht.identity import Identity
from pockethive.dht.node import Node, NodeSettings
from pockethive.dht.rules import OpenRules
from pockethive.dht.testing import somebody

PIECE = 2**18
MIB = 2**20
LIKE = {"disk": "plain, disk", "memory": "plain, memory"}


def content(size: int) -> Iterator[bytes]:
    """The same bytes in every process; no two chunks alike."""
    block = bytes(range(256)) * (MIB // 256)
    for number in range(size // MIB):
        yield number.to_bytes(8, "big") + block[8:]


@contextlib.contextmanager
def holder(kind: str, number: int, size: int, folder: Path) -> Iterator[str]:
    """A process that serves; what it printed when it was ready."""
    command = [sys.executable, "-m", "bench.blobs", "--serve", kind, str(number)]
    command += ["--size", str(size // MIB), "--folder", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=10)


async def serve(kind: str, number: int, size: int, folder: Path) -> None:
    """What a holder process does, until it is ended."""
    identity = somebody(f"holder {number}")
    if kind == "plain":
        await serve_plain(identity, size, folder)
        return
    settings = NodeSettings(home=folder / f"holder {number}", blob_bytes=4 * size)
    async with Node(settings, identity, OpenRules()) as node:
        name = await asyncio.to_thread(node.blobs.put_stream, content(size), EVERYONE)
        print(f"{node.contact} {name}", flush=True)
        await asyncio.Event().wait()


async def serve_plain(identity: Identity, size: int, folder: Path) -> None:
    """The plain stream: after the client's byte, all of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(pair(identity, folder))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pair(somebody("client"), folder))
    data = b"".join(content(size))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert peer_key(writer) == somebody("client").public
        await reader.readexactly(1)
        for start in range(0, len(data), PIECE):
            writer.write(data[start : start + PIECE])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def fetch_plain(
    port: int, size: int, folder: Path, to: Path | None = None, kept: list[bytes] | None = None
) -> None:
    """Receive and hash the plain stream; with `to`, write it to that file, or keep it in `kept`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(pair(somebody("client"), folder))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=MIB)
    assert peer_key(writer) == somebody("holder 0").public
    writer.write(b"g")
    state, count = hashlib.sha256(), 0
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(to.open("wb", buffering=0)) if to else None
        while piece := await reader.read(PIECE):
            count += len(piece)
            state.update(piece)
            if file:
                file.write(piece)
            if kept is not None:
                kept.append(piece)
    assert count == size
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def warm(path: Path, size: int) -> None:
    """Write and delete a file of this size: in a virtual machine the first touch of a page costs
    its host five times what writing it costs, and that is not what is compared here."""
    path.write_bytes(b"".join(content(size)))
    path.unlink()


def pair(identity: Identity, folder: Path) -> Path:
    """Key and certificate of an identity in one file."""
    path = folder / f"{identity.public.hex()}.pem"
    path.write_bytes(certificate_pem(identity))
    return path


def peer_key(writer: asyncio.StreamWriter) -> bytes:
    """The key in the other end's certificate."""
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    key = x509.load_der_x509_certificate(der).public_key()
    return key.public_bytes_raw()  # type: ignore[union-attr]  # they are all Ed25519


@contextlib.asynccontextmanager
async def reader_node(home: Path | None, size: int) -> AsyncIterator[Node]:
    """A fresh node that holds nothing."""
    settings = NodeSettings(home=home, blob_bytes=4 * size)
    async with Node(settings, somebody("client"), OpenRules()) as node:
        yield node


async def timed(work: Awaitable[object]) -> tuple[float, float]:
    """Seconds of the clock and of this process's processor time."""
    began, spent = time.perf_counter(), processor()
    await work
    return time.perf_counter() - began, processor() - spent


def processor() -> float:
    """Seconds of processor time of this process so far."""
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


async def measure(rounds: int, size: int, folder: Path) -> dict[str, list[dict[str, float]]]:
    """All ways in turn, `rounds` times."""
    raw: dict[str, list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        port = int(stack.enter_context(holder("plain", 0, size, folder)))
        lines = [stack.enter_context(holder("node", n, size, folder)) for n in range(1, 4)]
        contacts = [Contact.parse(line.split()[0]) for line in lines]
        name = lines[0].split()[1]
        assert all(line.endswith(name) for line in lines)
        ways = [("one holder, disk", 1, True), ("three holders, disk", 3, True)]
        ways += [("one holder, memory", 1, False), ("three holders, memory", 3, False)]
        for number in range(rounds):
            note(raw, "plain", await timed(fetch_plain(port, size, folder)), size)
            file = folder / "plain.bin"
            warm(file, size)
            note(raw, "plain, disk", await timed(fetch_plain(port, size, folder, file)), size)
            file.unlink()
            note(raw, "plain, memory", await timed(fetch_plain(port, size, folder, None, [])), size)
            for way, count, on_disk in ways:
                home = folder / f"reader {number} {count}" if on_disk else None
                if on_disk:
                    warm(file, size)
                async with reader_node(home, size) as node:
                    work = node.fetch(name, contacts[:count])
                    note(raw, way, await timed(work), size)
                    assert node.blobs.size(name) == size
                    node.blobs.drop(name)
    return raw


def note(
    raw: dict[str, list[dict[str, float]]], way: str, times: tuple[float, float], size: int
) -> None:
    """Add one measurement and print it."""
    wall, used = times
    one = {"seconds": wall, "receiver_cpu_seconds": used, "rate": size / wall / 1e6}
    raw.setdefault(way, []).append(one)
    print(f"{way:22} {one['rate']:7.0f} MB/s   receiver's processor {used:.2f} s", flush=True)


def report(raw: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    """Medians; each round's figures as shares of the same round's plain ones."""
    summary: dict[str, object] = {}
    for way, ones in raw.items():
        like = next((base for base in LIKE if way.endswith(base)), "plain")
        summary[way] = {
            "median_rate": round(statistics.median(one["rate"] for one in ones), 1),
            "median_share_of_plain": _share(ones, raw["plain"], "rate"),
            "median_share_of_like": _share(ones, raw[LIKE.get(like, like)], "rate"),
            "median_cpu_of_like": _share(ones, raw[LIKE.get(like, like)], "receiver_cpu_seconds"),
        }
    return summary


def _share(ones: list[dict[str, float]], bases: list[dict[str, float]], figure: str) -> float:
    shares = (one[figure] / base[figure] for one, base in zip(ones, bases, strict=True))
    return round(statistics.median(shares), 3)


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="MiB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="file for the raw numbers")
    parser.add_argument("--serve", nargs=2, metavar=("KIND", "NUMBER"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    size = given.size * MIB
    if given.serve:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(given.serve[0], int(given.serve[1]), size, given.folder))
        return
    with tempfile.TemporaryDirectory(prefix="pockethive-blobs-") as name:
        raw = asyncio.run(measure(given.rounds, size, Path(name)))
    result = {"machine": machine("cryptography"), "size": size, "raw": raw, "summary": report(raw)}
    text = json.dumps(result, indent=2)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text)
    print(json.dumps(result["summary"], indent=2))


if __name__ == "__main__":
    main()
