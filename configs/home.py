"""Where a person's PocketHive is kept when nobody says otherwise."""

import os
from pathlib import Path

from platformdirs import user_data_dir

VARIABLE = "POCKETHIVE_HOME"


def default_home() -> Path:
    """`$POCKETHIVE_HOME`, else the user's data folder. The folder may not exist yet."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(user_data_dir("pockethive"))
