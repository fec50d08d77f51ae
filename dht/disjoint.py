"""Several lookups that share no node, for reads that matter (S/Kademlia, Baumgart and Mies 2007).

Guards: a liar misleads the one path it stands on; what it hides is found on another. Each path
begins with contacts of its own and asks only nodes that no other path has asked.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from pockethive.dht.contact import Contact
from pockethive.dht.identity import node_id
from pockethive.dht.lookup import Found, Lookup, Question

PATHS: Final = 3


async def walk_apart(
    lookups: Sequence[Lookup], start: Sequence[Contact], question: Question, budget: float
) -> list[Found]:
    """Run lookups that share their `taken` at once, each from its share of `start`."""
    if len(lookups) == 1:
        return [await lookups[0].run(start, question, budget)]
    shares = [start[number :: len(lookups)] for number in range(len(lookups))]
    walks = (
        lookup.run(share, question, budget) for lookup, share in zip(lookups, shares, strict=True)
    )
    return list(await asyncio.gather(*walks))


def together(target: bytes, found: Sequence[Found], k: int) -> Found:
    """The k nearest nodes that any path heard."""
    if len(found) == 1:
        return found[0]
    goal = int.from_bytes(target, "big")

    def distance(contact: Contact) -> int:
        return int.from_bytes(node_id(contact.public), "big") ^ goal

    heard = sorted({c for path in found for c in path.contacts}, key=distance)[:k]
    return Found(
        contacts=tuple(heard),
        hops=max(path.hops for path in found),
        asked=sum(path.asked for path in found),
        complete=all(path.complete for path in found),
        late=tuple(contact for path in found for contact in path.late),
    )
