"""Hostile bytes against what a private hive reads: links, charters, lists, keys, newcomers."""

from collections.abc import Callable

from bench.forge import Forge
from bench.forge_hive import HiveForge
from pockethive.core.errors import BadEncoding, BadInvitation, BadSignature
from pockethive.dht import admission, member_list
from pockethive.dht.charter import Charter
from pockethive.dht.hive_key import open_key
from pockethive.dht.invitation import read_link
from pockethive.dht.membership import News

Read = Callable[[str, type[Exception] | tuple[type[Exception], ...], Callable[[], object]], None]


class HiveFuzzer:
    """Feeds the readers of a private hive. `read` runs one and counts how it ended."""

    def __init__(self, forge: Forge, read: Read) -> None:
        self.rng, self.forge, self.read = forge.rng, HiveForge(forge.rng, forge.mutated), read
        self.readers = [
            *(self.invitation, self.charter, self.page, self.pages),
            *(self.sealed_key, self.sealed_body, self.asked, self.answer, self.news),
        ]

    def one(self) -> None:
        """Feed one input."""
        self.rng.choice(self.readers)()

    def invitation(self) -> None:
        link = self.forge.invitation()
        self.read("invitation", BadInvitation, lambda: read_link(link))

    def charter(self) -> None:
        data = self.forge.spoiled(self.forge.charter.encode())
        self.read("charter", BadEncoding, lambda: Charter.decode(data))

    def page(self) -> None:
        record, charter = self.forge.page(), self.forge.charter
        allowed = (BadEncoding, BadSignature)
        self.read("list page", allowed, lambda: member_list.check_record(charter, record))

    def pages(self) -> None:
        """Of any records there is a newest list or none; that is all."""
        records = self.forge.pages()
        self.read("list", (), lambda: member_list.newest(self.forge.charter, records))

    def sealed_key(self) -> None:
        forge = self.forge
        sealed, generation = forge.mutated(forge.sealed), self.rng.choice([1, 1, 1, 0, 2])
        if self.rng.random() < 0.2:
            sealed = bytes(32) + sealed[32:]  # a point of low order
        self.read(
            "sealed key",
            (BadEncoding, BadSignature),
            lambda: open_key(forge.device, sealed, forge.charter.id, generation),
        )

    def sealed_body(self) -> None:
        data, place = self.forge.mutated(self.forge.body), self.rng.choice([b"here", b""])
        allowed = (BadEncoding, BadSignature)
        self.read("sealed body", allowed, lambda: self.forge.keys.open(place, data))

    def asked(self) -> None:
        data = self.forge.spoiled(self.rng.choice(self.forge.asked))
        self.read("request to join", BadEncoding, lambda: admission.read_asked(data))

    def answer(self) -> None:
        data, field = self.forge.spoiled(self.rng.choice(self.forge.answers)), "news"
        self.read("answer to it", BadEncoding, lambda: admission.read_answer(data, field))

    def news(self) -> None:
        data = self.forge.spoiled(self.forge.news.encode())
        self.read("news", BadEncoding, lambda: News.decode(data))
