"""Two devices with documents, keys and a scripted model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pockethive.actors.documents.index import DocumentIndex, Signer
from pockethive.actors.skill import Finding, Tools, Work
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.core.canonical import decode, encode, to_text
from pockethive.inference.testing import ScriptedModel

FERRY = """Ferry
=====

The first ferry leaves the harbour at seven in the morning. It takes two hours to the island when
the sea is calm, and three when it is not.

Tickets for the ferry are sold on board, and children under six travel free of charge all year.
The crew does not take cards, and the harbour has no bank.
"""
OTHERS = {
    "bees.txt": "Bees\n====\n\nA colony of bees has one queen, who lives for up to five years.\n\n"
    "Honey is harvested in late summer, when the combs are sealed with wax by the bees.\n",
    "island.txt": "The island\n==========\n\nThe island has a harbour in the north, where the "
    "first hotel was built, and another in the south, where boats leave before the sun is up.\n\n"
    "In the morning the market on the island is open, and fish is sold there by the ferry crew.\n",
}


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Hive:
    """The devices by number; every output goes through the wire form."""

    tools: tuple[Tools, ...]

    def device(self, number: int) -> str:
        documents = self.tools[number].documents
        assert documents is not None
        return documents.device

    def run(self, skill: str, number: int, inputs: dict[str, Any], **params: Any) -> Any:
        work = self.work(skill, number, inputs, **params)
        return decode(encode(SKILLS[skill].run(work, self.tools[number]).value), 100_000)

    def work(self, skill: str, number: int, inputs: dict[str, Any], **params: Any) -> Work:
        return Work(
            task="t",
            name=skill,
            skill=skill,
            params=params,
            inputs=inputs,
            device=self.device(number),
        )

    def check(self, checker: str, work: Work, value: Any, number: int) -> Finding:
        return CHECKERS[checker].check(work, value, self.tools[number])


@pytest.fixture
def hive(tmp_path: Path) -> Iterator[Hive]:
    tools = []
    for number, texts in enumerate(({"ferry.txt": FERRY}, OTHERS)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, text in texts.items():
            (folder / name).write_text(text)
        key = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)
        device = to_text(key.public_key().public_bytes_raw())
        index = DocumentIndex.build([folder], ":memory:", Signer(device=device, sign=key.sign))
        tools.append(Tools(model=ScriptedModel(), documents=index, sign=key.sign, verify=verify))
    yield Hive(tools=tuple(tools))
    for each in tools:
        assert each.documents is not None
        each.documents.close()
