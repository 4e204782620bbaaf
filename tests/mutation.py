"""Change the code in small ways, and see whether a test fails: ``python tests/mutation.py [module ...]``.

mutmut makes the changes. All of them are in the code at once, and a name says which one is in force: so the tests are
collected once, and each change is tried in a fork, which takes a fraction of a second. ``--every=4`` tries a quarter of
all changes.

A change is noticed if a test fails. If the tests do not end in time, the change is too slow: it may loop for ever, or
the machine is busy. The score does not count it as noticed.
"""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import math
import mmap
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NoReturn, get_args

import libcst as cst
import pytest
from _pytest.doctest import DoctestItem
from mutmut.__main__ import create_mutants
from mutmut.configuration import config
from mutmut.mutation import mutators
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import (
    change_cwd,
    copy_also_copy_files,
    copy_src_dir,
    setup_source_paths,
    walk_mutatable_files,
)
from mutmut.utils.format_utils import mangled_name_from_mutant_name

#: The quick tests of each part; of the parts of a path, the first counts.
TESTS: Final = {
    "dicomove/cohort/asked_cells": ("cohort_asked_cells",),
    "dicomove/cohort/changes": ("cohort_changes", "run_shared_rows"),
    "dicomove/cohort/doubts": ("cohort_damage", "cohort_hints", "cohort_queries"),
    "dicomove/cohort/find_tables": ("cohort_find_tables", "verdicts"),
    "dicomove/cohort/files/header_rows": (
        "cohort_header_rows",
        "cohort_other_lines",
        "cohort_reading",
        "cohort_spreadsheets",
    ),
    "dicomove/cohort/files/stored_cells": ("cohort_stored_cells", "cohort_spreadsheets", "cohort_reading"),
    "dicomove/search/answers": ("cohort_queries", "search_answers"),
    "dicomove/search/": ("search_*", "find_spans"),
    "dicomove/cohort/": ("cohort_[!hrs]*",),
    "dicomove/outcome/": ("outcome*", "words"),
    "dicomove/words": ("words", "outcome*"),
    "dicomove/dimse/": ("dimse_*",),
    "dicomove/run/pacing/breaker": ("run_outages", "run_state"),
    "dicomove/receiver/": ("receiver_paths",),
    "dicomove/run/pacing/": ("pacing_*", "run_auto"),
    "dicomove/run/": ("run_[!eip]*", "run_estimates", "run_patients"),
}
#: These measure time, simulate hours, or see that mutmut is there.
LEFT_OUT: Final = (
    "test_a_hundred_thousand_rows_take_seconds",
    "test_a_backup_at_two_costs_little",
    "test_a_million_studies_take_at_most_twice_the_number_of_full_answers",
    "test_a_pacs_that_tells_nothing_until_a_study_has_come_is_measured_by_its_studies",
    "test_a_pacs_with_a_backup_gets_fewer_and_then_more_again",
    "test_busy_hours_and_weekends_are_learnt",
    "test_it_is_close_to_the_best_fixed_number_and_far_from_the_worst",
    "test_nothing_here_looks_at_a_clock_or_waits",
    "test_nothing_is_learnt_while_nothing_may_begin",
)
MIB: Final = 1 << 20
#: How long the further cases of the tests of one function may take.
LIMIT_S: Final = 1.5
#: A change may take several times as long as the unchanged code, and some seconds: CPU time, which a busy machine does
#: not lengthen much, and a longer time by the clock, for changes that wait for ever.
TIMES: Final = 4
MORE_S: Final = 8
CLOCK: Final = 5

#: How a trial of a change ends.
Ending = Literal["noticed", "survived", "too slow"]


def is_sentence(node: cst.CSTNode) -> bool:
    """Tell whether a node is a text of three words or more, or a choice between such texts."""
    if isinstance(node, cst.ConcatenatedString):
        return is_sentence(node.left) or is_sentence(node.right)
    if isinstance(node, cst.IfExp):
        arms = (node.body, node.orelse)
        return any(map(is_sentence, arms)) and all(isinstance(arm, cst.BaseString) for arm in arms)
    if isinstance(node, cst.FormattedString):
        text = "".join(part.value if isinstance(part, cst.FormattedStringText) else "x" for part in node.parts)
    elif isinstance(node, cst.SimpleString):
        text = str(node.raw_value)
    else:
        return False
    return len(text.split()) > 2


