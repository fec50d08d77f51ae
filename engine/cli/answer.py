"""A result for people: the answer, its sources, who did what, what is missing, how long it took."""

from typing import TextIO

from rich.table import Table
from rich.text import Text

from pockethive.cli.console import PipedConsole
from pockethive.result import BY_OWNER, ON_CREDIT, Result, TaskSeen


def print_answer(result: Result, out: TextIO) -> None:
    """Print `result`; plain text when `out` is not a terminal."""
    console = PipedConsole(file=out, highlight=False, soft_wrap=True)
    console.print()
    if result.answer:
        console.print(result.answer, markup=False)
    if result.citations:
        console.print()
        for citation in result.citations:
            console.print(
                f"[{citation.number}] {citation.source} (device {citation.device[:8]})\n"
                f"    “{' '.join(citation.quote.split())}”",
                markup=False,
            )
    for missing in result.missing:
        console.print(f"missing: {missing.task}: {missing.reason}", style="yellow", markup=False)
    for draft in result.drafts:
        console.print(
            f"{draft.state}: {draft.kind} {draft.target!r} "
            f"(pockethive outbox --approve {draft.act})",
            markup=False,
        )
    if result.status != "completed":
        console.print(f"status: {result.status}: {result.reason}", style="yellow", markup=False)
    console.print()
    console.print(_table(result.tasks))
    console.print(_summary(result), markup=False)


def _table(tasks: tuple[TaskSeen, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("task", "status", "done by", "verified by", "epoch", "tries"):
        table.add_column(column, no_wrap=True)
    for task in tasks:
        accepted = [seen.device[:8] for seen in task.verdicts if seen.verdict == "accept"]
        table.add_row(
            Text(task.name),
            task.status,
            (task.device or "")[:8],
            task.taken
            if task.taken in (ON_CREDIT, BY_OWNER)
            else ", ".join(dict.fromkeys(accepted)),
            str(task.epoch),
            str(task.attempts),
        )
    return table


def _summary(result: Result) -> str:
    model = result.model
    made_with = f"{model.name} {model.quantization} {model.sha256[:8]}" if model.name else "none"
    k, q, f = min((task.witnesses for task in result.tasks), default=(0, 0, 0))
    sure = "" if result.confidence is None else f" · {result.confidence:.0%} sure"
    return (
        f"{result.status} in {result.seconds:.1f} s (plan {result.plan_seconds:.1f} s) · "
        f"{len(result.devices)} devices{sure} · model {made_with} · "
        f"{result.prompt_tokens} tokens read, {result.generated_tokens} written · "
        f"witnesses K={k} q={q} f={f}\nrun {result.run_id}"
    )
