"""Where a person's PocketHive is kept when nobody says otherwise."""

import os
from pathlib import Path

VARIABLE = "POCKETHIVE_HOME"


def default_home() -> Path:
    """`$POCKETHIVE_HOME`, else the user's data folder. The folder may not exist yet."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_dir  # heavier than what it is asked

    return Path(user_data_dir("pockethive"))
