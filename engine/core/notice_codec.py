"""The body of a notice, as `entry_codec` writes and reads it.

Guards: there is no field that could hold a text of a goal or a document: hashes, names of skills,
and one of few words.
"""

from typing import Any, Final

from pockethive.core.entry import Notice
from pockethive.core.errors import BadEncoding
from pockethive.core.fields import NAME, Fields
from pockethive.core.labels import Label

MAX_SIZE: Final = 7  # the largest size class
_MODEL_CLASSES = frozenset(("", "any"))


def encode_notice(notice: Notice) -> dict[str, Any]:
    """The fields of a notice's body."""
    return {
        "key": notice.key,
        "skill": notice.skill,
        "size": notice.size,
        "model": notice.model,
        "label": notice.label.value,
        "owner": notice.owner,
    }


def decode_notice(fields: Fields) -> Notice:
    """The notice behind `encode_notice`. Raises BadEncoding."""
    model = fields.text("model", NAME)
    if model not in _MODEL_CLASSES:
        raise BadEncoding(f"notice: no model class {model!r}")
    return Notice(
        key=fields.sha("key"),
        skill=fields.text("skill", NAME, 1),
        size=fields.whole("size", 0, MAX_SIZE),
        model=model,
        label=fields.one_of("label", Label),
        owner=fields.device("owner"),
    )
