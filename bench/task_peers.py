"""What a no-op node of a graph costs elsewhere: one framework in one process; prints JSON.

    python -m bench.task_peers FRAMEWORK chain|fan NODES

Imports are not counted, building the graph is. None of these is durable but `langgraph-sqlite`, and
none is signed, leased or verified: they are the floor, not the same service.
"""

import asyncio
import json
import operator
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

FRAMEWORKS = ("asyncio", "pykka", "dask", "langgraph", "langgraph-sqlite", "autogen-core")
LIMIT = 50  # steps that LangGraph allows beyond the nodes


def with_asyncio(shape: str, nodes: int) -> Callable[[], None]:
    """The floor: a task each."""

    async def node(value: int) -> int:
        return value + 1

    async def chain() -> None:
        value = 0
        for _ in range(nodes):
            value = await asyncio.create_task(node(value))

    async def fan() -> None:
        await asyncio.gather(*(asyncio.create_task(node(n)) for n in range(nodes)))

    return lambda: asyncio.run(chain() if shape == "chain" else fan())


def with_pykka(shape: str, nodes: int) -> Callable[[], None]:
    """Bare actors: a chain is a ring of eight, a fan goes to the same eight."""
    from pykka import ActorRegistry, ThreadingActor

    done = threading.Event()
    actors: list[Any] = []

    class Node(ThreadingActor):  # type: ignore[misc,unused-ignore]  # of another interpreter
        use_daemon_thread = True
        seen = 0

        def on_receive(self, message: Any) -> None:
            left = message - 1
            if left <= 0:
                done.set()
            elif shape == "chain":
                actors[left % len(actors)].tell(left)

    def run() -> None:
        actors.extend(Node.start() for _ in range(8))
        if shape == "chain":
            actors[0].tell(nodes)
        else:
            for number in range(nodes):
                actors[number % 8].tell(2)
            for actor in actors:
                actor.ask(2)
            done.set()
        done.wait(60)
        ActorRegistry.stop_all()

    return run


def with_dask(shape: str, nodes: int) -> Callable[[], None]:
    """`dask.get`, on the calling thread."""
    dask = import_module("dask")

    def node(*values: int) -> int:
        return len(values)

    graph: dict[str, Any] = {"n0": (node,)}
    for number in range(1, nodes):
        graph[f"n{number}"] = (node, f"n{number - 1}") if shape == "chain" else (node,)
    if shape == "fan":
        graph["join"] = (node, [f"n{number}" for number in range(nodes)])
    last = "join" if shape == "fan" else f"n{nodes - 1}"
    return lambda: dask.get(graph, last)


def with_langgraph(shape: str, nodes: int, *, saved: bool = False) -> Callable[[], None]:
    """A `StateGraph`; `saved`: with its SQLite saver, a checkpoint each step."""
    from typing import TypedDict

    framework = import_module("langgraph.graph")
    begin, end = framework.START, framework.END

    state = TypedDict("state", {"n": Annotated[int, operator.add]})  # noqa: UP013 - as its guide

    def run() -> None:
        graph = framework.StateGraph(state)
        for number in range(nodes):
            graph.add_node(f"n{number}", lambda _: {"n": 1})
        names = [f"n{number}" for number in range(nodes)]
        if shape == "chain":
            for before, name in zip([begin, *names], [*names, end], strict=True):
                graph.add_edge(before, name)
        else:
            graph.add_node("join", lambda _: {"n": 0})
            for name in names:
                graph.add_edge(begin, name)
            graph.add_edge(names, "join")
            graph.add_edge("join", end)
        config = {"recursion_limit": nodes + LIMIT, "configurable": {"thread_id": "1"}}
        if not saved:
            assert graph.compile().invoke({"n": 0}, config)["n"] == nodes
            return
        sqlite = import_module("langgraph.checkpoint.sqlite")
        with tempfile.TemporaryDirectory() as name:
            path = str(Path(name) / "saved.sqlite")
            with sqlite.SqliteSaver.from_conn_string(path) as saver:
                assert graph.compile(checkpointer=saver).invoke({"n": 0}, config)["n"] == nodes

    return run


def with_autogen(shape: str, nodes: int) -> Callable[[], None]:
    """A message each through the single-threaded runtime."""
    from dataclasses import dataclass

    autogen = import_module("autogen_core")

    @dataclass
    class Letter:
        number: int

    async def play() -> None:
        runtime = autogen.SingleThreadedAgentRuntime()

        class Echo(autogen.BaseAgent):  # type: ignore[misc,name-defined]
            async def on_message_impl(self, message: Any, ctx: Any) -> Any:
                return message

        await Echo.register(runtime, "echo", lambda: Echo("echo"))
        runtime.start()
        names = [autogen.AgentId("echo", str(number)) for number in range(8)]
        if shape == "chain":
            for number in range(nodes):
                await runtime.send_message(Letter(number), names[number % 8])
        else:
            sent = (runtime.send_message(Letter(n), names[n % 8]) for n in range(nodes))
            await asyncio.gather(*sent)
        await runtime.stop()

    return lambda: asyncio.run(play())


def main(framework: str, shape: str, nodes: str) -> int:
    """One measurement, after a smaller one that warms up."""
    makers: dict[str, Callable[[str, int], Callable[[], None]]] = {
        "asyncio": with_asyncio,
        "pykka": with_pykka,
        "dask": with_dask,
        "langgraph": with_langgraph,
        "langgraph-sqlite": lambda shape, nodes: with_langgraph(shape, nodes, saved=True),
        "autogen-core": with_autogen,
    }
    count = int(nodes)
    try:
        makers[framework](shape, 50)()
    except ImportError as error:
        print(f"{framework} is not installed here: {error}", file=sys.stderr)
        return 1
    run = makers[framework](shape, count)
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"run_us": cpu / count * 1e6, "wall_us": wall / count * 1e6}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
