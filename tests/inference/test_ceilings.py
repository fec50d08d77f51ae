"""What a process with a model at work takes of a device's memory. Marked `model`.

Measured on x86 with OpenVINO 2026.4: 326 MB for int8 with a thousand tokens read. The ceiling
leaves room for another C library or processor; a second copy of the weights does not fit under it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is given back"),
]

_WORK = """
import sys
from pathlib import Path
from pockethive.core.ports import Sampling
from pockethive.inference.bundle import open_bundle
from pockethive.inference.pages import resident
from pockethive.inference.session import Session
session = Session(open_bundle(Path(sys.argv[1])), threads=2)
words = session.tokens.encode(" ".join(f"word{i} and" for i in range(400)))[:1006]
session.generate(session.tokens.decode(words), Sampling(max_tokens=16))
after, kept = resident(), session.blocks.used
for length in range(5, 80, 5):
    session.score(session.tokens.decode(words[:length]), [" a", " b c", " d e f"])
grown = (session.blocks.used - kept) * session.block_bytes
print(after, resident() - grown)
"""


_BELOW = """
import sys
from pathlib import Path
from pockethive.configs.settings import Settings
from pockethive.core.errors import RefusedModel
from pockethive.core.ports import Sampling
from pockethive.inference import open_model
from pockethive.inference.footprint import keep_below
from pockethive.inference.pages import resident
keep_below(200_000_000)
try:
    open_model(sys.argv[1], Path(sys.argv[2]))
except RefusedModel as error:
    print(error)
keep_below(Settings(profile="phone").memory_mb * 1_000_000)
model, most = open_model(sys.argv[1], Path(sys.argv[2]), threads=2), 0
texts = [" ".join(f"word{i * step} and" for i in range(400)) for step in range(1, 9)]
for text in texts:
    model.generate(text[:3000], Sampling(max_tokens=8))
    most = max(most, resident())
print(most)
"""


def test_a_phones_model_stays_below_its_ceiling_whatever_is_read(
    model_folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", _BELOW, str(model_folder), str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    refused, most = told.stdout.splitlines()
    assert "too little memory: " in refused
    assert int(most) < 450_000_000


def test_a_thousand_tokens_fit_in_350_mb_and_short_readings_add_no_copy_of_the_weights(
    model_folder: Path,
) -> None:
    command = [sys.executable, "-c", _WORK, str(model_folder)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    after, later = (int(number) / (1 << 20) for number in told.stdout.split())
    assert after < 350
    assert later - after < 40, "keys and values left out"
