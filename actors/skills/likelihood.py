"""How likely a text makes a question: what a model of this size can tell about the two.

By Bayes' rule log P(question | text) - log P(question) equals log P(text | question) - log P(text):
the text's likelihood as an option, calibrated (Zhao et al. 2021, arXiv 2102.09690). Asked this way
round only the question's tokens are scored, and texts of different length compare fairly (query
likelihood, Ponte and Croft 1998; for passages by language model, Sachan et al. 2022, arXiv
2204.07496). Rule guarded here: a question is asked in the same words wherever it is scored.
"""

from pockethive.core.ports import Model

NOTHING = "N/A"  # stands for no text; its likelihood is the question's own

BARE = ""
SHOWN = (
    "Each text answers the question below it.\n\n"
    "Text: Opening hours. The library is open from nine to six on weekdays.\n"
    "Question: When can I visit the library?\n\n"
    "Text: Bicycles / Tyres. Pump the tyres up to four bar before a long ride.\n"
    "Question: how much air do my bike tyres need\n\n"
)
FORMS = (SHOWN, BARE)
"""Beginnings of the prompt: with worked examples, and without."""


class Reader:
    """Reads texts with a question in mind and counts the tokens. One thread, one question."""

    def __init__(self, model: Model, question: str) -> None:
        self._model = model
        self.question = question
        self._option = f" {' '.join(question.split())}\n"
        self._nothing: dict[str, float] = {}
        self.tokens = model.remember(SHOWN)

    def gain(self, text: str, form: str = SHOWN) -> float:
        """Nats by which `text` makes the question likelier than no text does."""
        if form not in self._nothing:
            self._nothing[form] = self._likelihood(NOTHING, form)
        return self._likelihood(text, form) - self._nothing[form]

    def _likelihood(self, text: str, form: str) -> float:
        prompt = f"{form}Text: {text}\nQuestion:"
        self.tokens += self._model.count(prompt + self._option)
        return self._model.score(prompt, [self._option])[0]


def in_place(title: str, section: str, text: str) -> str:
    """A text as the model reads it: where it stands, then what it says."""
    above = title if section in {"", title} else f"{title} / {section}"
    return f"{above}. {text}"
