"""Checkers for the outputs of `search`, `rank` and `synthesize`.

Rule guarded here: a verifier believes nothing that it can compute. What cannot be checked from
elsewhere (that a search which found nothing looked well) is said in the verdict's reason.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pockethive.actors.documents.attestation import fault
from pockethive.actors.documents.passages import plain
from pockethive.actors.skill import Finding, Tools, Work, model_for
from pockethive.actors.skills.findings import candidates_of, findings_of, standing
from pockethive.actors.skills.fitting import fits, unrelated
from pockethive.actors.skills.likelihood import Reader
from pockethive.actors.skills.rank import gather, in_context, rank_work
from pockethive.actors.skills.synthesize import answer
from pockethive.core.canonical import same

FITTED = 1  # findings that are read by the verifier's model, best first; a device's others wait
_SAME = 500  # millinats; kernels differ a little between machines, so closer scores may swap
_OFF = 2_000  # millinats by which a score may be another; an answer cites what is within 12,000
_AS_SURE = 100  # thousandths, for the same reason

_ANSWER = {"answer", "citations", "confidence", "found"}


class Quotation:
    """Every finding stands in a document as its device indexed it. Pure."""

    name = "quotation"
    needs_model = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Judge an output of `search`."""
        findings = findings_of(value)
        if isinstance(findings, str):
            return _no(findings)
        seen: set[tuple[str, int, str]] = set()
        for number, finding in enumerate(findings, start=1):
            if problem := fault(finding, work.device, tools.verify):
                return _no(f"finding {number}: {problem}")
            key = (finding["source"], finding["passage"]["index"], finding["quote"])
            if key in seen:
                return _no(f"finding {number}: given twice")
            seen.add(key)
        if not findings:
            return _yes("nothing was found; an empty search can be checked for form only")
        return _yes(f"{len(findings)} quotations stand in their sources as indexed")


class Fit:
    """The findings fit the question: each is chosen before distractors, in two prompt forms."""

    name = "fit"
    needs_model = True

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Judge an output of `search` by reading it with this device's model."""
        model = model_for("checking the fit", work, tools)
        findings = findings_of(value)
        if isinstance(findings, str):
            return _no(findings)
        if not findings:
            return _yes("nothing was found; an empty search can be checked for form only")
        if len(standing(value, tools.verify)) < len(findings):
            return _no("a finding does not stand in its source")
        question = str(work.params["question"])
        read = findings[:FITTED]
        texts = [in_context(finding, question) for finding in read]
        reader = Reader(model, question)
        verdicts = fits(reader, texts, unrelated(tools.documents, question))
        for number, fitting in enumerate(verdicts, start=1):
            if not fitting:
                return _no(f"finding {number} does not fit the question")
        return _yes(f"the best {len(read)} were chosen before the distractors, both forms together")


class Ranking:
    """The order of candidates is what this device's model makes of the same findings."""

    name = "ranking"
    needs_model = True

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Judge an output of `rank` by ranking again."""
        model = model_for("checking a ranking", work, tools)
        candidates = candidates_of(value)
        if candidates is None:
            return _no("not a ranking: fields are missing or of another type")
        if value["question"] != str(work.params["question"]):
            return _no("ranked for another question")
        among = gather(work.inputs, tools.verify)
        made = rank_work(work, among, model)
        mine = made.candidates
        scores = {_key(item["finding"]): int(item["score"]) for item in mine}
        theirs = [_key(item["finding"]) for item in candidates]
        if len(theirs) != len(mine) or len(set(theirs)) != len(theirs):
            return _no(f"{len(theirs)} candidates were given, {len(mine)} belong there")
        if any(item["finding"] not in among for item in candidates):
            return _no("a candidate is not among the inputs")
        own = [scores[key] for key in theirs if key in scores]
        if len(own) != len(theirs) or any(b > a + _SAME for a, b in pairwise(own)):
            return _no("the same findings come in another order here")
        said = [item["score"] for item in candidates]
        if any(abs(one - other) > _OFF for one, other in zip(own, said, strict=True)):
            return _no("the same findings have other scores here")
        if abs(made.confidence - value["confidence"]) > _AS_SURE:
            return _no(f"{value['confidence']} thousandths sure, here {made.confidence}")
        return _yes(f"ranking {len(theirs)} candidates again gives the same order")


class Citations:
    """The answer is template and quotations only, and every citation is among the inputs. Pure."""

    name = "citations"
    needs_model = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Judge an output of `synthesize`."""
        if not isinstance(value, Mapping) or set(value) != _ANSWER:
            return _no("not an answer: fields are missing or unknown")
        right = answer(work, tools.verify)
        if value["found"] != right["found"]:
            return _no("found and not found do not go with the candidates")
        if value["citations"] != right["citations"]:
            return _no("the citations are not the best candidates, numbered in their order")
        if value["confidence"] != right["confidence"]:
            return _no("the confidence is not that of the ranking")
        if value["answer"] != right["answer"]:
            return _no("the answer has text that is neither template nor quotation")
        if not same(value, right):
            return _no("the answer is of another form")
        if not right["found"]:
            return _yes("there was nothing to cite, and the answer says so")
        return _yes(f"{len(right['citations'])} citations are among the inputs, rightly numbered")


def _yes(reason: str) -> Finding:
    return Finding(accept=True, reason=reason)


def _no(reason: str) -> Finding:
    return Finding(accept=False, reason=reason)


def _key(finding: Any) -> tuple[str, str, str]:
    return str(finding.get("device")), str(finding.get("source")), plain(str(finding.get("quote")))
