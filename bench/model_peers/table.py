"""The figures of `bench.models` as markdown. Pure."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

Raw = Mapping[str, Mapping[str, Sequence[float]]]
"""By run time and measure: what each round found."""

SPEED = {
    "prefill512": ("reads 512, tokens/s", 0),
    "decode32": ("writes after 32", 0),
    "decode512": ("after 512", 0),
    "together1": ("1 text, tokens/s", 0),
    "together4": ("4 together", 0),
    "together8": ("8 together", 0),
    "score_ratio": ("4 options / reading 300", 2),
    "again1": ("first token after 300 known + 1, ms", 0),
    "again40": ("+ 40, ms", 0),
}
REST = {
    "import": ("import, s", 2),
    "load": ("load, s", 2),
    "resident": ("MB at 1k", 0),
    "anonymous": ("of it anonymous", 0),
    "json": ("JSON by a schema, ms", 0),
    "json_token": ("ms a token", 1),
    "json_cost": ("of it the schema's", 1),
    "json_valid": ("valid", 2),
    "perplexity": ("perplexity", 2),
}


def medians(raw: Raw) -> dict[str, dict[str, float]]:
    """The middle of each list of figures; of those that are 0 or 1, their share."""
    return {
        runner: {
            name: round((fmean if name == "json_valid" else median)(found), 4)
            for name, found in measured.items()
        }
        for runner, measured in raw.items()
    }


def tables(
    middle: Mapping[str, Mapping[str, float]], lacks: Mapping[str, Mapping[str, str]]
) -> str:
    """Two tables, and beneath them why a cell has no figure."""
    parts = [_table(columns, middle, lacks) for columns in (SPEED, REST)]
    told = [
        f"- {runner}, {what}: {why}"
        for runner, missing in lacks.items()
        for what, why in missing.items()
    ]
    return "\n\n".join([*parts, "\n".join(told)]) if told else "\n\n".join(parts)


def _table(
    columns: Mapping[str, tuple[str, int]],
    middle: Mapping[str, Mapping[str, float]],
    lacks: Mapping[str, Mapping[str, str]],
) -> str:
    rows = [["", *(title for title, _ in columns.values())], ["---"] * (len(columns) + 1)]
    for runner, figures in middle.items():
        cells = [
            f"{figures[name]:.{digits}f}" if name in figures else _absent(name, lacks.get(runner))
            for name, (_, digits) in columns.items()
        ]
        rows.append([runner, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _absent(name: str, lacks: Mapping[str, Any] | None) -> str:
    """Which of the two it is, "has it not" or "failed", stands in the reason."""
    for what, why in (lacks or {}).items():
        if name.startswith(what):
            return "failed" if why.startswith("failed") else "has it not"
    return "–"
