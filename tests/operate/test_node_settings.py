"""What `pockethive node` makes of its command line."""

from pathlib import Path

import pytest

from pockethive.cli.command_line import parser, run_command
from pockethive.cli.node import settings_of, stay_of
from pockethive.cli.options import duration, size
from pockethive.configs.settings import load_settings
from pockethive.core.errors import BadInput
from pockethive.core.spec import QUICK, ModelNeed
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


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--threads=0", "--threads: '0' is no number of threads (give 1 to 256, or leave it out"),
        ("--threads=-4", "--threads: '-4' is no number of threads"),
        ("--threads=257", "--threads: '257' is no number of threads"),
        ("--threads=many", "--threads: 'many' is no number of threads"),
        (
            "--model=tiny:int7",
            "--model: 'tiny:int7' is no model (write NAME, or NAME:int8 or NAME:",
        ),
        ("--model=tiny:int8:fast", "--model: 'tiny:int8:fast' is no model"),
        ("--model=:int8", "--model: ':int8' is no model"),
        ("--hive=", "--hive: '' is no name of a hive (use 1 to 63 of a-z, 0-9 and hyphens"),
        ("--hive=My Hive", "--hive: 'My Hive' is no name of a hive"),
    ],
)
def test_threads_models_and_hives_that_cannot_be_are_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, said: str
) -> None:
    assert run_command(["node", option, "--home", str(tmp_path / "home")]) == 2
    assert capsys.readouterr().err.startswith(f"pockethive: {said}")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("command", [["peers"], ["get", "k"], ["put", "k", "v"], ["doctor"]])
def test_no_command_takes_a_hive_without_a_name(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*command, "--hive", ""]) == 2
    assert "is no name of a hive" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("tiny", ModelNeed(name="tiny")),
        ("tiny:int4", ModelNeed(name="tiny", quantization="int4")),
        ("tiny:int8:exact", ModelNeed(name="tiny")),
        ("tiny::quick", ModelNeed(name="tiny", arithmetic=QUICK)),
        ("tiny:int4:quick", ModelNeed(name="tiny", quantization="int4", arithmetic=QUICK)),
    ],
)
def test_a_node_is_told_its_model_in_one_word(text: str, need: ModelNeed) -> None:
    assert settings_of(parser().parse_args(["node", "--model", text])).model == need


def test_a_settings_file_chooses_the_arithmetic(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(f"home: {tmp_path}\nmodel: tiny\narithmetic: quick\n")
    settings = settings_of(parser().parse_args(["node"]), load_settings(file))
    assert settings.model == ModelNeed(name="tiny", arithmetic=QUICK)


@pytest.mark.model
def test_the_default_model_is_used_where_it_has_been_made() -> None:
    settings = settings_of(parser().parse_args(["node"]))
    assert settings.model is not None
    assert settings.model.name == DEFAULT_MODEL
    assert settings_of(parser().parse_args(["node", "--no-work"])).model is None
