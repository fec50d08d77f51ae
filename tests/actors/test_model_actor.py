"""One model, many agents: turns, errors, streams that end early, and memory given back."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from pockethive.actors import model_actor
from pockethive.actors.letters import Mailbox
from pockethive.actors.model_actor import ModelActor, Pieces
from pockethive.actors.model_proxy import ModelProxy
from pockethive.actors.supervisor import ChildSpec, Supervisor
from pockethive.core.errors import ActorFailure, ContextOverflow, ModelError
from pockethive.core.ports import Model, ModelFacts, Sampling
from pockethive.inference.testing import ScriptedModel
from tests.actors.parrots import WAIT, Launch


class Touchy(ScriptedModel):
    """Fails when two threads are inside, or when a second thread ever comes."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()

    def count(self, text: str) -> int:
        self.threads.add(threading.current_thread().name)
        if text == "break":
            raise MemoryError("no room")
        return super().count(text)


class Endless(ScriptedModel):
    """Streams for ever; `closed` is set when it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = threading.Event()
        self.made = 0

    def stream(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        try:
            while True:
                self.made += 1
                yield "word "
        finally:
            self.closed.set()


class Breaking(ScriptedModel):
    def stream(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        yield "first"
        raise ContextOverflow(9, 8)


def test_the_proxy_answers_as_the_model_does(launch: Launch) -> None:
    direct = ScriptedModel({"sky": "the sky is blue"})
    actor = ModelActor(lambda: ScriptedModel({"sky": "the sky is blue"}))
    proxy: Model = ModelProxy(launch(actor), WAIT)
    sampling = Sampling(max_tokens=16)
    schema: dict[str, object] = {"type": "object", "properties": {}, "required": []}
    passage = "Grass is green. The sky is blue at noon."
    assert proxy.model_class == direct.model_class
    assert proxy.context == direct.context
    assert proxy.count("one two") == direct.count("one two")
    assert proxy.chat("be kind", "hello") == direct.chat("be kind", "hello")
    assert proxy.generate("sky?", sampling) == direct.generate("sky?", sampling)
    ids = direct.generate("sky?", sampling).ids
    assert proxy.rescore("sky?", ids, sampling) == direct.rescore("sky?", ids, sampling)
    assert list(proxy.stream("sky?", sampling)) == list(direct.stream("sky?", sampling))
    assert proxy.score("sky", ["sky", "sea"]) == direct.score("sky", ["sky", "sea"])
    assert proxy.constrain("x", schema, sampling) == direct.constrain("x", schema, sampling)
    asked, options = "When is the sky blue?", ["sky blue", "sea"]
    assert proxy.choose(asked, options, passage) == direct.choose(asked, options, passage)
    assert proxy.label(passage, options) == direct.label(passage, options)
    assert proxy.rank(asked, [passage, "no"]) == direct.rank(asked, [passage, "no"])
    assert proxy.extract(passage, asked) == direct.extract(passage, asked)
    assert proxy.fill(passage, {"sky": asked}) == direct.fill(passage, {"sky": asked})
    assert proxy.compress(passage, 20) == direct.compress(passage, 20)


def test_many_agents_use_the_model_on_one_thread_only(launch: Launch) -> None:
    model = Touchy()
    proxy = ModelProxy(launch(ModelActor(lambda: model), Mailbox("device/model")), WAIT)
    counts: list[int] = []
    agents = [
        threading.Thread(target=lambda: counts.append(proxy.count("one two three")))
        for _ in range(8)
    ]
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.join(WAIT)
    assert counts == [3] * 8
    assert model.threads == {"device/model"}


def test_the_model_is_loaded_when_it_is_first_asked(launch: Launch) -> None:
    loads: list[str] = []

    def load() -> Model:
        loads.append(threading.current_thread().name)
        return ScriptedModel()

    ref = launch(ModelActor(load), Mailbox("device/model"))
    assert loads == []
    proxy = ModelProxy(ref, WAIT)
    assert (proxy.count("one"), proxy.count("one two")) == (1, 2)
    assert loads == ["device/model"]


def test_a_models_errors_arrive_as_they_are(launch: Launch) -> None:
    proxy = ModelProxy(launch(ModelActor(lambda: ScriptedModel(context=2))), WAIT)
    with pytest.raises(ContextOverflow) as caught:
        proxy.generate("far too many words for this one", Sampling())
    assert caught.value.limit == 2
    assert proxy.count("still here") == 2


def test_an_unforeseen_error_becomes_a_model_error_and_the_model_is_loaded_anew(
    supervisor: Supervisor,
) -> None:
    loads: list[Touchy] = []

    def load() -> Model:
        loads.append(Touchy())
        return loads[-1]

    spec = ChildSpec(name="model", factory=lambda: ModelActor(load))
    proxy = ModelProxy(supervisor.start(spec), WAIT)
    with pytest.raises(ModelError, match="the model failed: MemoryError: no room") as caught:
        proxy.count("break")
    assert isinstance(caught.value.__cause__, MemoryError)
    assert proxy.count("well again") == 2
    assert len(loads) == 2


def test_a_model_that_cannot_be_loaded_is_an_error_of_the_asker(launch: Launch) -> None:
    def load() -> Model:
        raise FileNotFoundError("model.xml")

    proxy = ModelProxy(launch(ModelActor(load)), WAIT)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"FileNotFoundError: model\.xml"):
            proxy.count("one")


def test_closing_a_stream_stops_the_model(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_actor, "PATIENCE_SECONDS", 10 * WAIT)
    model = Endless()
    proxy = ModelProxy(launch(ModelActor(lambda: model)), WAIT)
    stream = proxy.stream("go", Sampling())
    assert [next(stream) for _ in range(3)] == ["word "] * 3
    assert isinstance(stream, Generator)
    stream.close()
    assert model.closed.wait(WAIT)
    assert proxy.count("free again") == 2


def test_a_stream_runs_ahead_of_its_reader_only_so_far(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_actor, "PATIENCE_SECONDS", 0.01)
    model = Endless()
    proxy = ModelProxy(launch(ModelActor(lambda: model)), WAIT)
    stream = proxy.stream("go", Sampling())
    next(stream)
    assert model.closed.wait(WAIT)  # the reader dawdles, others wait: the model is stopped
    assert model.made <= model_actor.PIECES_LIMIT + 2
    with pytest.raises(ActorFailure, match="nobody read the stream"):
        list(stream)
    assert proxy.count("free again") == 2


def test_an_error_in_the_middle_of_a_stream_comes_after_its_pieces(launch: Launch) -> None:
    stream = ModelProxy(launch(ModelActor(Breaking)), WAIT).stream("go", Sampling())
    assert next(stream) == "first"
    with pytest.raises(ContextOverflow):
        next(stream)


def test_an_unused_model_is_dropped_and_loaded_again_when_needed(launch: Launch) -> None:
    loads: list[int] = []
    dropped = threading.Event()

    class Watched(ModelActor):
        def on_idle(self) -> None:
            super().on_idle()
            dropped.set()

    def load() -> Model:
        loads.append(1)
        return ScriptedModel()

    proxy = ModelProxy(launch(Watched(load, idle_seconds=0.001)), WAIT)
    assert proxy.count("one") == 1
    dropped.clear()
    assert dropped.wait(WAIT)
    assert proxy.count("one two") == 2
    assert len(loads) == 2


def test_a_reader_that_has_gone_is_noticed() -> None:
    pieces = Pieces(limit=1)
    assert pieces.put("one")
    pieces.abandon()
    assert not pieces.put("two")
    pieces.end()
    assert pieces.take(0) is None


class Choir:
    """A model that does many things at once: each request takes so many steps as it has words."""

    def __init__(self) -> None:
        self.open: list[list[Any]] = []
        self.most = 0
        self.roles: list[str] = []
        self.until: list[float] = []
        self.works = self
        self.rested = threading.Event()

    def generate(self, prompt: str, sampling: Sampling, show: Any = None) -> tuple[str, Any]:
        return prompt, show

    def score(self, prompt: str, options: tuple[str, ...]) -> tuple[str, Any]:
        return prompt, None

    @property
    def under_way(self) -> int:
        return len(self.open)

    def begin(
        self,
        work: tuple[str, Any],
        done: Callable[[Any, BaseException | None], None],
        *,
        role: str = "",
        until: float = float("inf"),
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.roles.append(role)
        self.until.append(until)
        self.open.append([work[0].split(), work[1], done, wanted])
        self.most = max(self.most, len(self.open))

    def step(self) -> None:
        for request in list(self.open):
            words, show, done, wanted = request
            if not wanted():
                self.open.remove(request)
            elif not words:
                self.open.remove(request)
                done((-1.0,), None)
            elif words[0] == "break":
                self.fail(MemoryError("no room"))
                raise MemoryError("no room")
            elif words[0] == "refuse":
                self.open.remove(request)
                done(None, ContextOverflow(9, 8))
            elif words[0] != "wait":
                word = words.pop(0)
                if show is not None:
                    show(word)

    def fail(self, error: BaseException) -> None:
        left, self.open = self.open, []
        for _, _, done, _ in left:
            done(None, error)

    def rest(self) -> None:
        self.rested.set()

    def facts(self) -> ModelFacts:
        return ModelFacts(under_way=len(self.open), read=len(self.roles))


def singers(launch: Launch) -> tuple[ModelProxy, list[Choir]]:
    loads: list[Choir] = []

    def load() -> Any:
        loads.append(Choir())
        return loads[-1]

    return ModelProxy(launch(ModelActor(load), Mailbox("device/model")), WAIT), loads


def test_what_comes_while_the_model_is_at_work_is_begun_beside_it(launch: Launch) -> None:
    proxy, loads = singers(launch)
    began = time.monotonic()
    stream = proxy.of("writer").stream("one wait", Sampling())
    assert next(stream) == "one"  # and now it waits for ever, while others come and go
    assert proxy.of("chooser").score("one two three", ["x"]) == (-1.0,)
    with pytest.raises(ContextOverflow):
        proxy.score("refuse", ["x"])
    assert proxy.score("one", ["x"]) == (-1.0,)
    assert isinstance(stream, Generator)
    stream.close()
    assert proxy.score("", ["x"]) == (-1.0,)
    assert loads[0].most == 2
    assert loads[0].roles == ["writer", "chooser", "", "", ""]
    assert loads[0].until[0] == float("inf")  # each piece of a stream has a time limit of its own
    assert all(began < until <= time.monotonic() + WAIT for until in loads[0].until[1:])
    assert len(loads) == 1


def test_a_model_that_is_kept_is_told_when_nobody_has_asked_for_a_while(launch: Launch) -> None:
    choir: Any = Choir()
    actor = ModelActor(lambda: choir)
    actor.idle_seconds = 0.001
    proxy = ModelProxy(launch(actor), WAIT)
    assert proxy.score("one", ["x"]) == (-1.0,)
    assert choir.rested.wait(WAIT)
    assert proxy.score("two", ["x"]) == (-1.0,)


def test_how_the_model_is_used_is_told_while_it_works_and_that_it_has_gone(
    supervisor: Supervisor,
) -> None:
    told: list[ModelFacts | None] = []
    choir: Any = Choir()
    spec = ChildSpec(name="model", factory=lambda: ModelActor(lambda: choir, tell=told.append))
    proxy = ModelProxy(supervisor.start(spec), WAIT)
    stream = proxy.stream("one wait", Sampling())
    assert next(stream) == "one"
    assert proxy.score("two three", ["x"]) == (-1.0,)
    assert supervisor.stop(WAIT) == ()
    assert ModelFacts(under_way=2, read=2) in told
    assert told[-1] is None


def test_a_model_that_fails_at_work_fails_all_and_is_loaded_anew(launch: Launch) -> None:
    proxy, loads = singers(launch)
    stream = proxy.stream("one wait", Sampling())
    assert next(stream) == "one"
    with pytest.raises(ModelError, match="the model failed: MemoryError: no room"):
        proxy.score("break", ["x"])
    with pytest.raises(ModelError, match="MemoryError"):
        next(stream)
    assert proxy.score("one", ["x"]) == (-1.0,)
    assert len(loads) == 2


def test_who_waits_is_told_when_the_model_is_stopped_at_work(supervisor: Supervisor) -> None:
    model: Any = Choir()
    proxy = ModelProxy(
        supervisor.start(ChildSpec(name="model", factory=lambda: ModelActor(lambda: model))), WAIT
    )
    stream = proxy.stream("one wait", Sampling())
    assert next(stream) == "one"
    assert supervisor.stop(WAIT) == ()
    with pytest.raises(ActorFailure, match="has stopped"):
        next(stream)
    assert model.open == []
