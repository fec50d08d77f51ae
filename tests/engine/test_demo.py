"""`pockethive demo` hands over to `pockethive run`: it knows all that a run asks for."""

from pockethive.cli.command_line import parser

GIVEN = {"team", "goal", "documents", "devices", "join"}
"""What the demonstration decides itself."""


def test_a_demonstration_has_every_option_that_a_run_reads() -> None:
    run = vars(parser().parse_args(["run", "research", "why?"]))
    demo = vars(parser().parse_args(["demo"]))
    assert run.keys() - GIVEN <= demo.keys()
