"""The basket: outputs of tasks that concern this device alone, on their way to the machines."""

from pathlib import Path

from pockethive.actors.basket import Basket, Fetch, Small
from pockethive.actors.label_file import LabelFile
from pockethive.actors.shelf import Kept, Shelf
from pockethive.core.effects import WorkHere
from pockethive.core.events import Event, SkillDone, SkillFailed
from pockethive.core.labels import Label
from pockethive.core.task import PlannedTask, TaskId, Verification
from pockethive.dht.blobs import BlobStore
from pockethive.dht.chunks import name_of


def made(number: int, size: int = 20, label: Label = Label.DEVICE) -> Small:
    planned = PlannedTask(
        name=f"t{number}", role="r", skill="s", label=label, verification=Verification(checks=())
    )
    order = WorkHere(task=TaskId(f"run/t{number}/spec"), epoch=1, planned=planned, inputs=())
    return Small(order, bytes([number]) * size, tokens=number)


def told(small: Small, name: str) -> Event:
    task, size = small.order.task, len(small.data)
    return SkillDone(
        task=task, epoch=1, output=name, size=size, model="", inputs=(), tokens=small.tokens
    )


def basket_of(store: BlobStore, *, served: bool = True) -> tuple[Basket, list[Fetch], Shelf]:
    fetches: list[Fetch] = []
    shelf = Shelf(lambda: store)

    def fetch(this: Fetch, idle: bool) -> bool:
        assert not idle
        fetches.append(this)
        return served

    return Basket(shelf, fetch, told), fetches, shelf


def test_what_comes_while_nobody_has_come_is_fetched_at_once_and_kept_before_it_is_told(
    tmp_path: Path,
) -> None:
    store = BlobStore()
    basket, fetches, shelf = basket_of(store)
    shelf.remember(LabelFile(tmp_path / "labels"))
    several = [made(1), made(2, label=Label.HIVE), made(3)]
    for small in several:
        basket.add(small)
    assert len(fetches) == 1
    assert fetches[0]() == [told(small, name_of(small.data)) for small in several]
    for small in several:
        name, label = name_of(small.data), small.order.planned.label
        assert store.get(name) == small.data
        assert shelf.kept(name) == Kept(label, 20)
    basket.add(made(4))
    assert len(fetches) == 2
    shelf.close()
    assert len(LabelFile(tmp_path / "labels").read()) == 3
    store.close()


def test_where_not_all_have_room_those_that_have_are_kept_and_the_others_failed() -> None:
    store = BlobStore(quota=50)
    basket, fetches, _ = basket_of(store)
    for small in (made(1), made(2), made(3)):
        basket.add(small)
    first, second, third = fetches[0]()
    assert [first, second] == [told(each, name_of(each.data)) for each in (made(1), made(2))]
    assert isinstance(third, SkillFailed)
    assert (third.task, third.epoch) == (made(3).order.task, 1)
    assert "full" in third.reason
    store.close()


def test_where_nobody_comes_the_basket_is_empty_for_whoever_comes_later() -> None:
    store = BlobStore()
    basket, fetches, _ = basket_of(store, served=False)
    basket.add(made(1))
    basket.add(made(2))
    assert len(fetches) == 2
    assert fetches[1]() == []
    store.close()
