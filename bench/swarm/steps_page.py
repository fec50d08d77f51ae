"""What docs/benchmarks.md says and draws of the record that `steps.py` keeps."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from bench.swarm.page import share, table
from bench.swarm.plots import Look, picture, shown
from bench.swarm.record import Record, quick

ENOUGH: Final = 0.95
"""Share of whole jobs that must come out right,"""
FEW: Final = 0.05
"""and the share that a control may get right at most, for a family to carry the claim."""
WORDS: Final = {
    "tally": "add up one thing in {} records",
    "labels": "count {} items by label",
    "timeline": "order the events among {} dated sentences",
    "sums-by-counting": "add two numbers of {} digits",
    "products-by-counting": "multiply two numbers of {} digits",
    "sorting-by-counting": "sort {} numbers of three digits",
    "hanoi-by-counting": "Towers of Hanoi, {} disks",
}
_EXPLAINED: Final = """\
A vote draws one of several ways to ask, and then an option by the model's chances in that way. `p`:
the chance that a vote is right, over the states of the job; `hopeless`: states in which the right
option is not the likeliest, where no number of votes helps; `alike`: correlation of two votes'
errors on one state. *mean p* is what the mean of p would promise for k = 3, which is not what
comes. The law knows one rival, the best; where votes scatter over several, as over ten numbers, one
vote a step does worse than it says, and from k = 2 on the others hardly ever get ahead.
"""
_PANELS: Final = 3  # side by side
_LENGTH_LEADS: Final = ("1", "2", "3", "5")


def section(record: Record) -> str:
    """This benchmark's part of the page, with its pictures."""
    other = quick(record.name)
    every = {**(other.results if other else {}), **record.results}
    results = {name: every[name] for name in WORDS if name in every}
    short = [name for name in results if name not in record.results]
    size = (10, 3 * -(-len(results) // _PANELS))
    picture("steps-leads", size, lambda figure, look: _leads(figure, look, results))
    picture("steps-lengths", size, lambda figure, look: _lengths(figure, look, results))
    picture("steps-votes", (7, 4.2), lambda figure, look: _votes(figure, look, results))
    return "\n".join(
        (
            "## Many small steps without error\n",
            f"Of a quick run, without what only full ones have: {', '.join(short)}.\n"
            * bool(short),
            verdict(results),
            shown("steps-leads", "Share of whole jobs that came out right, by k, a panel a family"),
            "",
            _jobs(results),
            _EXPLAINED,
            _states(results),
            shown("steps-lengths", "Share of whole jobs that came out right, by steps of the job"),
            "",
            shown("steps-votes", "Votes a step by k, drawn and by the law"),
            "",
            _live(results),
            hopeless(results),
        )
    )


def carries(found: Mapping[str, Any]) -> int:
    """The least k at which a family carries the claim; 0 where none does.

    At one length: the whole job in one call and one vote a step come out right in under `FEW` of
    runs, and votes until one option is ahead by k in over `ENOUGH`.
    """
    whole, one = found["controls"]["whole"], found["controls"]["one_vote"]
    if max(whole["right"] / whole["of"], one["right"] / one["of"]) >= FEW:
        return 0
    enough = (int(k) for k, each in found["leads"].items() if _share(each) > ENOUGH)
    return min(enough, default=0)


def verdict(results: Mapping[str, Any]) -> str:
    """Which families carry the claim, and which do not."""
    lines = [_judged(name, found) for name, found in results.items()]
    return (
        f"Carried means: at this length the whole job in one call, and one vote a step, succeed in "
        f"under {FEW:.0%} of runs, and voting in over {ENOUGH:.0%} (resampled).\n\n"
        + "\n".join(lines)
        + "\n"
    )


def _judged(name: str, found: Mapping[str, Any]) -> str:
    told = f"{WORDS[name].format(found['plan']['long'])} ({found['steps']:,} steps)"
    whole, one = found["controls"]["whole"], _of(found["controls"]["one_vote"])
    if k := carries(found):
        return f"- **carried** from k = {k}: {told}{_lived(found)}"
    if one > ENOUGH:
        return (
            f"- **needs no vote**: {told}: one vote a step is right in {one:.0%} of jobs, one call "
            f"in {whole['right']} of {whole['of']}; cutting the job up is what helps"
        )
    best = max(map(_share, found["leads"].values()))
    return (
        f"- **not carried**: {told}: {best:.0%} at best, {found['p']['hopeless']} of "
        f"{found['states']} states hopeless"
    )


def _lived(found: Mapping[str, Any]) -> str:
    """What came of it live, where it was played."""
    runs = [
        f"{told['right']} of {told['of']} by {how}" for how, told in found.get("live", {}).items()
    ]
    return f"; live, with {found['plan']['live']}: {'; '.join(runs)}" if runs else ""


def hopeless(results: Mapping[str, Any]) -> str:
    """What stands against a family that fails."""
    rows = [
        f"{name}: " + "; ".join(" ".join(map(str, each["places"].values())) for each in told[:8])
        for name, found in results.items()
        if (told := found["hopeless"])
    ]
    return "\n".join(("States that no vote helps in:\n", *(f"- {row}" for row in rows), "")) * bool(
        rows
    )


def _jobs(results: Mapping[str, Any]) -> str:
    rows = []
    for name, found in results.items():
        whole, one = found["controls"]["whole"], found["controls"]["one_vote"]
        three, five = (found["leads"][k]["resampled"] for k in ("3", "5"))
        random, cheats = found["controls"]["random"], found["controls"]["cheats"]["8"]
        rows.append(
            [
                name,
                f"{found['steps']:,}",
                f"{whole['right']} of {whole['of']}",
                _told(one),
                f"{random['right']} of {random['of']}",
                _told(three),
                _told(five),
                _told(cheats),
                f"{found['leads']['5']['law']['success']:.1%}",
                f"{five['votes']:.2f} / {found['leads']['5']['law']['votes']:.2f}",
            ]
        )
    head = ["family", "steps", "whole job in one call", "one vote a step", "random choices"]
    head += ["ahead by 3", "ahead by 5", "ahead by 8, one of five devices lies"]
    head += ["law, k = 5", "votes a step, k = 5: drawn / law"]
    return table(head, rows)


def _states(results: Mapping[str, Any]) -> str:
    rows = []
    for name, found in results.items():
        p, greedy = found["p"], found["controls"]["greedy_states"]
        rows.append(
            [
                name,
                found["states"],
                f"{p['mean']:.3f} / {p['median']:.3f} / {p['least']:.3f}",
                f"{p['rival']:.3f}",
                p["hopeless"],
                f"{found['correlation']:.2f}",
                f"{found['leads']['3']['mean_p']:.1%}",
                ", ".join(str(count) for count in greedy["ways"].values()),
            ]
        )
    head = ["family", "states", "p: mean / median / least", "best rival, mean", "hopeless", "alike"]
    head += ["mean p, k = 3", "states right greedily, by way"]
    return table(head, rows)


def _live(results: Mapping[str, Any]) -> str:
    rows = [
        _seated(found, devices, told)
        for found in results.values()
        for devices, told in found.get("live", {}).items()
    ]
    head = ["live job", "steps", "devices", "k, votes a device has", "right", "votes a step"]
    head += ["the model is asked, a device", "seconds, median", "same job in one call"]
    return table(head, rows) if rows else "No live runs.\n"


def _seated(found: Mapping[str, Any], devices: str, told: Mapping[str, Any]) -> list[str]:
    """A row: jobs by one swarm."""
    plan, short, setting = found["plan"], found["controls"]["whole_short"], told["setting"]
    spent = [each["spent"] for each in told["runs"]]
    votes, steps, asked = (
        sum(each.get(what, 0) for each in spent) for what in ("votes", "steps", "model")
    )
    return [
        WORDS[plan["family"]].format(plan["live"]),
        f"{steps / told['of']:.0f}",
        devices,
        f"{setting['ahead']}, {setting['draws']}",
        share(told["right"], told["of"], told["interval"]),
        f"{votes / max(1, steps):.2f}",
        f"{asked / told['of'] / setting['devices']:.0f}",
        f"{median(each['seconds'] for each in told['runs']):.0f}",
        f"{short['right']} of {short['of']}",
    ]


def _leads(figure: Any, look: Look, results: Mapping[str, Any]) -> None:
    for axes, (name, found) in _panels(figure, results):
        ks = [int(k) for k in found["leads"]]
        rows = list(found["leads"].values())
        axes.plot(ks, [each["law"]["success"] for each in rows], color=look.hues[0], label="law")
        mean = [each["mean_p"] for each in rows]
        axes.plot(ks, mean, ":", color=look.hues[6], label="promised by the mean p")
        _points(axes, ks, [each["resampled"] for each in rows], look.hues[1], "votes, resampled")
        whole = found["controls"]["whole"]
        flat = whole["right"] / whole["of"]
        axes.axhline(flat, ls="--", color=look.hues[2], label="whole job in one call")
        random = found["controls"]["random"]
        axes.plot([3], [random["right"] / random["of"]], "x", color=look.hues[3], label="random")
        axes.set_title(f"{name}: {found['steps']:,} steps")
        axes.set_xlabel("k (1: one vote a step)")
    _finish(figure, "share of whole jobs without an error")


def _lengths(figure: Any, look: Look, results: Mapping[str, Any]) -> None:
    for axes, (name, found) in _panels(figure, results):
        at = [each["length"] for each in found["lengths"]]
        for hue, k in zip(look.hues, _LENGTH_LEADS, strict=False):
            rows = [each["leads"][k] for each in found["lengths"]]
            axes.plot(at, [each["law"] for each in rows], color=hue)
            _points(axes, at, [each["resampled"] for each in rows], hue, f"k = {k}")
        axes.set_xscale("log")
        axes.set_title(name)
        axes.set_xlabel("steps of the job")
    _finish(figure, "share of whole jobs without an error")


def _votes(figure: Any, look: Look, results: Mapping[str, Any]) -> None:
    axes = figure.subplots(1, 1)
    for hue, (name, found) in zip(look.hues, results.items(), strict=False):
        ks = [int(k) for k in found["leads"]]
        rows = list(found["leads"].values())
        axes.plot(ks, [each["law"]["votes"] for each in rows], color=hue)
        drawn = [each["resampled"]["votes"] for each in rows]
        axes.plot(ks, drawn, "o", color=hue, label=name, markersize=4)
    axes.plot(ks, ks, "--", color=look.ink, linewidth=0.8, label="k: if every vote was right")
    axes.set_xlabel("k: votes by which an option must lead every other one")
    axes.set_ylabel("votes a step, mean")
    axes.set_title("Points: resampled. Lines: the law, state by state")
    axes.grid(visible=True, linewidth=0.5)
    axes.legend()


def _panels(figure: Any, results: Mapping[str, Any]) -> list[tuple[Any, tuple[str, Any]]]:
    """A panel a family, three in a row."""
    rows = -(-len(results) // _PANELS)
    every = figure.subplots(rows, _PANELS, sharey=True, squeeze=False).flatten().tolist()
    for empty in every[len(results) :]:
        empty.set_visible(False)
    return list(zip(every, results.items(), strict=False))


def _finish(figure: Any, what: str) -> None:
    for axes in figure.axes:
        axes.set_ylim(-0.03, 1.03)
        axes.grid(visible=True, linewidth=0.5)
    figure.supylabel(what, fontsize=10)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle("Points: resampled votes with 95 % intervals. Lines: the law, state by state")


def _points(
    axes: Any, at: Sequence[float], rows: Sequence[Mapping[str, Any]], hue: str, label: str
) -> None:
    axes.plot(at, [_of(each) for each in rows], "o", color=hue, label=label, markersize=4)
    low, high = ([each["interval"][end] for each in rows] for end in (0, 1))
    axes.vlines(at, low, high, color=hue, linewidth=1)


def _share(lead: Mapping[str, Any]) -> float:
    return _of(lead["resampled"])


def _of(drawn: Mapping[str, Any]) -> float:
    return float(drawn["right"] / drawn["of"])


def _told(drawn: Mapping[str, Any]) -> str:
    low, high = (f"{100 * each:.1f}" for each in drawn["interval"])
    return f"{_of(drawn):.1%} ({low} to {high})"
