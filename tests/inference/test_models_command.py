"""`pockethive models`: what it prints and how it ends."""

import argparse
import io
from pathlib import Path

import pytest

from pockethive.cli import models
from pockethive.core.errors import UnknownModel
from pockethive.inference import DEFAULT_MODEL
from pockethive.inference.bundle import Bundle
from pockethive.inference.workshop import Progress


def run(*words: str) -> int:
    """Parse and run as the program does."""
    top = argparse.ArgumentParser()
    models.register(top.add_subparsers(required=True))
    args = top.parse_args(["models", *words])
    code: int = args.run(args)
    return code


def test_the_list_is_tab_separated_when_nobody_watches(
    small_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list", "--home", str(tmp_path)) == 0
    here, known, near = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert (near[0], near[-1]) == ("all-minilm-l6-v2", "can be got (embedding)")
    assert (here[0], here[-1]) == ("tiny", "here")
    assert (known[0], known[-1]) == (DEFAULT_MODEL, "can be got")
    assert small_bundle.folder.exists()


def test_remove_deletes_one_model_and_refuses_an_unknown_one(
    small_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("remove", "tiny", "--home", str(tmp_path)) == 0
    assert "freed" in capsys.readouterr().out
    assert not small_bundle.folder.exists()
    with pytest.raises(UnknownModel):
        run("remove", "tiny", "--home", str(tmp_path))


def test_remove_tools_deletes_the_quantizer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tools" / "downloads").mkdir(parents=True)
    assert run("remove", "tools", "--home", str(tmp_path)) == 0
    assert "removed tools" in capsys.readouterr().out
    assert not (tmp_path / "tools").exists()


def test_get_refuses_a_name_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="did you mean"):
        run("get", "smollm2-135-instruct", "--home", str(tmp_path))


def test_progress_is_a_line_per_stage_when_piped() -> None:
    out = io.StringIO()
    with models.progress_printer(out) as tell:
        for fraction in (0.1, 0.2):
            tell(Progress("installing", fraction))
        tell(Progress("ready", 1.0))
    assert out.getvalue().splitlines() == [" 10% installing", "100% ready"]


def test_quiet_progress_prints_nothing() -> None:
    out = io.StringIO()
    with models.progress_printer(out, quiet=True) as tell:
        tell(Progress("ready", 1.0))
    assert out.getvalue() == ""
