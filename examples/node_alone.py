"""Two nodes of the DHT in one program, without agents, tasks or a home folder."""

import asyncio

from pockethive.dht.node import Node


async def main() -> None:
    async with Node.open() as here, Node.open() as there:
        await there.join([here.contact])
        copies = await here.note("weather/oslo", b"sunny", seconds=600)
        for note in await there.notes("weather/oslo"):
            print(note.value.decode(), "in", copies, "copies, by", note.author.hex()[:8])


if __name__ == "__main__":
    asyncio.run(main())
