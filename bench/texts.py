"""Comparing texts the way a reader would."""

import re

from pockethive.actors.documents.passages import plain

_MARKS = re.compile(r"[“”\"'`’‘*]")


def level(text: str) -> str:
    """Text for comparing: small letters, single spaces, no quotation marks or asterisks."""
    return " ".join(_MARKS.sub("", plain(text)).lower().split())