def is_strict(node: cst.CSTNode) -> bool:
    """Tell whether a node is ``strict=True``, which guards against our own mistakes."""
    return isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value == "strict"


def arguments(node: cst.Call) -> Iterator[cst.Call]:
    """Leave out each argument."""
    for place, argument in enumerate(node.args):
        if len(node.args) > 1 and not is_strict(argument):
            yield node.with_changes(args=[*node.args[:place], *node.args[place + 1 :]])


def texts(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """Change a text in one way: mutmut's further ways, capitals and small letters, find nothing more."""
    return list(mutators.operator_string(node))[:1]


def set_up() -> None:
    """Tell mutmut what to leave alone: sentences, and None in the place of a value, which mypy would refuse."""
    instead: dict[Callable[..., object], Callable[..., object]] = {
        mutators.operator_arg_removal: arguments,
        mutators.operator_string: texts,
    }
    mutators.mutation_operators[:] = [
        (kind, instead.get(way, way))
        for kind, way in mutators.mutation_operators
        if way is not mutators.operator_assignment
    ]
    skips = MutationVisitor._skip_node_and_children
    MutationVisitor._skip_node_and_children = lambda self, node: (
        is_sentence(node) or is_strict(node) or skips(self, node)
    )


def make_mutants(modules: Iterable[str]) -> list[SourceFileMutationData]:
    """Write the changed code to ``mutants/``, and return what can be tried of the modules."""
    every = sorted(map(str, walk_mutatable_files()))
    paths = list(dict.fromkeys(path for module in modules for path in every if module in path))
    config().only_mutate = paths
    shutil.rmtree("mutants", ignore_errors=True)
    Path("mutants").mkdir()
    with contextlib.redirect_stdout(io.StringIO()):
        copy_src_dir()
        copy_also_copy_files()
        setup_source_paths()
        create_mutants(1)
    found = [SourceFileMutationData(path=Path(path)) for path in paths]
    for data in found:
        data.load()
    return found


class Trial:
    """A plugin of pytest that does not run the tests once, but as often as there are changes to try."""

    def __init__(self, mutated: Sequence[SourceFileMutationData], names: Collection[str], every: int) -> None:
        self.mutated, self.names, self.every = mutated, names, every
        self.ended: Counter[tuple[str, Ending]] = Counter()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # Each change is a copy of a function, and so of the examples in its docstring.
        names = {item: item.name.partition("[")[0] for item in items}
        items[:] = [item for item, name in names.items() if name not in LEFT_OUT and "__mutmut_" not in name]
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)  # `try_change` has the limit

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        do_not_shrink(session.items)
        tests, seconds = calls(session)
        gc.freeze()
        for data in self.mutated:
            path = str(data.path)
            for name in itertools.islice(filter(self.is_wanted, data.exit_code_by_key), 0, None, self.every):
                ending = try_change(session, name, tests[mangled_name_from_mutant_name(name)], seconds)
                self.ended.update([(path, ending), ("all", ending)])
                if ending != "noticed":
                    print(f"\n{name}: {ending}\n{diff(name, data)}", flush=True)
            print(self.score(path), flush=True)
        if len(self.mutated) > 1:
            print(self.score("all"))
        return True

    def is_wanted(self, name: str) -> bool:
        """Tell whether a change is to be tried."""
        return not self.names or name in self.names

    def score(self, path: str) -> str:
        """Return how many changes were seen, as a line of text."""
        noticed, survived, slow = (self.ended[path, ending] for ending in get_args(Ending))
        tried = noticed + survived + slow
        return f"{noticed / max(1, tried):7.1%} {noticed:5} of {tried:5}, {slow:3} too slow  {path}"


def diff(name: str, data: SourceFileMutationData) -> str:
    """Return what is changed."""
    with change_cwd(".."):
        return str(get_diff_for_mutant(name, path=data.path))


def do_not_shrink(items: Iterable[pytest.Item]) -> None:
    """Let property tests end with the first example that fails."""
    from hypothesis import Phase, settings  # pytest wants to be the first to import it

    for item in items:
        test = getattr(item, "obj", None)
        name = "_hypothesis_internal_use_settings"
        if hasattr(test, name):
            setattr(test, name, settings(getattr(test, name), phases=[Phase.explicit, Phase.generate]))


