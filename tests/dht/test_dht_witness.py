"""Witness cells: compare and set, durable, one decision after another."""

import asyncio
from pathlib import Path

import pytest

from pockethive.core.errors import ProtocolError, StorageError
from pockethive.dht.cells import MAX_CELL, CellStore
from pockethive.dht.rules import Ask, Decision, OpenRules
from pockethive.dht.testing import NOW, RULES, somebody
from pockethive.dht.witness import Witness

ANNA = somebody("anna").public


def clock() -> float:
    return NOW


class Counting(OpenRules):
    """Each ask adds one to the cell it names."""

    def __init__(self) -> None:
        self.asks: list[Ask] = []

    def decide(self, ask: Ask) -> Decision:
        self.asks.append(ask)
        count = b"%d" % (int(ask.cell or b"0") + 1)
        return Decision(cell=None if count == b"9" else count, reply=count)


def test_a_cell_is_set_only_from_the_value_that_was_read(tmp_path: Path) -> None:
    cells = CellStore(tmp_path / "cells.sqlite", clock)
    assert cells.compare_and_set(b"k", None, b"1")
    assert not cells.compare_and_set(b"k", None, b"2")
    assert not cells.compare_and_set(b"k", b"0", b"2")
    assert cells.compare_and_set(b"k", b"1", b"2")
    assert cells.get(b"k") == b"2"
    assert cells.compare_and_set(b"k", b"2", None)
    assert cells.get(b"k") is None
    cells.close()


def test_cells_and_birth_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "cells.sqlite"
    first = CellStore(path, lambda: NOW)
    first.compare_and_set(b"k", None, b"kept")
    first.close()
    again = CellStore(path, lambda: NOW + 1000)
    assert again.get(b"k") == b"kept"
    assert again.born == NOW
    again.close()
    path.unlink()
    lost = CellStore(path, lambda: NOW + 2000)
    assert lost.get(b"k") is None
    assert lost.born == NOW + 2000
    lost.close()


def test_cells_are_bounded(tmp_path: Path) -> None:
    cells = CellStore(tmp_path / "cells.sqlite", clock, max_cells=2)
    for key, value in [(b"k" * 65, b""), (b"k", bytes(MAX_CELL + 1))]:
        with pytest.raises(StorageError, match="over its bound"):
            cells.compare_and_set(key, None, value)
    assert cells.compare_and_set(b"1", None, b"")
    assert cells.compare_and_set(b"2", None, b"")
    with pytest.raises(StorageError, match="all 2 cells are taken"):
        cells.compare_and_set(b"3", None, b"")
    assert cells.compare_and_set(b"1", b"", None)
    assert cells.compare_and_set(b"3", None, b"")
    cells.close()


@pytest.mark.parametrize("durable", [True, False])
async def test_simultaneous_asks_are_decided_one_after_another(
    tmp_path: Path, durable: bool
) -> None:
    rules = Counting()
    witness = Witness(rules, clock, tmp_path / "cells.sqlite" if durable else None)
    body = b"n" * 20 + b"x"
    replies = await asyncio.gather(*(witness.decide(ANNA, body) for _ in range(12)))
    assert replies == [b"%d" % n for n in (*range(1, 10), 1, 2, 3)]  # the ninth empties the cell
    assert {(ask.peer, ask.now, ask.born) for ask in rules.asks} == {(ANNA, NOW, NOW)}
    await witness.close()


async def test_a_refusal_leaves_no_trace_and_harms_no_other_ask(tmp_path: Path) -> None:
    witness = Witness(RULES, clock, tmp_path / "cells.sqlite")
    good, bad, late = await asyncio.gather(
        witness.decide(ANNA, b"n" * 20 + b"first"),
        witness.decide(ANNA, b"short"),
        witness.decide(ANNA, b"n" * 20 + b"second"),
        return_exceptions=True,
    )
    assert good == late == b"first"
    assert isinstance(bad, ProtocolError)
    await witness.close()


async def test_a_fault_of_the_disk_promises_nothing(tmp_path: Path) -> None:
    witness = Witness(RULES, clock, tmp_path / "cells.sqlite")
    witness._cells._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="readonly"):
        await witness.decide(ANNA, b"n" * 20 + b"first")
    witness._cells._db.execute("PRAGMA query_only = OFF")
    assert await witness.decide(ANNA, b"n" * 20 + b"second") == b"second"
    await witness.close()


async def test_an_ask_that_was_given_up_disturbs_nobody(tmp_path: Path) -> None:
    witness = Witness(RULES, clock, tmp_path / "cells.sqlite")
    given_up = asyncio.ensure_future(witness.decide(ANNA, b"n" * 20 + b"first"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await witness.decide(ANNA, b"m" * 20 + b"other") == b"other"
    await witness.close()
