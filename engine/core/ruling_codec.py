"""A ruling as fields, and back. Its bounds are those of all entries: see `entry_codec`."""

from typing import Any

from pockethive.core.entry import Ruling
from pockethive.core.fields import Fields


def encode_ruling(ruling: Ruling) -> dict[str, Any]:
    """The fields of a ruling."""
    return {
        "task": ruling.task,
        "epoch": ruling.epoch,
        "output": ruling.output,
        "worker": ruling.worker,
        "accept": ruling.accept,
    }


def decode_ruling(fields: Fields) -> Ruling:
    """The ruling behind `encode_ruling`. Raises BadEncoding."""
    return Ruling(
        task=fields.task("task"),
        epoch=fields.whole("epoch"),
        output=fields.sha("output"),
        worker=fields.device("worker"),
        accept=fields.flag("accept"),
    )
