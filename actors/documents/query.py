"""What a question asks for, as words and symbols to look up.

Rule guarded here: a question becomes quoted search terms; nothing in it is read as search syntax.
"""

import re
from dataclasses import dataclass

MAX_TERMS = 24
MAX_QUESTION = 2_000  # characters

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
# Names with underscores, one-letter codes such as !r or %s, runs of operators, the ellipsis, and
# words in quotation marks or backticks, which is how texts set off names and code.
_NAMES = re.compile(r"\w*__\w+|[!%#$]\w\b")
_QUOTED = re.compile(r"[\"'`“‘](\w+)(?:\(\))?[\"'`”’]")
# Words that make the small word beside them a name: "the in operator", "between is and ==".
_NAMED_BEFORE = re.compile(
    r"\b(\w+) (?:operator|statement|keyword|clause|expression|loop|block|method|function|command"
    r"|option|flag|field|key|button|symbol)s?\b",
    re.IGNORECASE,
)
_NAMED_AFTER = re.compile(
    r"\b(?:between|called|named) (\w+)"
    r"(?: (?:and|or|from|vs) (\w+))?|(?<=[-+*/%@&|^~<>=!] )(?:and|or|vs) (\w+)",
    re.IGNORECASE,
)
_SYMBOLS = re.compile(r"[-+*/%@&|^~<>=!:]+|\.{3}")
_STOP = frozenset(
    re.findall(
        r"\w+",
        """
    a about actually all allow allowed also am an and another any anyone are as at be been being but
    by can cannot could did do does doing done each even ever for from get gets getting give
    given gives go goes going good had happen happened happening happens has have having he
    help her here him his how i if in instead into is it its just know let lets like made
    make makes making may me mean means might more most much must my need needs no nor not
    now of on one only or other our ours out over own please possible question quite really
    same shall she should so some somehow something still such tell than that the their them
    then there these they thing things this those to too try trying understand up us use
    used useful uses using very want wants was way we were what when where whether which
    while who whom whose why will with within without won work works would write wrong yes
    you your yours
    """,
    )
)


_SUFFIXES = (
    "ations",
    "ation",
    "ings",
    "ing",
    "edly",
    "ed",
    "ies",
    "es",
    "ers",
    "er",
    "ly",
    "s",
    "e",
)

_NEVER_NAMES = frozenset({"a", "an", "any", "each", "every", "i", "it", "its", "my", "that", "the"})


@dataclass(frozen=True, slots=True)
class Query:
    """`words` carry meaning; `symbols` are operators and the like, spelled as in the question."""

    words: tuple[str, ...]
    symbols: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.words or self.symbols)


def analyse(question: str) -> Query:
    """The words and symbols of a question, without repetition, in order.

    Small words are left out unless nothing else is there: "what is in?" asks for "in".
    """
    question = question[:MAX_QUESTION]
    every = [match.group().lower() for match in _WORD.finditer(question)]
    plain = [re.split(r"['’]", word)[0] for word in every if "'t" not in word and "’t" not in word]
    words = [word for word in plain if word not in _STOP and (len(word) > 1 or word.isdigit())]
    names = _names(question)
    chosen = tuple(dict.fromkeys(words)) or (() if names else tuple(dict.fromkeys(plain)))
    symbols = dict.fromkeys([*_asked_symbols(question), *names])
    return Query(chosen[:MAX_TERMS], tuple(symbols)[:MAX_TERMS])


def symbol_tokens(text: str) -> str:
    """Every run of symbols in `text` as a searchable token."""
    runs = [*_NAMES.findall(text), *_SYMBOLS.findall(text), *_QUOTED.findall(text)]
    return " ".join(dict.fromkeys(symbol_token(run) for run in runs))


def symbol_token(run: str) -> str:
    """One run of symbols as a token that a word tokenizer leaves whole."""
    return "sy" + "".join(f"{ord(char):02x}" for char in run.lower()) + "z"


def stems(text: str) -> frozenset[str]:
    """Roughly stemmed words and symbol tokens of a text, to count what it shares with a query.

    Coarser than the index's Porter stemmer; good enough to tell sentences of a passage apart.
    """
    words = {stem(match.group().lower()) for match in _WORD.finditer(text)}
    return frozenset(words | set(symbol_tokens(text).split()))


def query_stems(query: Query) -> tuple[str, ...]:
    """The stems that `stems` would find in a text that holds all of the query."""
    words = [stem(word) for word in query.words]
    return tuple(dict.fromkeys([*words, *(symbol_token(run) for run in query.symbols)]))


def stem(word: str) -> str:
    """A word without its ending, where at least three letters are left."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def _asked_symbols(question: str) -> list[str]:
    """Runs of two or more symbols, and single ones that stand alone: `a < b`, not `well-known`."""
    found = _NAMES.findall(question)
    for match in _SYMBOLS.finditer(question):
        before = question[: match.start()][-1:]
        after = question[match.end() :][:1]
        alone = (not before or before in " \"'`(") and (not after or after in " \"'`?.,)")
        if match.group() not in {"-", "--", ":", "!"} and (len(match.group()) > 1 or alone):
            found.append(match.group())
    return found


def _names(question: str) -> list[str]:
    """Small words that are asked about by name: quoted, or beside a word such as "operator"."""
    found = [*_QUOTED.findall(question), *_NAMED_BEFORE.findall(question)]
    found += [word for words in _NAMED_AFTER.findall(question) for word in words if word]
    lowered = dict.fromkeys(word.lower() for word in found)
    return [word for word in lowered if word in _STOP and word not in _NEVER_NAMES]
