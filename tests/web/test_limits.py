"""Rate limits: counted by name and key within a minute, in bounded memory."""

import threading

import pytest

from rrm.web.limits import Limits, address_key


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_as_many_as_allowed_pass_within_a_minute_and_the_next_is_told_how_long_to_wait() -> None:
    clock = Clock()
    limits = Limits(clock)
    assert [limits.take("x", "a", 3) for _ in range(3)] == [0, 0, 0]
    clock.now += 20.5
    assert limits.take("x", "a", 3) == 40  # 39.5 seconds, in whole ones
    clock.now += 39.5
    assert limits.take("x", "a", 3) == 0


def test_keys_and_names_are_counted_apart() -> None:
    limits = Limits(Clock())
    assert limits.take("x", "a", 1) == 0
    assert limits.take("x", "b", 1) == 0
    assert limits.take("y", "a", 1) == 0
    assert limits.take("x", "a", 1) == 60


def test_what_is_given_back_is_not_counted() -> None:
    limits = Limits(Clock())
    for _ in range(10):
        assert limits.take("x", "a", 2) == 0
        limits.give_back("x", "a")
    limits.give_back("x", "never seen")
    assert [limits.take("x", "a", 2) for _ in range(3)] == [0, 0, 60]


def test_memory_is_bounded_and_the_key_counted_longest_ago_is_forgotten() -> None:
    limits = Limits(Clock(), most_keys=100)
    for number in range(1000):
        limits.take("x", str(number), 1)
    assert len(limits) == 100
    assert limits.take("x", "999", 1) == 60
    assert limits.take("x", "0", 1) == 0


def test_threads_together_get_no_more_than_is_allowed() -> None:
    limits = Limits(Clock())
    passed: list[int] = []

    def take() -> None:
        passed.extend(limits.take("x", "a", 100) for _ in range(200))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed.count(0) == 100


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "testclient"),
    ],
)
def test_an_ipv6_host_is_counted_by_the_first_half_of_its_address(address: str, key: str) -> None:
    assert address_key(address) == key
