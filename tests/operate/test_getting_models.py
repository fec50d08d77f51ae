"""Getting a model from a member, begun and broken off: two devices in this process."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pockethive.core.errors import RefusedModel, StorageError
from pockethive.core.labels import Label
from pockethive.device import Device, DeviceSettings
from pockethive.inference.bundle import Bundle, open_bundle
from pockethive.inference.parcel import Parcel
from pockethive.model_getting import Getting
from pockethive.model_sharing import Sharing, parcel_of
from pockethive.model_ways import FILE
from tests.operate.test_shared_models import bundle_in

WEIGHTS = bytes(range(256)) * 4096 * 24  # 24 chunks of a blob
LARGE = "openvino_model.bin"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    """Two devices of an open hive that know each other."""
    first = Device(_settings(tmp_path / "a"))
    first.start()
    second = Device(_settings(tmp_path / "b", join=(first.contact,)))
    try:
        second.start()
        first.expect([second.id])
        yield first, second
    finally:
        second.stop()
        first.stop()


def _settings(home: Path, **more: object) -> DeviceSettings:
    return DeviceSettings(home=home, folder=home / "node", works=False, verifies=False, **more)  # type: ignore[arg-type]


def shared(device: Device, bundle: Bundle) -> str:
    """The parcel of a bundle that a device shares from now on."""
    sharing = Sharing(device.parts, device.settings.folder / FILE)
    return parcel_of(device.call(sharing.share(bundle.folder)))


async def broken_off(getting: Getting, most: int) -> int:
    """Begin, and give up when some of the large file has come; how much was there."""
    task = asyncio.create_task(getting.run())
    while (got := getting.got[0]) <= most and not task.done():  # noqa: ASYNC110 - a download has no event for "some"
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled(), task
    return got


def test_what_had_come_before_it_was_broken_off_is_not_fetched_again(
    pair: tuple[Device, Device],
) -> None:
    first, second = pair
    bundle = bundle_in(first.settings.home, weights=WEIGHTS)
    name, home = shared(first, bundle), second.settings.home
    small = bundle.size - len(WEIGHTS)
    got = second.call(broken_off(Getting(second.parts, home, name, ""), small))
    assert not (home / "models").exists()

    blob = Parcel.decode(first.parts.shelf.get(name) or b"").blobs[LARGE]
    manifest = first.parts.node.blobs.manifest(blob)
    assert manifest is not None
    store = second.parts.node.blobs
    partial = store.begin(manifest)
    partial.recheck()
    there = sum(manifest.length(index) for index in range(24)) - sum(
        manifest.length(index) for index in partial.missing()
    )
    store.pause(partial)
    assert 0 < got - small <= there < len(WEIGHTS)

    made = second.call(Getting(second.parts, home, name, "").run())
    assert open_bundle(made.folder, full=True).card == bundle.card
    assert not store.has(blob), "what stands under its name needs no second copy"


def test_files_that_the_card_does_not_name_are_fetched_and_refused(
    pair: tuple[Device, Device],
) -> None:
    """A sharer whose blobs are others than its card says."""
    first, second = pair
    bundle = bundle_in(first.settings.home)
    honest = Parcel.decode(first.parts.shelf.get(shared(first, bundle)) or b"")
    shelf = first.parts.shelf
    path = first.settings.home / "other"
    path.write_bytes(b"something else")
    lie = shelf.keep_file(path, Label.HIVE)
    blobs = {**honest.blobs, LARGE: lie}
    parcel = Parcel(card=honest.card, blobs=blobs, words={})
    name = shelf.keep(parcel.encode(), Label.HIVE)
    home = second.settings.home
    with pytest.raises(RefusedModel, match=r"openvino_model\.bin is not the file"):
        second.call(Getting(second.parts, home, name, "").run())
    assert list((home / "models").iterdir()) == []


def test_a_model_that_the_disk_or_the_quota_has_no_room_for_is_not_begun(
    tmp_path: Path, pair: tuple[Device, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    bundle = bundle_in(first.settings.home)
    name, home = shared(first, bundle), second.settings.home
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000_000))
    with pytest.raises(RefusedModel, match="getting tiny takes about 6 MB of disk"):
        second.call(Getting(second.parts, home, name, "").run())
    monkeypatch.undo()
    third = Device(_settings(tmp_path / "c", join=(first.contact,), quota_bytes=2_000_000))
    third.start()
    try:
        first.expect([third.id])
        with pytest.raises(StorageError, match="the blob store is full"):
            third.call(Getting(third.parts, third.settings.home, name, "").run())
        assert not (third.settings.home / "models").exists()
    finally:
        third.stop()
