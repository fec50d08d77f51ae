"""Who may see a datum. Labels only widen by an explicit, logged release."""

from collections.abc import Iterable
from enum import Enum


class Label(Enum):
    """Audiences from the narrowest to the widest."""

    DEVICE = "device"
    PEOPLE = "people"
    HIVE = "hive"
    PUBLIC = "public"

    __hash__ = object.__hash__  # members are single; Enum hashes their names each time

    @property
    def width(self) -> int:
        """0 for the narrowest audience; wider audiences are larger."""
        return _WIDTH[self]

    def allows(self, audience: "Label") -> bool:
        """True when a datum so labelled may reach `audience` without a release."""
        return audience.width <= self.width


_WIDTH = {label: width for width, label in enumerate(Label)}


def join(labels: Iterable[Label]) -> Label:
    """The label of what was made from several data: the narrowest of theirs."""
    return min(labels, key=lambda label: label.width, default=Label.PUBLIC)
