"""Keeps a text within a grammar, by llguidance.

Valid is not useful: the schema shapes the text, it does not make a small model know more.
"""

import json
from collections.abc import Mapping

import llguidance
import llguidance.numpy
import numpy as np

from pockethive.core.errors import BadInput, ModelError
from pockethive.inference.slices import Floats
from pockethive.inference.tokens import Tokens


def json_grammar(schema: Mapping[str, object]) -> str:
    """Texts that satisfy a JSON schema, without white space between tokens."""
    return str(
        llguidance.LLMatcher.grammar_from_json_schema(
            json.dumps(schema), overrides={"whitespace_flexible": False}
        )
    )


class Guide:
    """The tokens that a grammar allows next. One guide serves one text."""

    def __init__(self, tokens: Tokens, grammar: str) -> None:
        """Compile `grammar`; raises BadInput when llguidance cannot."""
        problem = llguidance.LLMatcher.validate_grammar(grammar, tokens.guidance)
        if problem:
            raise BadInput(f"the grammar or JSON schema cannot be used: {problem}")
        self._matcher = llguidance.LLMatcher(tokens.guidance, grammar)
        self._allowed = llguidance.numpy.allocate_token_bitmask(1, tokens.guidance.vocab_size)

    @property
    def complete(self) -> bool:
        """Whether the text satisfies the grammar and nothing may follow."""
        return bool(self._matcher.is_accepting() and self._matcher.is_stopped())

    def mask(self, logits: Floats) -> Floats:
        """`logits` with forbidden tokens at minus infinity (in place)."""
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._allowed)
        llguidance.numpy.apply_token_bitmask_inplace(logits.reshape(1, -1), self._allowed)
        if not np.isfinite(logits.max()):
            raise ModelError(f"the grammar allows no next token: {self._matcher.get_error()}")
        return logits

    def take(self, token: int) -> list[int]:
        """Go on after `token`; returns the tokens that must follow, already taken."""
        if not self._matcher.consume_token(token):
            raise ModelError(f"llguidance refused a token: {self._matcher.get_error()}")
        forced: list[int] = [] if self._matcher.is_stopped() else self._matcher.compute_ff_tokens()
        if forced and not self._matcher.consume_tokens(forced):
            raise ModelError(f"llguidance refused a token: {self._matcher.get_error()}")
        return list(forced)
