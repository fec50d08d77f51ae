"""What `pockethive node` makes of its command line."""

from pathlib import Path

import pytest

from pockethive.cli.command_line import parser
from pockethive.cli.node import settings_of, stay_of
from pockethive.cli.options import duration, size
from pockethive.core.errors import BadInput
from pockethive.inference import DEFAULT_MODEL


@pytest.mark.parametrize(
    ("text", "seconds"), [("20", 20), ("20s", 20), ("1.5m", 90), ("2h", 7_200), ("250ms", 0.25)]
)
def test_times_are_written_as_people_do(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 week", "1e3", "9999999999"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        duration(text)


def test_sizes_are_megabytes_unless_they_say_otherwise() -> None:
    assert (size("64"), size("64M"), size("2GB")) == (64e6, 64e6, 2e9)


def test_without_options_a_node_keeps_to_itself(tmp_path: Path) -> None:
    stay = stay_of(parser().parse_args(["node", "--home", str(tmp_path)]))
    assert (stay.metrics, stay.drain, stay.log, stay.level) == (None, 20.0, "text", "warning")
    assert stay.device.listen == ("127.0.0.1", 0)
    assert stay.device.model is None  # there is none in this home


@pytest.mark.model
def test_the_default_model_is_used_where_it_has_been_made() -> None:
    settings = settings_of(parser().parse_args(["node"]))
    assert settings.model is not None
    assert settings.model.name == DEFAULT_MODEL
    assert settings_of(parser().parse_args(["node", "--no-work"])).model is None
