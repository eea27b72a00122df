"""The faults apply to the current code, and the script reports the ones that survive."""

import os
import re
from pathlib import Path

import pytest

from .__main__ import main
from .faults import FAULTS
from .trial import HERE, Change, DoesNotApply, Fault, Outcome, Project, mutated, try_tests

THERE = ("tests/test_sum.py::test_sum",)
FINE = Change("sum.py", "return a + b", "return b + a")
WRONG = Change("sum.py", "return a + b", "return a - b")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_applies_to_the_code_of_today(fault: Fault) -> None:
    texts = mutated(HERE / "src", fault)
    assert all(text != (HERE / "src" / file).read_text() for file, text in texts.items())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_tests_that_should_notice_are_there(fault: Fault) -> None:
    assert fault.tests
    for test in fault.tests:
        file, _, name = test.partition("::")
        assert re.search(rf"^((async )?def|class) {name.partition('[')[0]}", (HERE / file).read_text(), re.MULTILINE), (
            test
        )


def test_no_two_faults_are_alike() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert len({fault.changes for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize(
    "change",
    [
        Change("sum.py", "return a * b", "return 1"),
        Change("sum.py", "a", "b"),
        Change("sum.py", "return a + b", "return ("),
        Change("product.py", "return a * b", "return 1"),
    ],
    ids=["not-there", "several-times", "no-python", "no-file"],
)
def test_what_does_not_apply_is_said(project: Project, change: Change) -> None:
    with pytest.raises(DoesNotApply):
        mutated(project.package, Fault("", (change,), THERE))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A package of one function with tests: one checks it, one does not, one waits for its result."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "__init__.py").touch()
    (tmp_path / "src" / "sum.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_sum.py").write_text(
        "from boxoffice.sum import add\n\n"
        "def test_sum():\n    assert add(2, 3) == 5\n\n"
        "def test_nothing():\n    add(2, 3)\n\n"
        "def test_wait():\n    while add(2, 3) != 5:\n        pass\n\n"
        "def test_wrong():\n    assert add(2, 3) == 6\n"
    )
    # pytest starts faster without plugins that it does not need.
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p xdist.plugin -p pytest_timeout\n")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return Project(root=tmp_path, package=tmp_path / "src", environment=environment, seconds=2)


class Tried:
    """Run the script on faults of the small package, and return its exit code and output."""

    def __init__(self, capsys: pytest.CaptureFixture[str], project: Project) -> None:
        self._capsys = capsys
        self._project = project

    def __call__(self, *faults: Fault, words: tuple[str, ...] = ()) -> tuple[int, str]:
        code = main(["--jobs", "2", *words], self._project, faults)
        return code, self._capsys.readouterr().out


@pytest.fixture
def tried(capsys: pytest.CaptureFixture[str], project: Project) -> Tried:
    return Tried(capsys, project)


@pytest.mark.slow
def test_only_a_test_that_ran_and_failed_has_caught_a_fault(tried: Tried) -> None:
    code, output = tried(
        Fault("caught", (WRONG,), THERE),
        Fault("survivor", (WRONG,), ("tests/test_sum.py::test_nothing",)),
        Fault("no import", (Change("sum.py", "def add", "import nothing\n\ndef add"),), THERE),
        Fault("no such name", (Change("sum.py", "return a + b", "return a + c"),), THERE),
        Fault("hangs", (WRONG,), ("tests/test_sum.py::test_wait",)),
        Fault("gone", (Change("sum.py", "return a * b", "return 0"),), THERE),
    )
    assert code == 1
    assert re.match(r"caught: caught by tests/test_sum.py::test_sum in \d+\.\d s\n", output)
    assert re.findall(r"^([a-z ]+): (caught|[A-Z]+)", output, re.MULTILINE) == [
        ("caught", "caught"),
        ("survivor", "SURVIVED"),
        ("no import", "BROKEN"),
        ("no such name", "BROKEN"),
        ("hangs", "HUNG"),
        ("gone", "BROKEN"),
    ]
    assert output.endswith("1 of 6 faults were caught.\n")


@pytest.mark.slow
def test_tests_that_fail_anyway_prove_nothing(tried: Tried) -> None:
    code, output = tried(Fault("wrong", (WRONG,), ("tests/test_sum.py::test_wrong",)))
    assert code == 1
    assert output.startswith("These tests fail without any fault")
    assert "caught" not in output


@pytest.mark.slow
def test_some_may_be_tried_by_their_names(tried: Tried) -> None:
    survivor = Fault("A survivor", (FINE,), THERE)
    assert tried(survivor, Fault("wrong", (WRONG,), THERE), words=("WRO",))[0] == 0
    assert tried(survivor, words=("other",)) == (2, "No fault has such a name.\n")


@pytest.mark.slow
def test_another_package_than_the_copy_is_not_tested(project: Project) -> None:
    (project.root / "elsewhere" / "boxoffice").mkdir(parents=True)
    (project.root / "elsewhere" / "boxoffice" / "__init__.py").touch()
    (project.root / "pytest.ini").write_text(
        "[pytest]\naddopts = -p xdist.plugin -p pytest_timeout\npythonpath = elsewhere\n"
    )
    verdict = try_tests(project, THERE, Fault("wrong", (WRONG,), THERE))
    assert verdict.outcome is Outcome.BROKEN
    assert "is tested, which is not below" in verdict.why
