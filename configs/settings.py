"""One device's own settings, from a file or from keyword arguments.

Rule guarded here: a device without a settings file listens on loopback only and announces itself to
nobody; every field says what it is for.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pockethive.configs.home import default_home
from pockethive.configs.loader import in_file_order, read_file
from pockethive.configs.reader import Reader
from pockethive.configs.yaml_tree import Tree, read_tree
from pockethive.core.canonical import from_text
from pockethive.core.errors import BadEncoding, ConfigError, Problem
from pockethive.core.spec import NO_CHOICE, ONE_ARITHMETIC, QUICK

_ADDRESS = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):(\d{1,5})")
_CONTACT = re.compile(r"([A-Za-z0-9_-]{43})@.+:(\d{1,5})")


def _is_address(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[2]) > _MAX_PORT:
        raise ValueError("must be host:port, such as 127.0.0.1:7300")
    return text


def _is_contact(text: str) -> str:
    found = _CONTACT.fullmatch(text)
    try:
        if found is None or not 0 < int(found[2]) <= _MAX_PORT:
            raise BadEncoding("of another form")
        from_text(found[1], 32)
    except BadEncoding as error:
        raise ValueError("must be KEY@HOST:PORT, as `pockethive node` prints it") from error
    return text


_MAX_PORT = 65_535
Listen = Annotated[str, AfterValidator(_is_address)]
Metrics = Annotated[str, AfterValidator(lambda text: text and _is_address(text))]
Contact = Annotated[str, AfterValidator(_is_contact)]


PHONE: Mapping[str, Any] = MappingProxyType({"memory_mb": 450, "threads": 2, "quota_mb": 128})
"""What `profile: phone` sets, where nothing else is said: the default model in int8 fits."""


class Settings(BaseModel):
    """A device's settings. Paths are absolute once read from a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Literal["computer", "phone"] = Field(
        default="computer", description="What kind of device: a phone takes less of everything."
    )
    memory_mb: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Megabytes this process may take for a model to be loaded; 0: what is free.",
    )

    home: Path = Field(
        default_factory=default_home,
        description="Folder for identity, database, blobs and models; one device, one home.",
    )
    listen: Listen = Field(
        default="127.0.0.1:0",
        description="Address and port for other devices, as host:port; port 0 takes a free one.",
    )
    join: tuple[Contact, ...] = Field(
        default=(), description="Devices to meet first, each as key@host:port."
    )
    hive: str = Field(
        default="home",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="Name of the hive; devices of other names are not joined.",
    )
    documents: tuple[Path, ...] = Field(
        default=(), description="Files and folders this device may search. They stay on it."
    )
    model: str | None = Field(
        default=None,
        description="Catalogue name, hub id or folder of the model to load; none: the team's.",
    )
    quantization: Literal["int8", "int4", "int8onnx", "int4onnx"] = Field(
        default="int8", description="How the model's weights are stored."
    )
    arithmetic: Literal["exact", "quick"] = Field(
        default="exact",
        description="How the model reckons: alike on every device, or as is fastest here.",
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="CPU threads a model may use; 0: one per core."
    )
    quota_mb: int = Field(
        default=1024, ge=16, le=10_000_000, description="Megabytes kept for others' blobs at most."
    )
    work: bool = Field(default=True, description="Take tasks of this device's own hive.")
    lend: Literal["always", "idle", "never"] = Field(
        default="idle", description="When to take tasks of other owners' runs, too."
    )
    idle_load: float = Field(
        default=0.3, ge=0, le=1, description="Load by other programs, of 1, up to which it is idle."
    )
    idle_battery: float = Field(
        default=0.8, ge=0, le=1, description="Charge, of 1, above which it lends itself unplugged."
    )
    idle_seconds: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="How long it must have been quiet before it lends itself.",
    )
    mdns: bool = Field(default=False, description="Announce and find devices on the local network.")
    metrics: Metrics = Field(
        default="",
        description="Where to serve /metrics, /health and /ready, as host:port; empty: nowhere.",
    )
    drain_seconds: float = Field(
        default=20.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="How long work in hand may take to end after SIGTERM; 0: it is given up.",
    )
    log: Literal["text", "json"] = Field(
        default="text", description="Log lines for people, or one JSON object a line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="The least serious messages that the command line shows."
    )

    @model_validator(mode="before")
    @classmethod
    def _profiled(cls, given: Any) -> Any:
        phone = isinstance(given, Mapping) and given.get("profile") == "phone"
        return {**PHONE, **given} if phone else given

    @field_validator("arithmetic")
    @classmethod
    def _possible(cls, arithmetic: str, given: ValidationInfo) -> str:
        if arithmetic == QUICK and given.data.get("quantization") in ONE_ARITHMETIC:
            raise ValueError(f"must be exact here ({NO_CHOICE})")
        return arithmetic

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, port = self.listen.rsplit(":", 1)
        return host.strip("[]"), int(port)


def load_settings(path: Path) -> Settings:
    """The settings in a file; relative paths in it start at its folder.

    Raises:
        ConfigError: every fault at `file:line:col`.
    """
    tree = read_tree(read_file(path), str(path))
    reader = Reader()
    given = {name: _value(reader, value, name) for name, value in tree.entries.items()}
    if reader.problems:
        raise ConfigError(in_file_order(reader.problems))
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        found = [_problem(tree, one["loc"], one) for one in error.errors(include_url=False)]
        raise ConfigError(in_file_order(found)) from error
    folder = path.absolute().parent
    return settings.model_copy(
        update={
            "home": folder / settings.home.expanduser(),
            "documents": tuple(folder / one.expanduser() for one in settings.documents),
        }
    )


def _value(reader: Reader, tree: Tree, name: str) -> Any:
    """A setting's value; other than signed records, settings may be numbers with a fraction."""
    if tree.kind == "a number with a fraction":
        try:
            return float(tree.text)
        except ValueError:  # such as `.nan`
            return tree.text
    return reader.value(tree, name)


def _problem(tree: Tree, loc: tuple[int | str, ...], error: Mapping[str, Any]) -> Problem:
    """A validation error in plain words, at the place in the file that `loc` leads to."""
    found, where, name = tree, tree.where, ".".join(str(part) for part in loc)
    for part in loc:
        if isinstance(part, str) and part in found.entries:
            where, found = found.keys[part], found.entries[part]
        elif isinstance(part, int) and part < len(found.items):
            found = found.items[part]
        where = where if error["type"] == "extra_forbidden" else found.where
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), Settings.model_fields, n=1)
        known = ", ".join(Settings.model_fields)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {known}"
        return Problem(where, f"there is no setting {name!r}", cure)
    field = Settings.model_fields.get(str(loc[0])) if loc else None
    seen = repr(found.text) if found.text or found.kind == "text" else found.kind
    what = f"{name} {_plain(error)}, found {seen}"
    return Problem(where, what, (field.description or "") if field else "")


def _plain(error: Mapping[str, Any]) -> str:
    """What a value must be, without the validator's jargon."""
    kind, limits = str(error["type"]), error.get("ctx", {})
    if kind == "value_error":
        return str(limits["error"])
    if kind == "finite_number":
        return "must be a number"
    if kind == "literal_error":
        return f"must be {limits['expected']}"
    if kind == "greater_than_equal":
        return f"must be at least {limits['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {limits['le']}"
    for start, words in _WORDS.items():
        if kind.startswith(start):
            return words
    return "cannot be used"


_WORDS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be yes or no",
    "tuple": "must be a list",
    "path": "must be a path",
    "string_type": "must be text",
    "string_pattern": "must be 1 to 63 of a-z, 0-9 and hyphens",
}
