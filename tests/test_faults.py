"""The table of docs/reliability.md, and one round of the harness that breaks things."""

import ast
from pathlib import Path

import pytest

from tests.faults import TRIALS, break_things, rows

ROOT = Path(__file__).parents[1]


def test_every_promise_has_a_number_and_tests_that_exist() -> None:
    table = rows()
    assert [number for number, _, _ in table] == list(range(1, 21))
    for number, _, tests in table:
        assert tests, f"promise {number} has no test"
        for test in tests:
            file, _, name = test.partition("::")
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert any(each.startswith("test_") for each in functions)
            assert not name or name in functions, f"{test} does not exist"


@pytest.mark.parametrize("number", sorted(TRIALS))
def test_one_round_of_random_faults_breaks_no_promise(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.TRIALS", {number: TRIALS[number]})
    passed, failed = break_things(20261126, 1)
    assert failed == [] and passed[number] == len(TRIALS[number])
