"""Work begun ahead of being asked for."""

import itertools

from kerasmi.in_turn import in_turn


def test_tasks_are_begun_ahead_and_given_in_order():
    begun = []

    def begin(task):
        begun.append(task)
        return lambda: 10 * task

    results = in_turn(begin, itertools.count(), ahead=2)
    assert next(results) == 0
    assert begun == [0, 1, 2]
    assert next(results) == 10
    assert begun == [0, 1, 2, 3]


def test_all_of_few_tasks_are_given():
    assert list(in_turn(lambda task: lambda: task, range(2), ahead=5)) == [0, 1]
