"""Running as `python -m pockethive`."""

from pockethive.cli.main import main

raise SystemExit(main())
