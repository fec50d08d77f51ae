"""The bulletin at the table of `pockethive.core.testing`.

Guards: what is posted passes through the real codec.
"""

from pockethive.core.effects import PostNotice, RemoveNotice
from pockethive.core.entry import Kind, Notice
from pockethive.core.entry_codec import decode_body, encode_body
from pockethive.core.notice import shard_of
from pockethive.core.task import DeviceId


class Bulletin:
    """To look at: `posted`, every body ever posted, and `reads`, the shards read by each device."""

    def __init__(self) -> None:
        self.posted: list[bytes] = []
        self.reads: dict[DeviceId, list[tuple[float, int]]] = {}
        self._standing: dict[str, tuple[bytes, int]] = {}

    @property
    def standing(self) -> int:
        """Notices that were not taken back."""
        return len(self._standing)

    def post(self, effect: PostNotice | RemoveNotice) -> None:
        """Put a notice up, or take it down."""
        key = effect.notice.key
        if isinstance(effect, RemoveNotice):
            self._standing.pop(key, None)
            return
        body = encode_body(effect.notice)
        self.posted.append(body)
        self._standing[key] = body, effect.expires

    def read(self, device: DeviceId, shard: int, now: float, wall: float) -> tuple[Notice, ...]:
        """What stands in a shard. `wall`: unix time at the table's second 0."""
        self.reads.setdefault(device, []).append((now, shard))
        found = []
        for body, expires in self._standing.values():
            notice = decode_body(Kind.NOTICE, body)
            assert isinstance(notice, Notice)
            if shard_of(notice.key) == shard and expires > wall + now:
                found.append(notice)
        return tuple(found)
