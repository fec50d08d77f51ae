"""Outputs of `search` and `rank` as those take them who work on with them.

Rule guarded here: who accepted an output may be a friend of who made it. So its form and its proofs
are looked at once more, which costs little, and what is unsound is left out: it stops nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pockethive.actors.documents.attestation import fault
from pockethive.actors.skills.research import MAX_FINDINGS
from pockethive.core.ports import VerifySignature

MOST_KEPT: Final = 16  # candidates of a ranking
_MOST_SCORE: Final = 10**7  # millinats; no text of a few thousand characters is worth more

Candidates = Sequence[Mapping[str, Any]]


def findings_of(value: Any) -> Sequence[Mapping[str, Any]] | str:
    """The findings of a search's output, or what is wrong with its form."""
    if not isinstance(value, Mapping) or set(value) != {"findings", "searched"}:
        return "not a search: fields are missing or unknown"
    findings, searched = value["findings"], value["searched"]
    if not isinstance(findings, list) or len(findings) > MAX_FINDINGS:
        return f"not a search: more than {MAX_FINDINGS} findings, or no list of them"
    if not isinstance(searched, Mapping) or set(searched) != {"documents", "passages"}:
        return "not a search: what was searched is missing"
    if not all(type(count) is int and count >= 0 for count in searched.values()):
        return "not a search: what was searched is not counted"
    if not all(isinstance(finding, Mapping) for finding in findings):
        return "not a search: a finding is not an object"
    return findings


def candidates_of(value: Any) -> list[Mapping[str, Any]] | None:
    """The candidates of a ranking, or None when it is none."""
    if not isinstance(value, Mapping) or set(value) != {"candidates", "confidence", "question"}:
        return None
    if type(value["confidence"]) is not int or not 0 <= value["confidence"] <= 1000:
        return None
    if not isinstance(value["question"], str):
        return None
    items = value["candidates"]
    if not isinstance(items, list) or len(items) > MOST_KEPT:
        return None
    shaped = all(
        isinstance(item, Mapping)
        and set(item) == {"finding", "score"}
        and isinstance(item["finding"], Mapping)
        and type(item["score"]) is int
        and abs(item["score"]) <= _MOST_SCORE
        for item in items
    )
    return items if shaped else None


def standing(value: Any, verify: VerifySignature) -> list[Mapping[str, Any]]:
    """Findings of a search that stand in their sources, all of one device: an output counts for
    one, whatever keys it is signed with."""
    findings = findings_of(value)
    if isinstance(findings, str) or not findings:
        return []
    device = str(findings[0].get("device"))
    return [each for each in findings if fault(each, device, verify) is None]


def proven(candidates: Iterable[Mapping[str, Any]], verify: VerifySignature) -> Candidates:
    """Those of a ranking's candidates whose findings stand in their sources."""
    return [
        each
        for each in candidates
        if fault(each["finding"], str(each["finding"].get("device")), verify) is None
    ]
