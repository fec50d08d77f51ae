"""What the command line writes to standard error: lines for people, or JSON for machines.

Guards: only the command line calls this; it touches the logger `pockethive` and never the root, so
that a service that embeds us keeps its own logging. What peers wrote is shown, never obeyed by a
terminal; one event is one line of bounded length.

A field that belongs to an event is given as `extra={"fields": {...}}`; JSON shows it by its name,
text after the event as `name=value`.
"""

import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

FORMS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
MAX_EVENT: Final = 8_000  # characters of an event's text, and of a traceback
_OURS: Final = "pockethive"
_TAKEN: Final = frozenset(("time", "level", "logger", "event", "error"))


def configure(form: str, level: str, stream: TextIO) -> Callable[[], None]:
    """Write what the package logs from `level` on to `stream`; the returned function undoes it."""
    logger = logging.getLogger(_OURS)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level.upper())

    def undo() -> None:
        logger.removeHandler(handler)
        logger.setLevel(before)

    return undo


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, event, its fields, error (a traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _clip(record.getMessage()),
        }
        for name, value in _fields(record).items():
            line[f"{name}_" if name in _TAKEN else name] = value
        if error := _traceback(self, record):
            line["error"] = error
        return json.dumps(line, ensure_ascii=True, default=str)


class TextLines(logging.Formatter):
    """`time level logger: event name=value`, and a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        event = _shown(_clip(record.getMessage()) + fields)
        head = f"{_utc(record)} {record.levelname.lower()} {record.name}: {event}"
        error = _traceback(self, record)
        return f"{head}\n{_shown(error, lines=True)}" if error else head


def _utc(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[0] is not None:
        return formatter.formatException(record.exc_info)[-MAX_EVENT:]
    return ""


def _clip(text: str) -> str:
    return text if len(text) <= MAX_EVENT else text[: MAX_EVENT - 1] + "…"


def _shown(text: str, *, lines: bool = False) -> str:
    """`text` without what a terminal would obey, and on one line unless it has `lines`."""
    kept = "\n" if lines else ""
    return "".join(c if c.isprintable() or c in kept else "\N{REPLACEMENT CHARACTER}" for c in text)
