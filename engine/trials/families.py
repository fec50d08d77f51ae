"""All families by name."""

from collections.abc import Mapping
from typing import Final

from pockethive.core.errors import BadInput
from pockethive.trials.digits import Digits
from pockethive.trials.family import Control, Family
from pockethive.trials.hanoi import Hanoi
from pockethive.trials.labels import Labels
from pockethive.trials.sorting import Sorting
from pockethive.trials.tally import Tally
from pockethive.trials.timeline import Timeline

FAMILIES: Final[Mapping[str, Family]] = {
    each.name: each
    for each in (
        Tally(),
        Tally(adds="model"),
        Labels(),
        Timeline(),
        Hanoi(),
        Hanoi(by="facts"),
        Hanoi(by="counting"),
        Sorting(),
        Sorting(by="counting"),
        Digits("sums"),
        Digits("sums", by="counting"),
        Digits("products"),
        Digits("products", by="counting"),
    )
}
_CONTROL = "-control"


def family(name: str) -> Family:
    """The family of a name; one that ends in "-control" has its choices drawn. Raises BadInput."""
    found = FAMILIES.get(name.removesuffix(_CONTROL))
    if found is None:
        raise BadInput(f"no family {name!r}", cure=f"one of {', '.join(FAMILIES)}")
    return Control(found) if name.endswith(_CONTROL) else found
