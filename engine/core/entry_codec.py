"""Entry bodies as canonical bytes, and the slot under which an author may hold one.

Every body is versioned (`"v": 1`, a certified task 2), bounded by `MAX_BODY` and read strictly. The
bounds are chosen so that a task with its output, or an output with three verdicts, fits into one
message of 8 kB.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from pockethive.core.canonical import encode, from_text, to_text
from pockethive.core.entry import (
    Ballot,
    Body,
    Claim,
    Close,
    CloseReason,
    Commit,
    Invite,
    Kind,
    Member,
    Notice,
    Output,
    Pledge,
    Ruling,
    Sealing,
    SealVote,
    Verdict,
    Waiver,
)
from pockethive.core.errors import BadEncoding
from pockethive.core.fields import MAX_TIME, REASON, VERSION, Fields, distinct, key, sha
from pockethive.core.notice_codec import decode_notice, encode_notice
from pockethive.core.ruling_codec import decode_ruling, encode_ruling
from pockethive.core.task import DeviceId, Task
from pockethive.core.task_codec import (
    CERTIFIED,
    MAX_CHECKS,
    MAX_SOURCES,
    MAX_WITNESSES,
    decode_task,
    encode_task,
)

MAX_BODY: Mapping[Kind, int] = {
    Kind.TASK: 1_920,
    Kind.CLAIM: 360,
    Kind.OUTPUT: 1_600,
    Kind.VERDICT: 800,
    Kind.WAIVER: 480,
    Kind.RULING: 480,
    Kind.INVITE: 400,
    Kind.PLEDGE: 320,
    Kind.BALLOT: 720,
    Kind.COMMIT: 1_500,
    Kind.SEAL: 2_000,
    Kind.CLOSE: 480,
    Kind.MEMBER: 1_200,
    Kind.NOTICE: 320,
}
"""Bytes of an encoded body, by kind."""

MAX_TOKENS = 10**9  # that an output may say it cost
MAX_VERDICTS = 3
MAX_VOTES = MAX_VERDICTS + 1  # of a ballot: the worker votes, too
MAX_HOLDERS = 4  # that a commit names
_MAX_SKILLS = 16
_OUTPUT_FRAME = 380  # bytes of an output body without its inputs, at most
_INPUT_FRAME = 50  # bytes of one input beside its name
_HOST = 255


def encode_body(body: Body) -> bytes:
    """Canonical bytes of a body.

    Raises:
        BadEncoding: over its bound, or a field that `decode_body` would refuse.
    """
    kind = kind_of(body)
    data = encode({"v": VERSION, **_ENCODERS[kind](body)})
    if len(data) > MAX_BODY[kind]:
        raise BadEncoding(f"a {kind.value} of {len(data)} bytes, at most {MAX_BODY[kind]} are sent")
    return data


def decode_body(kind: Kind, data: bytes) -> Body:
    """The body behind `encode_body`.

    Raises:
        BadEncoding: another version, kind or spelling, an unknown field, or over a bound.
    """
    latest = CERTIFIED if kind is Kind.TASK else VERSION
    fields = Fields.read(data, MAX_BODY[kind], kind.value, latest)
    body = _DECODERS[kind](fields)
    fields.done()
    return body


def slot(body: Body) -> bytes:
    """Under one key and author, where this body lives; two bodies in one slot prove cheating."""
    match body:
        case Task():
            return b"generation %d" % body.committee.generation
        case Sealing():
            return b"seal %d" % body.generation
        case Notice():
            return body.key[:32].encode()
        case Claim():
            return b"claim %d" % body.epoch
        case Pledge():
            return b"%d pledge" % body.epoch
        case Output() | Verdict() | Waiver() | Ruling():
            return b"%d " % body.epoch + body.output[:32].encode()
        case Invite():
            return b"%d " % body.epoch + body.verifier.encode()
        case _:
            return kind_of(body).value.encode()


def kind_of(body: Body) -> Kind:
    """The kind of entry that a body makes."""
    return _KINDS[type(body)]


def inputs_fit(names: Iterable[str]) -> bool:
    """Whether an output that read these sources still fits into its bound."""
    lengths = [len(name) + _INPUT_FRAME for name in names]
    return len(lengths) <= MAX_SOURCES and sum(lengths) <= MAX_BODY[Kind.OUTPUT] - _OUTPUT_FRAME


def _encode_claim(claim: Claim) -> dict[str, Any]:
    shown = {"certificate": claim.certificate}
    return {"task": claim.task, "epoch": claim.epoch, "until": claim.until, **shown}


def _decode_claim(fields: Fields) -> Claim:
    return Claim(
        task=fields.task("task"),
        epoch=fields.whole("epoch"),
        until=fields.whole("until", 0, MAX_TIME),
        certificate=fields.key("certificate", 64, empty=True),
    )


def _encode_output(output: Output) -> dict[str, Any]:
    inputs = [[name, to_text(bytes.fromhex(sha(h, "output")))] for name, h in output.inputs]
    cost = {"tokens": output.tokens} if output.tokens else {}
    return {
        "task": output.task,
        "epoch": output.epoch,
        "output": output.output,
        "size": output.size,
        "model": output.model,
        "inputs": inputs,
        **cost,
    }


def _decode_output(fields: Fields) -> Output:
    return Output(
        task=fields.task("task"),
        epoch=fields.whole("epoch"),
        output=fields.sha("output"),
        size=fields.whole("size", 0, MAX_TIME),
        model=fields.sha("model", empty=True),
        inputs=tuple(
            (name, from_text(text, 32).hex()) for name, text in fields.pairs("inputs", MAX_SOURCES)
        ),
        tokens=fields.maybe("tokens", MAX_TOKENS),
    )


def _encode_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "task": verdict.task,
        "epoch": verdict.epoch,
        "output": verdict.output,
        "worker": verdict.worker,
        "accept": verdict.accept,
        "checks": list(verdict.checks),
        "reason": verdict.reason,
    }


def _decode_verdict(fields: Fields) -> Verdict:
    return Verdict(
        task=fields.task("task"),
        epoch=fields.whole("epoch"),
        output=fields.sha("output"),
        worker=fields.device("worker"),
        accept=fields.flag("accept"),
        checks=fields.texts("checks", MAX_CHECKS),
        reason=fields.text("reason", REASON),
    )


def _encode_waiver(waiver: Waiver) -> dict[str, Any]:
    return {
        "task": waiver.task,
        "epoch": waiver.epoch,
        "output": waiver.output,
        "worker": waiver.worker,
    }


def _decode_waiver(fields: Fields) -> Waiver:
    return Waiver(
        task=fields.task("task"),
        epoch=fields.whole("epoch"),
        output=fields.sha("output"),
        worker=fields.device("worker"),
    )


def _encode_invite(invite: Invite) -> dict[str, Any]:
    return {
        "task": invite.task,
        "epoch": invite.epoch,
        "output": invite.output,
        "verifier": invite.verifier,
    }


def _decode_invite(fields: Fields) -> Invite:
    return Invite(
        task=fields.task("task"),
        epoch=fields.whole("epoch"),
        output=fields.sha("output"),
        verifier=fields.device("verifier"),
    )


def _encode_pledge(pledge: Pledge) -> dict[str, Any]:
    return {"task": pledge.task, "epoch": pledge.epoch, "pledge": pledge.pledge}


def _decode_pledge(fields: Fields) -> Pledge:
    return Pledge(
        task=fields.task("task"), epoch=fields.whole("epoch"), pledge=fields.sha("pledge")
    )


def _encode_ballot(ballot: Ballot) -> dict[str, Any]:
    return {
        "task": ballot.task,
        "output": ballot.output,
        "votes": [list(vote) for vote in ballot.votes],
    }


def _decode_ballot(fields: Fields) -> Ballot:
    votes = fields.pairs("votes", MAX_VOTES)
    distinct((device for device, _ in votes), "ballot")
    return Ballot(
        task=fields.task("task"),
        output=fields.sha("output"),
        votes=tuple((DeviceId(key(device)), key(nonce)) for device, nonce in votes),
    )


def _encode_commit(commit: Commit) -> dict[str, Any]:
    return {
        "task": commit.task,
        "generation": commit.generation,
        "epoch": commit.epoch,
        "output": commit.output,
        "acks": [list(ack) for ack in commit.acks],
        "holders": list(commit.holders),
    }


def _decode_commit(fields: Fields) -> Commit:
    acks = fields.pairs("acks", MAX_WITNESSES)
    return Commit(
        task=fields.task("task"),
        generation=fields.whole("generation", 1),
        epoch=fields.whole("epoch"),
        output=fields.sha("output"),
        acks=tuple((Fields({"w": w}, "ack").device("w"), key(s, 64)) for w, s in acks),
        holders=fields.devices("holders", MAX_HOLDERS),
    )


def _encode_sealing(sealing: Sealing) -> dict[str, Any]:
    return {
        "task": sealing.task,
        "generation": sealing.generation,
        "successor": sealing.successor,
        "votes": [
            [vote.witness, vote.epoch, vote.accepted and list(vote.accepted), vote.signature]
            for vote in sealing.votes
        ],
    }


def _decode_sealing(fields: Fields) -> Sealing:
    return Sealing(
        task=fields.task("task"),
        generation=fields.whole("generation", 1),
        successor=fields.sha("successor"),
        votes=tuple(_decode_seal_vote(item) for item in fields.items("votes", MAX_WITNESSES)),
    )


def _decode_seal_vote(item: object) -> SealVote:
    if not isinstance(item, list) or len(item) != 4:
        raise BadEncoding("seal: a vote that has not four parts")
    names = ("witness", "epoch", "accepted", "signature")
    fields = Fields(dict(zip(names, item, strict=True)), "seal")
    value = fields.take("accepted")
    if value is not None and (not isinstance(value, list) or len(value) != 2):
        raise BadEncoding("seal: an accepted value that is no pair")
    inner = Fields({} if value is None else {"epoch": value[0], "output": value[1]}, "seal")
    return SealVote(
        witness=fields.device("witness"),
        epoch=fields.whole("epoch"),
        accepted=None if value is None else (inner.whole("epoch"), inner.sha("output")),
        signature=fields.key("signature", 64),
    )


def _encode_close(close: Close) -> dict[str, Any]:
    return {"task": close.task, "reason": close.reason.value, "detail": close.detail}


def _decode_close(fields: Fields) -> Close:
    return Close(
        task=fields.task("task"),
        reason=fields.one_of("reason", CloseReason),
        detail=fields.text("detail", REASON),
    )


def _encode_member(member: Member) -> dict[str, Any]:
    return {
        "device": member.device,
        "owner_key": member.owner_key,
        "certificate": member.certificate,
        "host": member.host,
        "port": member.port,
        "skills": list(member.skills),
        "checkers": list(member.checkers),
        "model": member.model,
        "documents": member.documents,
        "works": member.works,
    }


def _decode_member(fields: Fields) -> Member:
    return Member(
        device=fields.device("device"),
        owner_key=fields.key("owner_key"),
        certificate=fields.key("certificate", 64),
        host=fields.text("host", _HOST, 1),
        port=fields.whole("port", 1, 65_535),
        skills=fields.texts("skills", _MAX_SKILLS),
        checkers=fields.texts("checkers", _MAX_SKILLS),
        model=fields.sha("model", empty=True),
        documents=fields.whole("documents"),
        works=fields.flag("works"),
    )


_KINDS: Mapping[type, Kind] = {
    each: Kind.SEAL if each is Sealing else Kind(each.__name__.lower()) for each in get_args(Body)
}
_ENCODERS: Mapping[Kind, Callable[[Any], dict[str, Any]]] = {
    Kind.TASK: encode_task,
    Kind.CLAIM: _encode_claim,
    Kind.OUTPUT: _encode_output,
    Kind.VERDICT: _encode_verdict,
    Kind.WAIVER: _encode_waiver,
    Kind.RULING: encode_ruling,
    Kind.INVITE: _encode_invite,
    Kind.PLEDGE: _encode_pledge,
    Kind.BALLOT: _encode_ballot,
    Kind.COMMIT: _encode_commit,
    Kind.SEAL: _encode_sealing,
    Kind.CLOSE: _encode_close,
    Kind.MEMBER: _encode_member,
    Kind.NOTICE: encode_notice,
}
_DECODERS: Mapping[Kind, Callable[[Fields], Body]] = {
    Kind.TASK: decode_task,
    Kind.CLAIM: _decode_claim,
    Kind.OUTPUT: _decode_output,
    Kind.VERDICT: _decode_verdict,
    Kind.WAIVER: _decode_waiver,
    Kind.RULING: decode_ruling,
    Kind.INVITE: _decode_invite,
    Kind.PLEDGE: _decode_pledge,
    Kind.BALLOT: _decode_ballot,
    Kind.COMMIT: _decode_commit,
    Kind.SEAL: _decode_sealing,
    Kind.CLOSE: _decode_close,
    Kind.MEMBER: _decode_member,
    Kind.NOTICE: decode_notice,
}
