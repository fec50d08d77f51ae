"""Models on a hub: a commit on the card, the client's cache, and a hub that is not there.

A shell script answers for the client, or the real one (which comes with `tokenizers`, too) reads a
cache that was laid out by hand.
"""

import json
import shlex
import sys
from pathlib import Path

import pytest

from pockethive.core.errors import ModelError, RefusedModel
from pockethive.inference import hub
from pockethive.inference.catalogue import find_source
from pockethive.inference.quantizer import Job, quantize
from pockethive.inference.workshop import Workshop
from tests.inference.test_quantizer import Heard, exporter, finished_workshop

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def snapshot(cache: Path, licence: str = "mit", kind: str = "LlamaForCausalLM") -> Path:
    """What the hub's client leaves in its cache of `owner/tiny`."""
    repository = cache / "hub" / "models--owner--tiny"
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (folder / "config.json").write_text(json.dumps({"architectures": [kind], "dtype": "float32"}))
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n# tiny\n")
    (folder / "model.safetensors").write_bytes(bytes(4_000))
    (folder / "pytorch_model.bin").write_bytes(bytes(4_000))
    return folder


def answering(home: Path, *answers: dict[str, object], script: str = "true") -> Workshop:
    """The client says these lines, one each time it is asked; any other script does `script`."""
    said = home / "answers"
    said.parent.mkdir(parents=True, exist_ok=True)
    said.write_text("".join(f"{json.dumps(answer)}\n" for answer in answers))
    asked = f"case $1 in *hub_script.py) head -1 {said}; sed -i 1d {said};; *) {script};; esac"
    return finished_workshop(home, asked)


def test_the_card_names_the_commit_and_the_weights_are_those_of_it(tmp_path: Path) -> None:
    folder = snapshot(tmp_path / "cache")
    seen = {"folder": str(folder), "commit": COMMIT, "weights": 4000, "missing": 4000}
    script = exporter(tmp_path).replace("tiny-int8", "owner-tiny-int8")
    path = tmp_path / "export.sh"
    path.write_text(f"cp $2 {tmp_path / 'order'}\n{script}\n")
    answering(tmp_path, seen, seen, script=f"sh {path} $1 $2")
    bundle = quantize(Job(find_source("owner/tiny@main"), tmp_path), Heard())
    assert (bundle.card.source, bundle.card.revision) == ("hf:owner/tiny", COMMIT)
    assert bundle.card.licence == "MIT"
    assert json.loads((tmp_path / "order").read_text())["source"] == str(folder)


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"licence": "llama3.2"}, "--accept-licence llama3.2"),
        ({"kind": "BertModel"}, "BertModel, which writes no text"),
    ],
)
def test_what_a_repository_says_of_itself_is_enough_to_refuse_it(
    tmp_path: Path, layout: dict[str, str], said: str
) -> None:
    folder = snapshot(tmp_path / "cache", **layout)
    seen = {"folder": str(folder), "commit": COMMIT, "weights": 4000, "missing": 4000}
    answering(tmp_path, seen, script="touch fetched")
    with pytest.raises(RefusedModel, match=said):
        quantize(Job(find_source("owner/tiny"), tmp_path), Heard())
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "tools" / "work").exists()


@pytest.mark.parametrize(
    ("fault", "said", "code"),
    [
        ("unknown", "the hub does not have owner/tiny@main: 404", 2),
        ("gated", "agree to its terms on the hub", 2),
        ("unreachable", "is the network there", 1),
    ],
)
def test_a_hub_that_does_not_give_it_is_one_clear_error(
    tmp_path: Path, fault: str, said: str, code: int
) -> None:
    answering(tmp_path, {"fault": fault, "what": "404"})
    with pytest.raises(ModelError, match=said) as caught:
        quantize(Job(find_source("owner/tiny"), tmp_path), Heard())
    assert caught.value.exit_code == code
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("answer", ["", "[]", "not JSON"])
def test_a_client_that_talks_nonsense_is_no_answer(tmp_path: Path, answer: str) -> None:
    workshop = finished_workshop(tmp_path, f"echo {shlex.quote(answer)}")
    with pytest.raises(ModelError, match="gave no answer"):
        hub.look(find_source("owner/tiny"), workshop)


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A workshop whose interpreter is ours, which has the client; offline."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return finished_workshop(tmp_path, f'exec {shlex.quote(sys.executable)} "$@"')


def test_the_real_client_finds_a_revision_in_its_cache_without_a_network(
    real: Workshop, tmp_path: Path
) -> None:
    folder = snapshot(tmp_path / "cache")
    seen = hub.look(find_source("owner/tiny"), real)
    assert seen.source.revision == COMMIT
    assert (seen.source.licence, seen.source.parameters, seen.missing) == ("mit", 1000, 0)
    assert hub.fetch(seen.source, real) == folder
    assert hub.look(find_source(f"owner/tiny@{COMMIT}"), real).source.revision == COMMIT


def test_the_real_client_without_network_and_cache_says_so(real: Workshop) -> None:
    with pytest.raises(ModelError, match="the hub did not give owner/none@main") as caught:
        hub.look(find_source("owner/none"), real)
    assert "HF_HUB_OFFLINE=1" in str(caught.value)


def test_the_real_client_tells_an_unreachable_hub_from_an_unknown_model(
    real: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(ModelError, match="the hub did not give owner/none@main") as caught:
        hub.look(find_source("owner/none"), real)
    assert caught.value.exit_code == 1
