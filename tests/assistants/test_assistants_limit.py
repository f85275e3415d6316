"""The pace of calls against a simulated server with a hidden limit; time is simulated, nothing sleeps."""

import heapq
import random

import anyio
import pytest

from rrm.assistants.limit import Limited, Pace
from rrm.assistants.scripted import ScriptedAssistant
from rrm.core.errors import AssistantError, ConfigError
from rrm.core.protocols import Prompt, Reply


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TooMany(Exception):
    def __init__(self, retry_after: str | None = None) -> None:
        super().__init__("slow down")
        self.status_code = 429
        self.response = type("Response", (), {"headers": {"retry-after": retry_after} if retry_after else {}})()


def simulate(hidden: int, seconds: float, seed: int = 0) -> list[tuple[float, int]]:
    """Keep the pace's limit of calls running at a server that takes `hidden` at once; return (time, limit)."""
    clock, chance = Clock(), random.Random(seed)
    pace = Pace(highest=400, clock=clock)
    running: list[tuple[float, int, bool]] = []  # (end, number, accepted)
    history, number, accepted = [(0.0, pace.limit)], 0, 0
    while clock.now < seconds:
        while len(running) < pace.limit:
            number += 1
            taken = accepted < hidden
            accepted += taken
            heapq.heappush(running, (clock.now + (chance.uniform(0.5, 1.5) if taken else 0.05), number, taken))
        end, _, taken = heapq.heappop(running)
        clock.now = end
        if taken:
            pace.on_success(len(running) + 1)
            accepted -= 1
        else:
            pace.on_rate_limit()
        history.append((clock.now, pace.limit))
    return history


@pytest.mark.parametrize("hidden", [5, 12, 50, 120, 200])
def test_the_pace_settles_within_a_fifth_of_a_servers_hidden_limit_in_a_minute(hidden):
    limits = [limit for time, limit in simulate(hidden, 90.0) if time >= 60.0]
    low, high = 0.8 * hidden - 1, 1.2 * hidden + 1
    assert sum(low <= limit <= high for limit in limits) / len(limits) > 0.95
    assert low <= sum(limits) / len(limits) <= high


def test_a_burst_of_rate_limits_cuts_once_in_fifteen_seconds():
    clock = Clock()
    pace = Pace(start=50, clock=clock)
    for _ in range(40):
        pace.on_rate_limit()
    assert pace.limit == 40
    clock.now = 14.9
    pace.on_rate_limit()
    assert pace.limit == 40
    clock.now = 15.0
    pace.on_rate_limit()
    assert pace.limit == 32


def test_a_storm_of_server_faults_does_not_cut_but_stops_growth():
    pace = Pace(start=10)
    for _ in range(100):
        for _ in range(9):
            pace.on_success(10)
        pace.on_failure()
    assert pace.limit == 10


def test_clean_rounds_double_the_limit_up_to_the_highest():
    pace = Pace(start=10, highest=35)
    limits = []
    for _ in range(3):
        for _ in range(pace.limit):
            pace.on_success(pace.limit)
        limits.append(pace.limit)
    assert limits == [20, 35, 35]


def test_a_limit_that_is_not_in_use_does_not_grow():
    pace = Pace(start=10)
    for _ in range(100):
        pace.on_success(3)
    assert pace.limit == 10


def test_the_limit_never_falls_below_the_lowest():
    clock = Clock()
    pace = Pace(start=2, lowest=2, clock=clock)
    for _ in range(10):
        clock.now += 20
        pace.on_rate_limit()
    assert pace.limit == 2


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ConfigError):
        Pace(lowest=5, highest=4)


@pytest.mark.asyncio
async def test_new_calls_are_held_back_for_as_long_as_retry_after_says():
    clock = Clock()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds

    limited = Limited(ScriptedAssistant([TooMany("12"), "fine", "fine"]), Pace(clock=clock), sleep=sleep)
    with pytest.raises(TooMany):
        await limited.ask(Prompt("", ""))
    await limited.ask(Prompt("", ""))
    await limited.ask(Prompt("", ""))
    assert waits == [12.0]


@pytest.mark.asyncio
async def test_no_more_calls_run_at_once_than_the_limit_over_all_assistants_of_a_pace():
    pace = Pace(start=3, highest=3)
    running, most = 0, 0

    class Slow:
        name = "slow"

        async def ask(self, prompt: Prompt) -> Reply:
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            running -= 1
            return Reply("")

    assistants = [Limited(Slow(), pace), Limited(Slow(), pace)]
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(assistants[number % 2].ask, Prompt("", ""))
    assert most == 3


@pytest.mark.asyncio
async def test_a_turn_is_given_back_when_a_call_fails():
    limited = Limited(ScriptedAssistant([AssistantError("x")] * 5 + ["fine"]), Pace(start=1, highest=1))
    for _ in range(5):
        with pytest.raises(AssistantError):
            await limited.ask(Prompt("", ""))
    assert (await limited.ask(Prompt("", ""))).text == "fine"
