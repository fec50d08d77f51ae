"""What the README shows is real: its team loads, its program runs."""

import re
from pathlib import Path

from pockethive.configs.loader import load_team, load_team_text
from pockethive.vocabulary import vocabulary
from tests.acceptance.village import build_village

README = (Path(__file__).parent.parent.parent / "README.md").read_text()


def block(language: str) -> str:
    """The first code block in that language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found.group(1)


def test_the_team_in_the_readme_is_the_shipped_minimal_one() -> None:
    shown = load_team_text(block("yaml"), "README.md", vocabulary())
    assert shown == load_team("minimal", vocabulary())


def test_the_program_in_the_readme_runs(tmp_path: Path) -> None:
    village = build_village(tmp_path)
    program = (
        block("python")
        .replace('"research"', repr(str(village.team)))
        .replace('["contracts/", "letters/"]', repr([str(f) for f in village.folders]))
        .replace("documents=", f"home={str(village.home)!r}, documents=")
        .replace("Who may end the lease, and with what notice?", "What does the bakery sell?")
    )
    printed: list[str] = []
    exec(  # the program as a reader would run it
        compile(program, "README.md", "exec"),
        {"print": lambda *words: printed.append(" ".join(map(str, words))), "__name__": "__main__"},
    )
    assert printed
    assert "bakery.txt" in printed[1]
