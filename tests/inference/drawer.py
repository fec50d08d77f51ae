"""What stands in for snapshots on the disk."""

from collections.abc import Sequence

from pockethive.inference.slices import Contents


class Drawer:
    """Snapshots of one beginning."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, ...], Contents] = {}

    def load(self, ids: Sequence[int]) -> Contents | None:
        return self.kept.get(tuple(ids))

    def save(self, ids: Sequence[int], contents: Contents) -> None:
        self.kept[tuple(ids)] = contents