def calls(session: pytest.Session) -> tuple[dict[str, list[int]], list[float]]:
    """Return the numbers of the tests that call each function, and the CPU time of each test.

    First come those that are likely to see a change. The further cases of a test come after the first cases of all:
    they often see the same changes.
    """
    tests: defaultdict[str, list[tuple[bool, float, int]]] = defaultdict(list)
    first: dict[str, int] = {}
    seconds: list[float] = []
    set_mutant_under_test("stats")
    for number, item in enumerate(session.items):
        state()._stats.clear()
        began = time.process_time()
        if run(session, [item]) is not None:
            give_up(f"{item.nodeid} fails although nothing was changed")
        seconds.append(time.process_time() - began)
        test = item.nodeid.partition("[")[0]
        for function in state()._stats:
            tests[function].append((test in first, seconds[-1], number))
        first.setdefault(test, number)
    set_mutant_under_test("")
    if (ending := try_change(session, "", list(first.values()), seconds)) != "survived":
        give_up(f"all tests, once more: a change is {ending}, although nothing was changed")
    return defaultdict(list, {name: within_limit(sorted(found)) for name, found in tests.items()}), seconds


def give_up(why: str) -> NoReturn:
    """End without a score. pytest itself is silent here."""
    print(why, flush=True)
    pytest.exit(why, 1)


def within_limit(tests: Sequence[tuple[bool, float, int]]) -> list[int]:
    """Return the numbers of the tests that are tried: all first cases, and further ones while there is time."""
    spent = itertools.accumulate(seconds * is_further for is_further, seconds, _ in tests)
    return [number for (is_further, _, number), s in zip(tests, spent, strict=True) if not is_further or s < LIMIT_S]


def run(session: pytest.Session, items: Sequence[pytest.Item]) -> int | None:
    """Run tests up to the first that fails, and return its place."""
    for place, (item, after) in enumerate(zip(items, [*items[1:], None], strict=True)):
        names = dict(item.dtest.globs) if isinstance(item, DoctestItem) else {}
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if isinstance(item, DoctestItem):
            item.dtest.globs.update(names)  # doctest forgets them, and the item is run again
        if session.testsfailed:
            return place
    return None


def try_change(session: pytest.Session, name: str, tests: list[int], seconds: Sequence[float]) -> Ending:
    """Try one change in a fork. A test that sees it is the first to look at the next change of the same function."""
    place = mmap.mmap(-1, 4)
    longest = MORE_S + math.ceil(TIMES * sum(seconds[number] for number in tests))
    process = os.fork()
    if not process:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (longest, longest))
        resource.setrlimit(resource.RLIMIT_AS, (8192 * MIB, 8192 * MIB))
        set_mutant_under_test(name)
        code = 1
        try:
            failed = run(session, [session.items[number] for number in tests])
            place[:] = (failed or 0).to_bytes(4, "little")
            code = failed is not None
        finally:
            os._exit(code)
    ended = os.pidfd_open(process)
    if not select.select([ended], [], [], CLOCK * longest)[0]:
        signal.pidfd_send_signal(ended, signal.SIGKILL)
    os.close(ended)
    status = os.waitpid(process, 0)[1]
    if tests:
        tests.insert(0, tests.pop(int.from_bytes(place[:], "little")))
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU):
        return "too slow"
    return "noticed" if status else "survived"


def tests_for(paths: Iterable[str]) -> list[str]:
    """Return the files with the tests of these modules."""
    parts = {next(part for part in TESTS if path.startswith(part)) for path in paths}
    return sorted(
        {str(found) for part in parts for name in TESTS[part] for found in Path().glob(f"tests/test_{name}.py")}
    )


def main(arguments: Sequence[str]) -> None:
    """Try the changes of modules, such as ``cohort`` or ``run/schedule``, or of all; or the changes of these names."""
    os.nice(10)
    set_up()
    every = next((int(option.partition("=")[2]) for option in arguments if option.startswith("--every=")), 1)
    arguments = [argument for argument in arguments if not argument.startswith("--")]
    names = frozenset(name for name in arguments if "__mutmut_" in name)
    modules = [name.rpartition(".")[0].replace(".", "/") + ".py" if name in names else name for name in arguments]
    mutated = make_mutants(modules or ("",))
    paths = [str(data.path) for data in mutated]
    trial = Trial(mutated, names, every)
    options = ["-s", "-pno:terminal", "-pno:cacheprovider"]
    with change_cwd("mutants"):
        sys.exit(pytest.main([*options, *tests_for(paths), *paths], plugins=[trial]))


if __name__ == "__main__":
    main(sys.argv[1:])
