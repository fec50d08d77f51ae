"""Devices that die, swarms side by side, and input that cannot be used."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from pykka import ActorRegistry, ThreadingActor

from pockethive import Result, Swarm
from pockethive.core.report import Happening
from tests.acceptance.village import Village

pytestmark = pytest.mark.processes

GOAL = "What does the bakery sell every Tuesday and Friday?"


def swarm_of(village: Village, timeout: int = 60) -> Swarm:
    return Swarm.from_yaml(
        village.team, documents=village.folders, home=village.home, timeout=timeout
    )


def test_a_killed_device_leaves_a_partial_answer_and_is_named(village: Village) -> None:
    victims: list[str] = []
    with swarm_of(village) as swarm:

        def kill_the_first_worker(seen: Happening) -> None:
            if not victims and seen.what == "offered" and seen.device is not None:
                victims.append(seen.device)
                os.kill(swarm.process_of(seen.device), signal.SIGKILL)

        swarm.device.subscribe(kill_the_first_worker)
        result = swarm.run_sync(GOAL)

    assert victims
    assert result.status == "partial"
    assert [missing.task for missing in result.missing] == [
        task.name for task in result.tasks if task.status != "committed"
    ]
    assert len(result.missing) == 1
    assert result.missing[0].task.startswith("research-")
    assert result.answer


def test_a_time_limit_ends_a_run_that_no_device_can_work_on(village: Village) -> None:
    with swarm_of(village, timeout=4) as swarm:
        for pid in swarm.processes:
            os.kill(pid, signal.SIGSTOP)
        result = swarm.run_sync(GOAL)
        for pid in swarm.processes:
            os.kill(pid, signal.SIGCONT)

    assert result.status == "failed"
    assert result.timed_out


class Foreign(ThreadingActor):
    """An actor of the service that embeds us."""

    def on_receive(self, message: object) -> object:
        return message


async def test_two_swarms_live_in_one_service_and_touch_nothing_of_it(village: Village) -> None:
    foreign = Foreign.start()
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    signals = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    policy = asyncio.get_event_loop_policy()

    async with swarm_of(village) as first:
        async with swarm_of(village) as second:
            results = list(await asyncio.gather(first.run(GOAL), second.run(GOAL)))
            going = asyncio.create_task(first.run(GOAL))
        # The second has stopped in the middle of a run of the first.
        assert foreign.ask("still there", timeout=5) == "still there"
        results.append(await going)

    assert [result.status for result in results] == ["completed"] * 3
    assert len({result.run_id for result in results}) == 3
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == signals
    assert asyncio.get_event_loop_policy() is policy
    assert ActorRegistry.get_all() == [foreign]
    foreign.stop()


async def test_a_stream_tells_what_happens_and_ends_with_the_result(village: Village) -> None:
    async with swarm_of(village) as swarm:
        seen = [item async for item in swarm.stream(GOAL)]

    assert isinstance(seen[-1], Result)
    told = [item.what for item in seen if isinstance(item, Happening)]
    assert told.index("planned") < told.index("claimed") < told.index("committed")


async def test_cancelling_the_waiting_task_cancels_the_run(village: Village) -> None:
    async with swarm_of(village) as swarm:
        claimed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def saw(happening: Happening) -> None:
            if happening.what == "claimed":
                loop.call_soon_threadsafe(claimed.set)

        swarm.device.subscribe(saw)
        run = asyncio.ensure_future(swarm.run(GOAL))
        await asyncio.wait_for(claimed.wait(), 30)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        again = await swarm.run(GOAL)
    assert again.status == "completed"


def refused(village: Village, *args: str) -> str:
    """What a command says that must end with 2, in one line, without a traceback."""
    done = subprocess.run(
        village.command(*args), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("pockethive: ")
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "{team}", ""], "the goal is empty"),
        (["run", "{team}", "x", "--documents", "{tmp}/nowhere"], "nowhere"),
        (["run", "{team}", "x", "--documents", "{tmp}/empty"], "empty"),
        (["run", "{team}", "x", "--documents", "{tmp}/picture.png"], "picture.png"),
        (["run", "{team}", "x"], "documents"),
        (["run", "{tmp}/missing.yaml", "x"], "missing.yaml"),
        (["run", "reserch", "x"], "research"),
        (["run", "{tmp}/cycle.yaml", "x"], "cycle"),
        (["run", "{tmp}/role.yaml", "x"], "role.yaml:"),
        (["run", "{tmp}/model.yaml", "x", "--documents", "{tmp}/harbour"], "no-such-model"),
        (["run", "{team}", "x", "--join", "nonsense"], "nonsense"),
        (["run", "{team}", "x", "--devices", "-1"], "-1 devices"),
        (["run", "{team}", "x", "--timeout", "0"], "time limit"),
        (["node", "--listen", "nonsense"], "nonsense"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value)[:40],
)
def test_bad_input_is_one_clear_sentence(village: Village, args: list[str], said: str) -> None:
    folder = village.home.parent
    (folder / "empty").mkdir()
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    team = village.team.read_text()
    (folder / "cycle.yaml").write_text(team.replace("each: devices", "after: answer"))
    (folder / "role.yaml").write_text(team.replace("role: reasoner", "role: reasonr"))
    (folder / "model.yaml").write_text(team.replace("model: scripted", "model: no-such-model"))
    filled = [part.format(team=village.team, tmp=folder) for part in args]
    assert said in refused(village, *filled)


def test_a_taken_port_is_named(village: Village) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = subprocess.run(
            village.command("node", "--listen", f"127.0.0.1:{port}"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {port} is taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_that_is_none_is_refused(village: Village, tmp_path: Path) -> None:
    assert "is no key" in refused_get(village)
    assert not (tmp_path / "home").exists()


def refused_get(village: Village) -> str:
    command = village.command("get", "two\nlines", "--join", "A" * 43 + "@127.0.0.1:9")
    done = subprocess.run(
        command[: command.index("--home")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    return done.stderr
