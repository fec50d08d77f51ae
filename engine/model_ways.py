"""What a running node does about models when its user asks: share one, get one, list what there is.

Guards: getting takes long and an answer must not, so that it is asked for again and again; whoever
asks no more leaves the work going on, and finds it again by asking. A node that nobody asks loads
none of what this takes.
"""

import asyncio
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pockethive.control import Answerer
from pockethive.core.errors import BadInput, ModelError
from pockethive.device import Device

if TYPE_CHECKING:
    from pockethive.inference.bundle import Bundle
    from pockethive.model_getting import Getting
    from pockethive.model_sharing import Sharing

FILE: Final = "models.json"
"""In a device's folder: what it shares."""
MAX_GETTING: Final = 4
_ANSWER_SECONDS: Final = 0.3


class ModelWays:
    """Of one running device. On its loop."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._getting: dict[str, tuple[Getting, asyncio.Task[Bundle]]] = {}
        self.ways: dict[str, Answerer] = {
            "model-share": self._share,
            "model-get": self._get,
            "model-list": self._list,
        }

    def start(self) -> None:
        """Go on sharing what was shared before."""
        if self._path.exists():
            self._sharing.start()

    async def stop(self) -> None:
        """End all of it; what has been fetched is found again."""
        if "_sharing" in vars(self):
            await self._sharing.stop()
        tasks = [task for _, task in self._getting.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _path(self) -> Path:
        return self._device.settings.folder / FILE

    @cached_property
    def _sharing(self) -> "Sharing":
        from pockethive.model_sharing import Sharing

        return Sharing(self._device.parts, self._path)

    async def _share(self, request: Mapping[str, Any]) -> dict[str, Any]:
        from pockethive.inference.bundle import read_card
        from pockethive.inference.shelf import find_bundle

        name, quantization = _text(request, "name"), _text(request, "quantization")
        home = self._device.settings.home
        folder = await asyncio.to_thread(find_bundle, name, quantization, home)
        if folder is None:
            raise ModelError(
                f"the model {name} {quantization} is not on this device",
                where=str(home / "models"),
                cure=f"get it: pockethive models get {name}",
            )
        if request.get("stop") is True:
            return {"ended": await self._sharing.end(read_card(folder))}
        self._sharing.start()
        return {"address": await self._sharing.share(folder)}

    async def _list(self, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        from dataclasses import asdict

        from pockethive.model_sharing import SCHEME, shared_models

        found = await shared_models(self._device.parts)
        return [
            {"device": device, "address": SCHEME + notice.parcel, **asdict(notice)}
            for device, notice in found
        ]

    async def _get(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """How far it is; the first to ask begins it, the first to ask once it ended is told."""
        from pockethive.model_getting import Getting
        from pockethive.model_sharing import parcel_of

        name, accepted = parcel_of(_text(request, "address")), _text(request, "accepted")
        if name not in self._getting:
            if len(self._getting) >= MAX_GETTING:
                raise BadInput(f"{MAX_GETTING} models are being got", cure="wait for one of them")
            parts, home = self._device.parts, self._device.settings.home
            getting = Getting(parts, home, name, accepted)
            self._getting[name] = getting, asyncio.create_task(getting.run(), name="get-model")
        getting, task = self._getting[name]
        await asyncio.wait({task}, timeout=_ANSWER_SECONDS)
        got, size = getting.got
        if not task.done():
            return {"folder": "", "got": got, "size": size}
        self._getting.pop(name, None)  # another who asks may have been told, too
        return {"folder": str(task.result().folder), "got": size, "size": size}


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name, "")
    if not isinstance(value, str):
        raise BadInput(f"{name} is text")
    return value
