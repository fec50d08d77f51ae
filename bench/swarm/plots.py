"""Pictures of the benchmarks, each drawn twice: for light and for dark pages.

Each can be read alone: axes with units, controls, bands and what they are of. SVG without dates or
random ids, so that the same figures give the same bytes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "plots"


@dataclass(frozen=True, slots=True)
class Look:
    """Colours of one kind of page. `hues` are told apart by people who see few colours, too."""

    name: str
    paper: str
    ink: str
    faint: str
    hues: tuple[str, ...]


LOOKS: Final = (
    Look(
        "light",
        "#ffffff",
        "#1f2328",
        "#d0d7de",
        ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#6e7781", "#000000"),
    ),
    Look(
        "dark",
        "#0d1117",
        "#e6edf3",
        "#30363d",
        ("#56b4e9", "#e69f00", "#2fbf8f", "#e58fc0", "#f0e442", "#7fa7ff", "#8b949e", "#ffffff"),
    ),
)

Draw = Callable[[Any, Look], None]
"""Draws on a matplotlib figure."""


def picture(name: str, size: tuple[float, float], draw: Draw) -> tuple[Path, ...]:
    """Draw `docs/plots/NAME-light.svg` and `-dark.svg`; `size` in inches. Needs matplotlib."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = []
    for look in LOOKS:
        with _styled(look) as pyplot:
            figure = pyplot.figure(figsize=size, layout="constrained")
            draw(figure, look)
            path = FOLDER / f"{name}-{look.name}.svg"
            figure.savefig(path, metadata={"Date": None})
            pyplot.close(figure)
        made.append(path)
    return tuple(made)


def shown(name: str, words: str) -> str:
    """The same in a page, by the reader's choice of light or dark; `words` say what is seen."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="plots/{name}-dark.svg">'
        f'<img alt="{words}" src="plots/{name}-light.svg"></picture>'
    )


@contextmanager
def _styled(look: Look) -> Iterator[Any]:
    import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]  # extra `bench`
    from cycler import cycler  # type: ignore[import-not-found,unused-ignore]

    mpl.use("svg")
    from matplotlib import pyplot

    style: Any = {
        "axes.edgecolor": look.ink,
        "axes.facecolor": look.paper,
        "axes.labelcolor": look.ink,
        "axes.prop_cycle": cycler(color=look.hues),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": look.ink,
        "axes.titlesize": 10,
        "figure.facecolor": look.paper,
        "font.family": "sans-serif",
        "font.size": 9,
        "grid.color": look.faint,
        "legend.frameon": False,
        "legend.labelcolor": look.ink,
        "savefig.facecolor": look.paper,
        "svg.fonttype": "none",
        "svg.hashsalt": "pockethive",
        "text.color": look.ink,
        "xtick.color": look.ink,
        "ytick.color": look.ink,
    }
    with mpl.rc_context(style):
        yield pyplot
