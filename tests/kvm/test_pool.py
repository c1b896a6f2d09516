"""Machines made beforehand."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pykvm import Machine, MachinePool, StopReason
from pykvm.errors import ImageError, MachineError, PykvmError
from tests.support.leaks import nothing_left_behind
from tests.support.waiting import PATIENCE

GREET = bytes.fromhex(
    "b0 21"  # mov al, '!'
    "ba f8 03"  # mov dx, 0x3f8
    "ee"  # out dx, al
    "f4"  # hlt
)


def make_pool(size: int = 2, pause: float = 0.0, **machine: Any) -> MachinePool:
    return MachinePool(size, GREET, pause=pause, memory="64K", irqchip="none", **machine)


def test_a_machine_is_made_and_loaded() -> None:
    with make_pool() as pool, pool.take(PATIENCE) as machine:
        assert machine.run(timeout=PATIENCE).reason is StopReason.HALTED
        assert machine.output == b"!"


def test_each_is_another_machine_and_more_are_made_than_there_is_room_for() -> None:
    with make_pool(2) as pool:
        machines = [pool.take(PATIENCE) for _ in range(7)]
        assert len({id(machine) for machine in machines}) == 7
        for machine in machines:
            assert machine.run(timeout=PATIENCE).reason is StopReason.HALTED
            assert machine.output == b"!"
            machine.close()


def test_it_fills_up_and_no_further() -> None:
    made: list[Machine] = []
    with make_pool(3, prepare=made.append) as pool:
        assert pool.wait_until_full(PATIENCE)
        assert pool.ready == len(made) == 3
        pool.take(PATIENCE).close()
        assert pool.wait_until_full(PATIENCE)
        assert pool.ready == 3
        assert len(made) == 4


def test_nothing_is_made_while_machines_are_taken() -> None:
    made: list[Machine] = []
    with make_pool(2, pause=2 * PATIENCE, prepare=made.append) as pool:
        assert not pool.wait_until_full(0.0)
        assert len(made) == 1
        pool.take().close()
        # there is none left: the next one does not wait for the pause
        pool.take(PATIENCE).close()
        assert len(made) >= 2


def test_all_is_closed_but_what_was_taken() -> None:
    with nothing_left_behind():
        made: list[Machine] = []
        pool = make_pool(3, prepare=made.append)
        taken = pool.take(PATIENCE)
        pool.wait_until_full(PATIENCE)
        pool.close()
        pool.close()
        assert taken.run(timeout=PATIENCE).reason is StopReason.HALTED
        taken.load(GREET)
        assert taken.run(timeout=PATIENCE).reason is StopReason.HALTED
        taken.close()
        for machine in made:
            with pytest.raises(ValueError, match="closed"):
                machine.run()
        with pytest.raises(ValueError, match="the pool is closed"):
            pool.take()
        with pytest.raises(ValueError, match="the pool is closed"):
            pool.wait_until_full()


def test_mistakes_are_said_at_once() -> None:
    with nothing_left_behind():
        with pytest.raises(ImageError):
            MachinePool(1, "/nonexistent/image")
        with pytest.raises(MachineError):
            MachinePool(1, GREET, irqchip="nonsense")
        with pytest.raises(ValueError, match="a pool of 0 machines"):
            MachinePool(0, GREET)
        with pytest.raises(ValueError, match="a pause of -1 seconds"):
            MachinePool(1, GREET, pause=-1)


def test_a_failure_in_the_thread_reaches_who_takes_and_is_tried_again() -> None:
    failures = iter([None, PykvmError("this once"), None, None])

    def prepare(machine: Machine) -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure

    with nothing_left_behind(), make_pool(1, prepare=prepare) as pool:
        pool.take(PATIENCE).close()
        with pytest.raises(PykvmError, match="this once"):
            pool.take(PATIENCE)
        pool.take(PATIENCE).close()


def test_a_take_that_waits_ends_when_the_pool_is_closed() -> None:
    enter, leave = threading.Event(), threading.Event()
    made: list[Machine] = []

    def prepare(machine: Machine) -> None:
        made.append(machine)
        if len(made) == 2:
            enter.set()
            assert leave.wait(PATIENCE)

    ends: list[str] = []

    def take() -> None:
        try:
            pool.take(PATIENCE)
        except ValueError as error:
            ends.append(str(error))

    with nothing_left_behind():
        pool = make_pool(1, prepare=prepare)
        pool.take(PATIENCE).close()
        assert enter.wait(PATIENCE)
        with pytest.raises(TimeoutError, match="within 0 s"):
            pool.take(0)
        taker = threading.Thread(target=take)
        closer = threading.Thread(target=pool.close)
        taker.start()
        closer.start()
        taker.join(PATIENCE)
        leave.set()
        closer.join(PATIENCE)
        assert ends == ["the pool is closed"]
