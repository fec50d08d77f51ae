"""Towers of Hanoi: every disk from the left peg to the right one, never a larger on a smaller.

Two ways to cut it. `moves`: the model is told the pegs and picks the next move among the legal ones
(at most three); code knows what is legal. By rules: every other move is the smallest disk's, always
on to the next peg of a cycle, and the move between is the only other one there is. There the code
knows the rule, keeps the pegs and numbers them round and round (peg four is peg one again); the
model decides whose turn it is, which number comes next, and which of two disks is the smaller (as a
fact, or by counting up, see counting.py): nothing that it picks is checked for being legal. The
length of a job is its number of disks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from pockethive.core.errors import BadInput
from pockethive.trials.counting import NAMES, after, right_after
from pockethive.trials.family import Job, State, Step
from pockethive.trials.programme import Programme, Work, asks, plain
from pockethive.trials.sorting import right_smaller, smaller_digit

PEGS: Final = ("left", "middle", "right")
MOST_DISKS: Final = 9
"""Disks have names of one digit."""
SMALLEST: Final = "smallest"
OTHER: Final = "other"
Pegs = list[list[int]]  # disks on each peg, from the lowest to the topmost


@dataclass(frozen=True, slots=True)
class Hanoi(Programme):
    """`length` disks; a seed is of no account, for there is one job of a length."""

    by: Literal["moves", "facts", "counting"] = "moves"

    @property
    def name(self) -> str:
        """See `Family`."""
        endings = {"moves": "", "facts": "-by-rules", "counting": "-by-counting"}
        return f"hanoi{endings[self.by]}"

    def job(self, seed: int, length: int) -> Job:
        """See `Family`. Raises BadInput for more disks than have a name."""
        if not 1 <= length <= MOST_DISKS:
            raise BadInput(
                f"{length} disks", where=self.name, cure=f"give between 1 and {MOST_DISKS}"
            )
        return Job(self.name, {"disks": length, "cycle": list(_cycle(length))}, (seed, length))

    def start(self, job: Job) -> State:
        """See `Programme`."""
        disks = list(range(plain(job, "disks"), 0, -1))
        return {"pegs": [disks, [], []], "moved": [], "last": OTHER}

    def unit(self, job: Job, at: State) -> Work[State] | None:
        """See `Programme`: a move. The job ends when the right peg has all disks, or no move is."""
        disks = plain(job, "disks")
        if len(at["pegs"][2]) == disks or len(at["moved"]) >= 2**disks - 1 or at["last"] == "":
            return None
        return self._free(at) if self.by == "moves" else self._ruled(job, at)

    def said(self, job: Job, at: State) -> str:  # noqa: ARG002
        """See `Programme`: the moves, each as its two pegs."""
        return " ".join(at["moved"])

    def truth(self, job: Job) -> str:
        """See `Family`."""
        return " ".join(f"{PEGS[a]}-{PEGS[b]}" for a, b in solution(plain(job, "disks"), 0, 2))

    def right(self, job: Job, step: Step) -> str:  # noqa: ARG002
        """See `Family`."""
        if step.form == "move":
            return right_move(step)
        if step.form == "turn":
            return OTHER if step.places["last"] == SMALLEST else SMALLEST
        return right_smaller(step) if step.form == "smaller" else right_after(step)

    def _free(self, at: State) -> Work[State]:
        (move,) = yield (move_step(at["pegs"]),)
        one, _, two = move.partition(" to ")
        return _moved(at, PEGS.index(one), PEGS.index(two), "free")

    def _ruled(self, job: Job, at: State) -> Work[State]:
        turn = yield from asks("turn", {"last": at["last"]}, (SMALLEST, OTHER))
        pegs: Pegs = at["pegs"]
        small = next(number for number, disks in enumerate(pegs) if 1 in disks)
        if turn == SMALLEST:
            cycle = plain(job, "cycle")
            (after_it,) = yield from after([NAMES[cycle.index(PEGS[small]) + 1]])
            to = cycle[(NAMES.index(after_it) - 1) % len(PEGS)]
            return _moved(at, small, PEGS.index(to), turn)
        one, two = (number for number in range(3) if number != small)
        if not pegs[one] and not pegs[two]:
            return {**at, "last": ""}
        if pegs[one] and pegs[two]:
            tops = str(pegs[one][-1]), str(pegs[two][-1])
            least = yield from smaller_digit(
                *tops, "counting" if self.by == "counting" else "facts"
            )
            here, there = (one, two) if least == tops[0] else (two, one)
        else:
            here, there = (one, two) if pegs[one] else (two, one)
        return _moved(at, here, there, turn)


def solution(disks: int, here: int, there: int) -> list[tuple[int, int]]:
    """The shortest way to carry `disks` disks from a peg to another."""
    if disks == 0:
        return []
    spare = 3 - here - there
    before, behind = solution(disks - 1, here, spare), solution(disks - 1, spare, there)
    return [*before, (here, there), *behind]


def legal(pegs: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """The moves that may be made."""
    return [
        (one, two)
        for one in range(3)
        for two in range(3)
        if one != two and pegs[one] and (not pegs[two] or pegs[one][-1] < pegs[two][-1])
    ]


def next_move(pegs: Sequence[Sequence[int]]) -> tuple[int, int]:
    """The first move of the shortest way to the right peg, from wherever disks stand legally."""
    on = {disk: peg for peg, disks in enumerate(pegs) for disk in disks}
    goal, move = 2, (2, 2)
    for disk in sorted(on, reverse=True):
        if on[disk] != goal:
            move = (on[disk], goal)
            goal = 3 - on[disk] - goal
    return move


def move_step(pegs: Sequence[Sequence[int]]) -> Step:
    """What the next move is, among the legal ones."""
    places = {peg: _written(disks) for peg, disks in zip(PEGS, pegs, strict=True)}
    return Step("", "move", places, tuple(f"{PEGS[a]} to {PEGS[b]}" for a, b in legal(pegs)))


def right_move(step: Step) -> str:
    """The truth about such a step."""
    one, two = next_move([_read(step.places[peg]) for peg in PEGS])
    return f"{PEGS[one]} to {PEGS[two]}"


def random_pegs(chance: Random, disks: int) -> Pegs:
    """A legal state, any as likely as any other; one that is done is drawn again."""
    while True:
        pegs: Pegs = [[], [], []]
        for disk in range(disks, 0, -1):
            pegs[chance.randrange(3)].append(disk)
        if len(pegs[2]) < disks:
            return pegs


def _cycle(disks: int) -> tuple[str, ...]:
    return PEGS if disks % 2 == 0 else (PEGS[0], PEGS[2], PEGS[1])


def _moved(at: State, here: int, there: int, turn: str) -> State:
    pegs: Pegs = [list(disks) for disks in at["pegs"]]
    if here != there:
        pegs[there].append(pegs[here].pop())
    return {"pegs": pegs, "moved": [*at["moved"], f"{PEGS[here]}-{PEGS[there]}"], "last": turn}


def _written(disks: Sequence[int]) -> str:
    return ", ".join(NAMES[disk] for disk in disks) or "empty"


def _read(told: str) -> list[int]:
    return [] if told == "empty" else [NAMES.index(each) for each in told.split(", ")]
