"""Looking at a source first: what is refused before a tool is installed or a weight is read."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pockethive.cli.command_line import run_command
from pockethive.core.errors import ModelError, RefusedModel, UnknownModel
from pockethive.inference import get_model, open_model
from pockethive.inference.bundle import MODEL_FILES, Bundle, Card, open_bundle, write_bundle
from pockethive.inference.catalogue import find_source
from pockethive.inference.quantizer import Job, quantize
from pockethive.inference.space import check_space, making
from pockethive.inference.survey import surveyed
from tests.inference.gguf_files import PLAIN, gguf_bytes
from tests.inference.test_quantizer import TOKENIZER, Heard, exporter, finished_workshop


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Tiny.Q8_0.gguf"
    path.write_bytes(gguf_bytes())
    return path


def folder_with(folder: Path, **config: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(bytes(1000))
    return folder


def test_a_gguf_file_is_a_source_named_like_the_file(file: Path) -> None:
    source = find_source(str(file))
    assert (source.kind, source.name, source.described) == (
        "gguf",
        "Tiny.Q8_0",
        "gguf:Tiny.Q8_0.gguf",
    )
    seen = surveyed(source)
    assert seen.revision == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (seen.licence, seen.parameters) == ("apache-2.0", 128)


def test_a_gguf_file_that_is_not_there_is_no_hub_id() -> None:
    for name in ("Tiny.gguf", "./Tiny.gguf", "owner/Tiny.gguf"):
        with pytest.raises(UnknownModel, match="no such file"):
            find_source(name)


def test_a_gguf_file_becomes_a_bundle_with_its_hash_on_the_card(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    script = exporter(home).replace("tiny-int8", "tiny.q8_0-int8")
    workshop = finished_workshop(home, f"cp $2 {tmp_path / 'order'}\n{script}")
    bundle = quantize(Job(find_source(str(file)), home), Heard())
    assert bundle.card.source == "gguf:Tiny.Q8_0.gguf"
    assert bundle.card.revision == hashlib.sha256(file.read_bytes()).hexdigest()
    assert bundle.card.licence == "Apache-2.0"
    order = json.loads((tmp_path / "order").read_text())
    assert order["gguf"] == "weights.gguf"
    assert Path(order["source"]).is_relative_to(home), "files beside the model are not read with it"
    assert list((home / "tools" / "work").iterdir()) == []
    assert workshop.folder.exists()


def test_another_file_of_the_same_name_makes_another_bundle(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    script = exporter(home).replace("tiny-int8", "tiny.q8_0-int8")
    finished_workshop(home, script)
    first = get_model(str(file), "int8", home, progress=Heard())
    assert get_model(str(file), "int8", home, progress=Heard()).card == first.card
    file.write_bytes(gguf_bytes({**PLAIN, "general.name": "Other"}))
    other = get_model(str(file), "int8", home, progress=Heard())
    assert other.card.revision != first.card.revision
    assert (home / "runs").read_text().count("run") == 2


def test_what_was_exported_of_another_file_is_not_taken_for_this_one(
    file: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    script = exporter(home, agreement=0.1).replace("tiny-int8", "tiny.q8_0-int8")
    finished_workshop(home, script)
    for name in ("One", "Other"):
        file.write_bytes(gguf_bytes({**PLAIN, "general.name": name}))
        with pytest.raises(ModelError, match="not good enough"):
            get_model(str(file), "int8", home, progress=Heard())
    assert (home / "runs").read_text().count("run") == 2


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"general.license": "llama3.2"}, "--accept-licence llama3.2"),
        ({"general.license": ""}, "--accept-licence unstated"),
        ({"general.architecture": "rwkv6"}, "of the kind 'rwkv6'"),
    ],
)
def test_a_refused_file_is_one_sentence_and_no_trace(
    file: Path, tmp_path: Path, facts: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(gguf_bytes({**PLAIN, **facts}))
    assert run_command(["models", "get", str(file), "--home", str(tmp_path / "home")]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "home").exists()


def test_a_licence_that_was_accepted_by_name_stands_on_the_card(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    finished_workshop(home, exporter(home).replace("tiny-int8", "tiny.q8_0-int8"))
    file.write_bytes(gguf_bytes({**PLAIN, "general.license": "Llama3.2"}))
    options = ["--home", str(home), "--accept-licence", "llama3.2"]
    assert run_command(["models", "get", str(file), *options]) == 0
    [folder] = (home / "models").iterdir()
    assert open_bundle(folder, full=True).card.licence == "Llama3.2"


def test_a_folder_without_a_model_that_writes_is_refused(tmp_path: Path) -> None:
    encoder = folder_with(tmp_path / "encoder", architectures=["BertModel"])
    with pytest.raises(RefusedModel, match="BertModel, which writes no text"):
        surveyed(find_source(str(encoder)))
    nothing = folder_with(tmp_path / "nothing")
    with pytest.raises(RefusedModel, match="of the kind unknown"):
        surveyed(find_source(str(nothing)))
    (nothing / "config.json").write_text("[" * 5000)
    with pytest.raises(RefusedModel, match="it cannot be read"):
        surveyed(find_source(str(nothing)))


def test_a_folder_tells_its_licence_and_about_how_many_weights_it_has(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "m", architectures=["LlamaForCausalLM"], dtype="float32")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    seen = surveyed(find_source(str(folder)))
    assert (seen.licence, seen.parameters) == ("mit", 250)


def test_a_disk_without_room_refuses_with_both_sums(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_500_000_000))
    home = tmp_path / "home"
    with pytest.raises(RefusedModel, match=r"takes about 2\.6 GB of disk") as caught:
        get_model(str(file), "int8", home, progress=Heard())
    assert "1.5 GB are free" in str(caught.value)
    assert not home.exists()


def test_a_job_of_a_known_size_fits_or_does_not(tmp_path: Path) -> None:
    wanted = making(135_000_000, gguf=True)
    assert sum(wanted.values()) == pytest.approx(1.35e9)
    check_space(tmp_path / "not" / "there", {"x": 1}, "this")
    with pytest.raises(RefusedModel, match=r"x 1000000\.0 GB"):
        check_space(tmp_path, {"x": 10**15, "y": 0}, "this")


def test_a_model_that_would_never_stop_is_refused_before_it_is_sealed(
    file: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    short = TOKENIZER.replace(', "c": 2', "")
    script = exporter(home).replace("tiny-int8", "tiny.q8_0-int8").replace(TOKENIZER, short)
    finished_workshop(home, script)
    with pytest.raises(RefusedModel, match="knows no token 2 at which it should stop"):
        get_model(str(file), "int8", home, progress=Heard())
    assert not (home / "models").exists()


@pytest.mark.parametrize("name", MODEL_FILES)
@pytest.mark.parametrize("harm", ["cut", "changed", "gone"])
def test_a_damaged_bundle_is_refused_by_the_file_before_anything_is_loaded(
    small_bundle: Bundle, tmp_path: Path, name: str, harm: str
) -> None:
    path = small_bundle.folder / name
    data = path.read_bytes()
    path.unlink()
    if harm != "gone":
        path.write_bytes(data[:-1] if harm == "cut" else b"X" + data[1:])
    with pytest.raises(RefusedModel, match=name.replace(".", r"\.")) as caught:
        open_model("tiny", tmp_path)
    assert caught.value.exit_code == 2


def test_a_bundle_whose_stop_its_tokenizer_lacks_is_refused_before_it_is_loaded(
    card: Card, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    for name in MODEL_FILES:
        (made / name).write_text(TOKENIZER, encoding="utf-8")
    write_bundle(made, replace(card, stop_ids=(2, 77)), tmp_path / "models" / "tiny-int8")
    with pytest.raises(RefusedModel, match="tiny knows no token 77"):
        open_model("tiny", tmp_path)
