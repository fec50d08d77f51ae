"""PocketHive's session, by its public face, for `bench.models`."""

import time
from pathlib import Path
from typing import Any

from bench.model_peers.line import Peer, serve


class Ours:
    """Prompts are given as text, as everybody gives them: tokenizing is in the figures."""

    def __init__(self, given: dict[str, Any]) -> None:
        from pockethive.inference import bundle, session

        self._given = given
        self._arithmetic = "quick" if given["fast"] else "exact"
        self._open, self._make = bundle.open_bundle, session.Session

    def load(self) -> None:
        """Open the bundle, compile the graph; its run time is imported here."""
        self._session = self._make(
            self._open(Path(self._given["folder"])),
            threads=self._given["threads"],
            arithmetic=self._arithmetic,
            roomy=self._given["roomy"],
        )

    def write(self, ids: list[int], count: int) -> dict[str, float]:
        """By `stream`. A text may end early; `tokens` says so."""
        from pockethive.core.ports import Sampling

        text = self._text(ids)
        began = time.perf_counter()
        writer = self._session.stream(text, Sampling(max_tokens=count))
        ended, first = None, 0.0
        while ended is None:
            try:
                next(writer)
            except StopIteration as end:
                ended = end.value
            first = first or time.perf_counter()
        rest = time.perf_counter() - first
        assert ended.prompt_tokens == len(ids), "the text has other tokens"
        return {"first": first - began, "rest": rest, "tokens": ended.generated_tokens}

    def together(self, prompts: list[list[int]], count: int) -> dict[str, float]:
        """All begun at once, as the model actor does."""
        from pockethive.core.ports import Sampling

        session, ended = self._session, []
        began = time.perf_counter()
        for text in map(self._text, prompts):
            work = session.works.generate(text, Sampling(max_tokens=count))
            session.begin(work, lambda made, error: ended.append((made, error)))
        while session.under_way:
            session.step()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "tokens": sum(made.generated_tokens for made, _ in ended)}

    def score(self, prefix: list[int], options: list[list[int]]) -> dict[str, Any]:
        """One call; the options are read side by side after one reading of the prefix."""
        prompt, texts = self._text(prefix), [self._text(option) for option in options]
        began = time.perf_counter()
        scores = self._session.score(prompt, texts)
        return {"seconds": time.perf_counter() - began, "logprobs": list(scores)}

    def again(self, prefix: list[int], suffix: list[int]) -> dict[str, float]:
        """The session knows by itself what it has read."""
        self.write(prefix, 1)
        return {"first": self.write(prefix + suffix, 1)["first"]}

    def constrain(self, ids: list[int], schema: dict[str, Any], most: int) -> dict[str, Any]:
        """By llguidance; what can only follow is not drawn."""
        from pockethive.core.ports import Sampling

        text = self._text(ids)
        began = time.perf_counter()
        made = self._session.constrain(text, schema, Sampling(max_tokens=most))
        return {"seconds": time.perf_counter() - began, "text": made.text}

    def logprob(self, window: list[int]) -> dict[str, float]:
        """By token ids, below the public face: a window begins within a word."""
        from pockethive.inference.requests import score

        (total,) = self._session.run(score(window[:1], [window[1:]]))
        return {"logprob": total}

    def _text(self, ids: list[int]) -> str:
        return self._session.tokens.decode(ids)


def _make(given: dict[str, Any]) -> Peer:
    return Ours(given)


if __name__ == "__main__":
    serve(_make)
