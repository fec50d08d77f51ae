"""A device's settings: defaults, places of faults, and the shipped example."""

from importlib import resources
from pathlib import Path

import pytest

from pockethive.configs.home import default_home
from pockethive.configs.settings import Settings, load_settings
from pockethive.core.errors import ConfigError


def test_the_shipped_example_states_the_defaults() -> None:
    with resources.as_file(resources.files("pockethive.configs") / "node.yaml") as path:
        assert load_settings(path) == Settings()


def test_the_home_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POCKETHIVE_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("POCKETHIVE_HOME")
    assert default_home().name == "pockethive"


def test_every_field_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_nothing_listens_beyond_loopback_unless_asked() -> None:
    assert Settings().address == ("127.0.0.1", 0)
    assert not Settings().mdns
    assert Settings(listen="[::1]:80").address == ("::1", 80)


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("home: here\ndocuments: [notes, /abs]\n", encoding="utf-8")
    found = load_settings(path)
    assert found.home == tmp_path / "here"
    assert found.documents == (tmp_path / "notes", Path("/abs"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("threads: lots", ":1:10: threads must be a whole number, found 'lots' (CPU threads"),
        ("threads: -1", ":1:10: threads must be at least 0, found '-1'"),
        ("arithmetic: fast", ":1:13: arithmetic must be 'exact' or 'quick', found 'fast'"),
        (
            "quantization: int4onnx\narithmetic: quick",
            ":2:13: arithmetic must be exact here (ONNX Runtime has one arithmetic: it rounds",
        ),
        ("lend: maybe", ":1:7: lend must be 'always', 'idle' or 'never', found 'maybe'"),
        ("hiev: x", ":1:1: there is no setting 'hiev' (did you mean 'hive'?)"),
        ("listen: nowhere", ":1:9: listen must be host:port, such as 127.0.0.1:7300, found 'nowh"),
        ("listen: a:65536", ":1:9: listen must be host:port, such as 127.0.0.1:7300, found 'a:65"),
        ("metrics: a:99999", ":1:10: metrics must be host:port"),
        ("home: 2020-01-01", ":1:7: home must be text, found a date (put it in quotes)"),
        ("threads: 2.5", ":1:10: threads must be a whole number, found '2.5' (CPU threads"),
        ("drain_seconds: .nan", ":1:16: drain_seconds must be a number, found '.nan'"),
        ("hive: ''", ":1:7: hive must be 1 to 63 of a-z, 0-9 and hyphens, found ''"),
        ("join: [2.5]", ":1:8: join.0 must be text, found a number with a fraction"),
        (f"join: [{43 * 'A'}@a:0]", ":1:8: join.0 must be KEY@HOST:PORT, as `pockethive node` p"),
        (f"join: [{42 * 'A'}B@a:9]", ":1:8: join.0 must be KEY@HOST:PORT, as `pockethive node` p"),
        ("log_level: loud", ":1:12: log_level must be 'debug', 'info', 'warning' or 'error'"),
        ("join: [abc]", ":1:8: join.0 must be KEY@HOST:PORT, as `pockethive node` prints it, f"),
        ("documents: 5", ":1:12: documents must be a list, found '5'"),
        (
            "quantization: none",
            ":1:15: quantization must be 'int8', 'int4', 'int8onnx' or 'int4onnx', f",
        ),
        ("profile: phnoe", ":1:10: profile must be 'computer' or 'phone', found 'phnoe'"),
        ("quota_mb: 2", ":1:11: quota_mb must be at least 16, found '2'"),
        ("hive: 3", ":1:7: hive must be text, found '3'"),
        ("hive: a\nhive: b", ":2:1: 'hive' is given twice"),
    ],
)
def test_a_fault_is_said_at_its_place(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert f"{path}{said}" in str(caught.value)


def test_a_phone_takes_less_of_everything_unless_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("profile: phone\nquota_mb: 300\n", encoding="utf-8")
    found = load_settings(path)
    assert (found.memory_mb, found.threads, found.quota_mb) == (450, 2, 300)
    assert Settings().memory_mb == 0, "a computer gives what is free"
    path.write_text("profile: phone\nmemory_mb: -1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r":2:12: memory_mb must be at least 0, found '-1'"):
        load_settings(path)


def test_times_may_have_a_fraction(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("drain_seconds: 2.5\n", encoding="utf-8")
    assert load_settings(path).drain_seconds == 2.5


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("lend: 7s\nthreads: x\nquota_mb: y\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert [one.where for one in caught.value.problems] == [
        f"{path}:1:7",
        f"{path}:2:10",
        f"{path}:3:11",
    ]
