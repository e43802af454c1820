"""Every golden case is marked with what it is for, and no mark lies.

``tests/data/golden_cases.json`` marks each case ``product``, ``reference``, both, or ``not used: reason``; ``pending``
stands beside a case whose method is still to come. What is marked ``product`` must be read by a test outside
``tests/reference/``, what is marked ``reference`` by one inside.
"""

import ast
import json
from functools import cache
from pathlib import Path

import pytest
from golden import DATA

TESTS = Path(__file__).parent
MARKS = json.loads((DATA / "golden_cases.json").read_text())
FLAT = [(method, case, mark) for method, marks in MARKS.items() for case, mark in marks.items()]


def case_ids(method: str) -> list[str]:
    """The ids of a golden file: those of a list of cases, or the sections of a file without one."""
    content = json.loads((DATA / f"{method}.json").read_text())
    return [case["id"] for case in content["cases"]] if "cases" in content else [k for k in content if k[0] != "_"]


def uses(mark: str) -> set[str]:
    return set() if mark.startswith("not used") else set(mark.split(", "))


@cache
def words(path: Path) -> tuple[set[str], set[str]]:
    """The literals of a test file, of an f-string its pieces; and those that it gives to ``startswith``."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    texts = {str(node.value).split("{")[0] for node in nodes if isinstance(node, ast.Constant)}
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "startswith"]
    return texts, {arg.value for call in calls for arg in call.args if isinstance(arg, ast.Constant)}


def names(path: Path, case: str) -> bool:
    """Whether a test file has the id of a case as a literal, all ids of a beginning, or a beginning and the rest."""
    texts, beginnings = words(path)

    def composed(rest: str) -> bool:
        return rest in texts or any(rest.startswith(f"{t}_") and composed(rest[len(t) + 1 :]) for t in texts if t)

    heads = [text for text in texts if len(text) > 1 and text.endswith("_") and case.startswith(text)]
    return case in texts or any(head in beginnings or composed(case[len(head) :]) for head in heads)


def readers(method: str, case: str) -> list[Path]:
    """The test files that name the golden file and the case."""
    paths = [path for path in sorted(TESTS.rglob("test_*.py")) if path != Path(__file__)]
    return [path for path in paths if method in words(path)[0] and names(path, case)]


def test_the_golden_files_are_here():
    assert set(MARKS) == {"gvsl", "alice", "s2dc"} <= {path.stem for path in DATA.glob("*.json")}


@pytest.mark.parametrize("method", MARKS)
def test_every_case_is_marked_and_every_mark_has_a_case(method):
    ids = case_ids(method)
    assert len(ids) == len(set(ids))
    assert set(MARKS[method]) == set(ids)


def test_marks_are_known_and_what_is_not_used_has_a_reason():
    for method, case, mark in FLAT:
        if uses(mark):
            assert uses(mark) <= {"product", "reference", "pending"} and uses(mark) != {"pending"}, (method, case, mark)
        else:
            assert len(mark.removeprefix("not used: ")) > 10 and mark.startswith("not used: "), (method, case, mark)


def test_every_mark_that_is_not_pending_has_its_test():
    lies = []
    for method, case, mark in FLAT:
        if "pending" not in uses(mark):
            places = {
                "reference" if TESTS / "reference" in path.parents else "product" for path in readers(method, case)
            }
            lies += [f"{method}: {case} has no test of the {use}" for use in sorted(uses(mark) - places)]
    assert not lies, "\n".join(lies)
