"""Random tables, faults and interrupts against the model of the truth in `tests/model`.

In CI the examples are the same each time. To look for more, ask for as many as there is time for::

    DICOMOVE_MODEL_EXAMPLES=5000 pytest tests/test_model.py

which are other ones each time; what fails is shrunk, printed, kept in ``.hypothesis`` and tried first the next time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, precondition, rule

from dicomove.run.attempt.inventory import Verify
from dicomove.testing import Synthetic, faults
from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault
from tests.model.every import keeps_its_promises
from tests.model.naming import BY, Named, find_named, keeps_to_what_is_named
from tests.model.run import Options, Press, Run, perform
from tests.model.search import finds_the_truth, search
from tests.model.table import NOTHING, Cell, Row
from tests.model.words import FIELDS, FIRST_KEY, KEYS, LEVELS, NUMBER_KEYS, RECEIVER, STORE
from tests.model.world import World, close_shared_receiver

_ASKED_FOR: Final = int(os.environ.get("DICOMOVE_MODEL_EXAMPLES", "0"))


def profile(examples: int, **more: Any) -> settings:
    """The same examples each time, or else as many others as were asked for."""
    return settings(
        max_examples=_ASKED_FOR or examples,
        derandomize=not _ASKED_FOR,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # Explaining a failure takes longer than to find it.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        **more,
    )


# To shrink a failure takes up to five minutes.
pytestmark = pytest.mark.timeout(400 + 3 * _ASKED_FOR)


@pytest.fixture(scope="module", autouse=True)
def receiver() -> Iterator[None]:
    """Ends the receiver of all worlds with the last of them."""
    yield
    close_shared_receiver()


# ------------------------------------------------------------------------------------------- what a PACS holds


@st.composite
def archives(draw: st.DrawFn) -> Synthetic:
    studies = draw(st.integers(3, 5))
    patients = draw(st.sampled_from([2, studies]))
    return Synthetic(
        studies=studies,
        series=draw(st.integers(1, 2)),
        instances=draw(st.integers(1, 3)),
        size=64,
        patients=patients,
        # All archives share a receiver, which remembers whose study a UID was.
        seed=10 * studies + patients,
    )


# ------------------------------------------------------------------------------------------- what goes wrong

_STATUSES: Final = st.sampled_from([0x0000, 0x0122, 0xA702, 0xA801, 0xA900, 0xB000, 0xC000, 0xFE00])
_RESPONSE: Final = st.integers(1, 3)
#: What a fault can be told, so that many of them fit into a minute; the others are as they come.
_ARGUMENTS: Final[Mapping[str, Mapping[str, st.SearchStrategy[Any]]]] = {
    **{name: {"status": _STATUSES} for name in ("answers", "answers-find", "final-status")},
    **{f"{what}-at-response": {"response": _RESPONSE} for what in ("aborts", "closes", "resets", "vanishes")},
    "dies": {"response": _RESPONSE, "back_after_s": st.sampled_from([0.05, None])},
    "limits-associations": {"limit": st.integers(1, 2)},
    "loses-instances": {"keep": st.sampled_from([0.0, 0.5])},
    "caps-find": {"most": st.integers(0, 1)},
    "latency": {"seconds": st.just(0.01)},
    "late-cancel": {"seconds": st.sampled_from([0.05, 0.6])},
    "pending-forever": {"interval_s": st.just(0.02)},
    "wrong-counts": {"completed": st.integers(-1, 1), "failed": st.integers(0, 1)},
    "some-fail": {"every": st.integers(1, 3)},
    "rejects-association": {"result": st.integers(1, 2)},
}
#: Nobody would ever hear of the end of these two together: what the one sends for ever, the other leaves out.
_NEVER_TOGETHER: Final = {"pending-forever", "no-pendings"}


@st.composite
def present_faults(draw: st.DrawFn, holds: Synthetic) -> tuple[Fault, ...]:
    """A few, most of them limited to some studies."""
    found = draw(st.lists(st.sampled_from(sorted(faults.BY_NAME)), min_size=1, max_size=3, unique=True))
    if set(found) >= _NEVER_TOGETHER:
        found.remove("no-pendings")
    return tuple(draw(_fault(name, holds)) for name in found)


@st.composite
def _fault(draw: st.DrawFn, name: str, holds: Synthetic) -> Fault:
    arguments = {key: draw(values) for key, values in _ARGUMENTS.get(name, {}).items()}
    studies = sorted({one.study_instance_uid for one in holds.instances_of_all()})
    some = st.lists(st.sampled_from(studies), min_size=1, max_size=2, unique=True).map(tuple)
    arguments["studies"] = draw(st.just(tuple(studies[:2])) | some | some | st.just(()))
    arguments["attempts"] = draw(st.sampled_from([None, None, 1, 2]))
    arguments["probability"] = draw(st.sampled_from([1.0, 1.0, 1.0, 0.5]))
    return faults.BY_NAME[name](**arguments)


# ------------------------------------------------------------------------------------------- tables

_BLANKS: Final = [Cell(blank, blank=True) for blank in ("", None, float("nan"), pd.NA, "  ", " \0")]
_UNSENDABLE: Final = [
    *map(Cell, ["*", "1.2.*", "1.2.?", "1.2\\1.3", "no UID", "1..2", ".1", "1.2.", "9" * 65, "1.2\n.3"]),
    *map(Cell, [["1.2", "1.3"], 7, 1.5, True]),
]
_UNSENDABLE_PATIENTS: Final = [*map(Cell, ["*", "SYN?", "A\\B", "A\tB", "X" * 65, 7, ["SYN000001"]])]
_UNKNOWN: Final = {"PatientID": Cell("NOBODY", "NOBODY"), **dict.fromkeys(KEYS[1:], Cell("1.2.3.4", "1.2.3.4"))}
_LEVEL_CELLS: Final = [
    *(Cell(word, level) for level in LEVELS for word in (level, level.lower(), f" {level.title()} ")),
    *map(Cell, ["INSTANCE", "STUDIES", 4]),
    *_BLANKS,
]
_HEADERS: Final = {
    "QueryRetrieveLevel": ["QueryRetrieveLevel", "query level", "(0008,0052)"],
    "PatientID": ["PatientID", "mrn", "patient_id"],
    "StudyInstanceUID": ["StudyInstanceUID", "study uid", "0020000D"],
    "SeriesInstanceUID": ["SeriesInstanceUID", "seriesinstanceuid"],
    "SOPInstanceUID": ["SOPInstanceUID", "sop_instance_uid"],
    **{name: [name] for name in NUMBER_KEYS.values()},
}


@dataclass(frozen=True)
class Cohort:
    """A table before it is one."""

    rows: tuple[Row, ...]
    headers: Mapping[str, str]
    index: pd.Index
    own: tuple[object, ...] = ()

    def table(self) -> pd.DataFrame:
        cells = {name: [row[name].raw for row in self.rows] for name in self.headers}
        columns = [pd.Series(values, name=self.headers[name]) for name, values in cells.items()]
        own = [pd.Series(range(len(self.rows)), name=name) for name in self.own]
        return pd.concat([*own[:1], *columns, *own[1:]], axis=1).set_index(self.index)


def row_of(instance: Instance, level: str, **changed: Cell) -> Row:
    """The row that names an instance, or what it belongs to."""
    deepest = LEVELS.index(level)
    named = {name: getattr(instance, field) for name, field in zip(KEYS, FIELDS, strict=True)}
    row = {name: Cell(value, value) for name, value in named.items()} | dict.fromkeys(KEYS[deepest + 1 :], NOTHING)
    return {"QueryRetrieveLevel": Cell(level, level), **row, **dict.fromkeys(NUMBER_KEYS.values(), NOTHING), **changed}


@st.composite
def _rows(draw: st.DrawFn, holds: Synthetic, chosen: Options) -> Row:
    """A row of something that is there, by its deepest key, in which a cell or two may be spoilt."""
    instances = list(holds.instances_of_all())
    top, asked_for = FIRST_KEY[chosen.query_model], LEVELS.index(chosen.level or "PATIENT")
    deepest = draw(st.sampled_from([number for number in (1, 2, 3, 3, 0) if number >= asked_for]))
    row = {**row_of(draw(st.sampled_from(instances)), LEVELS[deepest])}
    row |= dict.fromkeys(KEYS[deepest + 1 :], draw(st.sampled_from(_BLANKS)))
    row["QueryRetrieveLevel"] = draw(st.sampled_from([Cell(level, level) for level in LEVELS[: deepest + 1]]))
    for name in draw(_several([*KEYS[top : deepest + 1], "QueryRetrieveLevel"])):
        row[name] = draw(_spoilt(name, row[name], instances))
    return row | {name: draw(_numbers(row, level, instances)) for level, name in NUMBER_KEYS.items()}


def _several(names: Sequence[str]) -> st.SearchStrategy[list[str]]:
    """Mostly none of them, sometimes one or two."""
    return st.just([]) | st.just([]) | st.lists(st.sampled_from(names), max_size=2)


def _spoilt(name: str, cell: Cell, instances: Sequence[Instance]) -> st.SearchStrategy[Cell]:
    """The cell of another row, one that nobody knows, one between blanks, a blank, or one that cannot be sent."""
    if name == "QueryRetrieveLevel":
        return st.sampled_from(_LEVEL_CELLS)
    others = sorted({getattr(one, FIELDS[KEYS.index(name)]) for one in instances})
    padded = _padded(cell.value) if cell.value else cell
    return (
        st.sampled_from([*(Cell(value, value) for value in others), _UNKNOWN[name]])
        | st.sampled_from([padded, *_BLANKS])
        | st.sampled_from(_UNSENDABLE_PATIENTS if name == "PatientID" else _UNSENDABLE)
    )


def _padded(value: str) -> Cell:
    return Cell(f" {value}\0", value)


def _numbers(row: Row, level: str, instances: Sequence[Instance]) -> st.SearchStrategy[Cell]:
    """How many instances the table says that there are: as many as there are, or another number, or no number."""
    names = dict(zip(KEYS, FIELDS, strict=True))
    keys = [(names[name], row[name].value) for name in KEYS[: LEVELS.index(level) + 1]]
    there = sum(all(getattr(one, field) == value for field, value in keys) for one in instances)
    right = [Cell(there, str(there)), Cell(f"{there} ", str(there)), Cell(float(there), str(there))]
    wrong = [Cell(number, str(number)) for number in (0, there + 1, max(0, there - 1))]
    return st.sampled_from([*right, *right, *_BLANKS]) | st.sampled_from([*wrong, Cell("many"), Cell(-1)])


@st.composite
def cohorts(draw: st.DrawFn, holds: Synthetic, chosen: Options) -> Cohort:
    rows = draw(st.lists(_rows(holds, chosen), min_size=draw(st.sampled_from([1, 2, 3, 3, 4, 0])), max_size=7))
    rows += draw(st.lists(st.sampled_from(rows), max_size=3)) if rows else []
    rows = draw(st.permutations(rows))
    deepest = max(1, LEVELS.index(chosen.level or "STUDY"))
    needed = KEYS[FIRST_KEY[chosen.query_model] : deepest + 1]
    kept = {*needed} | draw(st.just({*KEYS}) | st.just({*_HEADERS}) | st.sets(st.sampled_from(sorted(_HEADERS))))
    # Without one of these, a table cannot be right.
    kept -= {draw(st.sampled_from(needed))} if draw(st.integers(0, 15)) == 15 else set()
    headers = {name: draw(st.sampled_from(words)) for name, words in _HEADERS.items() if name in kept}
    own = draw(st.sampled_from([(), ("arm",), ("note", "note"), ("outcome", 7), ("attempts", "total", "arm")]))
    read = tuple({name: cell for name, cell in row.items() if name in headers} for row in rows)
    return Cohort(read, headers, draw(indexes(len(rows))), own)


def indexes(size: int) -> st.SearchStrategy[pd.Index]:
    """Indexes as tables have them: also with labels that are repeated, missing, of several levels."""
    return st.sampled_from(
        [
            pd.RangeIndex(size),
            pd.RangeIndex(10, 10 + 3 * size, 3, name="case"),
            pd.Index(["a"] * size, dtype=object),
            pd.Index([[None, "b", 3][number % 3] for number in range(size)], dtype=object),
            pd.Index([float("nan")] * size, dtype=float),
            pd.MultiIndex.from_tuples([(f"site {number % 2}", number // 2) for number in range(size)] or [("", 0)])[
                :size
            ],
            pd.date_range("2024-01-01", periods=size, tz="UTC"),
        ]
    )


# ------------------------------------------------------------------------------------------- runs

presses = st.builds(Press, st.just("event"), st.integers(1, 40)) | st.builds(
    Press, st.just("line"), st.integers(1, 900)
)
levels = {
    "StudyRoot": st.sampled_from([None] * 6 + ["STUDY", "SERIES", "IMAGE"] * 2 + ["PATIENT"]),
    "PatientRoot": st.sampled_from([None, None, "PATIENT", "STUDY", "SERIES", "IMAGE"]),
}
plain_options = st.builds(
    Options,
    into=st.sampled_from([STORE, RECEIVER]),
    query_model=st.sampled_from(["StudyRoot", "StudyRoot", "PatientRoot"]),
    concurrency=st.integers(1, 3),
    delay=st.sampled_from([0, 0, 0.01]),
    verify=st.sampled_from(["auto", "auto", "counts", "instances", "arrivals"]),
    total_timeout=st.sampled_from([None, None, 20]),
)


@st.composite
def options(draw: st.DrawFn, present: Sequence[Fault], *, interrupted: bool) -> Options:
    chosen = draw(plain_options)
    pressed = draw(st.lists(presses, min_size=1, max_size=3)) if interrupted else []
    # What never ends by itself needs a limit.
    endless = any(fault.name == "pending-forever" for fault in present)
    limit = 1.5 if endless else chosen.total_timeout
    return replace(chosen, level=draw(levels[chosen.query_model]), total_timeout=limit, presses=tuple(pressed))


@dataclass(frozen=True)
class Scenario:
    """Everything that a run depends on."""

    holds: Synthetic
    faults: tuple[Fault, ...]
    seed: int
    cohort: Cohort
    options: Options


@st.composite
def scenarios(draw: st.DrawFn, *, interrupted: bool, faulty: bool = True) -> Scenario:
    holds = draw(archives())
    present = draw(present_faults(holds)) if faulty else ()
    chosen = draw(options(present, interrupted=interrupted))
    return Scenario(holds, present, draw(st.integers(0, 3)), draw(cohorts(holds, chosen)), chosen)


def play(scenario: Scenario) -> Run:
    with World(scenario.holds) as world:
        world.meets(scenario.faults, scenario.seed)
        run = perform(world, scenario.cohort.table(), scenario.cohort.rows, scenario.options)
        keeps_its_promises(run)
    return run


def tell(scenario: Scenario, run: Run) -> None:
    """What --hypothesis-show-statistics tells: whether the examples reach everything."""
    for fault in scenario.faults:
        event(f"fault {fault.name}")
    for outcome in {"refused"} if run.returned is None else set(run.result["outcome"]):
        event(f"outcome {outcome}")


# ------------------------------------------------------------------------------------------- one of each

HOLDS: Final = Synthetic(studies=4, series=2, instances=2, size=64, patients=2)
STUDIES: Final = list(dict.fromkeys(one.study_instance_uid for one in HOLDS.instances_of_all()))


def first_of(study: int) -> Instance:
    return next(one for one in HOLDS.instances_of_all() if one.study_instance_uid == STUDIES[study])


def plain_cohort(rows: Sequence[Row]) -> Cohort:
    return Cohort(tuple(rows), {name: name for name in rows[0]}, pd.RangeIndex(len(rows)))


@pytest.mark.parametrize("into", [STORE, RECEIVER])
@pytest.mark.parametrize("verify", ["auto", "counts", "instances", "arrivals"])
@pytest.mark.parametrize("query_model", ["StudyRoot", "PatientRoot"])
def test_every_kind_of_row(query_model: str, verify: Verify, into: str) -> None:
    whole = [row_of(first_of(0), level) for level in LEVELS]
    unknown = [row_of(first_of(1), level, **{name: _UNKNOWN[name]}) for level, name in zip(LEVELS, KEYS, strict=True)]
    unsendable = [
        row_of(first_of(2), level, **{name: cell})
        for level, name in zip(LEVELS, KEYS, strict=True)
        for cell in [*_BLANKS, *(_UNSENDABLE_PATIENTS if name == "PatientID" else _UNSENDABLE)]
    ]
    padded = [
        row_of(first_of(3), level, **{name: _padded(getattr(first_of(3), field))})
        for level, name, field in zip(LEVELS, KEYS, FIELDS, strict=True)
    ]
    leveled = [row_of(first_of(3), "IMAGE", QueryRetrieveLevel=cell) for cell in _LEVEL_CELLS]
    only_patient = [row_of(first_of(3), "PATIENT", QueryRetrieveLevel=NOTHING)]
    rows = [*whole, *unknown, *unsendable, *padded, *leveled, *only_patient, *whole]
    play(
        Scenario(HOLDS, (), 0, plain_cohort(rows), Options(into, query_model=query_model, verify=verify, concurrency=2))
    )


@pytest.mark.parametrize("into", [STORE, RECEIVER])
@pytest.mark.parametrize("name", sorted(faults.BY_NAME))
def test_each_fault_alone(name: str, into: str) -> None:
    """It concerns the first study; rows of others are between its rows, and after them."""
    fault = faults.BY_NAME[name](studies=(STUDIES[0],))
    wanted = [(0, "STUDY"), (1, "STUDY"), (0, "SERIES"), (2, "SERIES"), (3, "IMAGE"), (0, "STUDY")]
    rows = [row_of(first_of(study), level) for study, level in wanted]
    rows += [row_of(first_of(1), "STUDY", StudyInstanceUID=_UNKNOWN["StudyInstanceUID"])]
    options = Options(into, total_timeout=0.8 if name == "pending-forever" else None)
    play(Scenario(HOLDS, (fault,), 0, plain_cohort(rows), options))


def test_an_interrupt_reaches_the_pacs() -> None:
    rows = [row_of(first_of(study), "STUDY") for study in (0, 1)]
    slow = faults.Latency(seconds=0.4)
    # The third event is the first response: three more would come, and take longer than the interrupt does.
    run = play(Scenario(HOLDS, (slow,), 0, plain_cohort(rows), Options(presses=(Press("event", 3),))))
    assert run.result["outcome"].tolist() == ["cancelled", "not_attempted"]
    assert run.moves()[0].cancelled


# ------------------------------------------------------------------------------------------- at random


@profile(40)
@given(scenarios(interrupted=False, faulty=False))
def test_a_pacs_without_faults(scenario: Scenario) -> None:
    tell(scenario, play(scenario))


@profile(60)
@given(scenarios(interrupted=False))
def test_a_pacs_with_faults(scenario: Scenario) -> None:
    tell(scenario, play(scenario))


@profile(60)
@given(scenarios(interrupted=True))
def test_an_interrupt_at_any_moment(scenario: Scenario) -> None:
    tell(scenario, play(scenario))


_NAMES: Final = st.lists(st.sampled_from(BY), min_size=1, max_size=4, unique=True)


@st.composite
def named_rows(draw: st.DrawFn, holds: Synthetic) -> list[Named]:
    """Rows that name patients and studies by some of the keys: of those that are there, of one that is not, of two."""
    names = draw(_NAMES)
    instances = list(holds.instances_of_all())
    return draw(st.lists(_named_row(names, instances), min_size=1, max_size=4))


@st.composite
def _named_row(draw: st.DrawFn, names: Sequence[str], instances: Sequence[Instance]) -> Named:
    one, other = draw(st.sampled_from(instances)), draw(st.sampled_from(instances))
    row = {name: str(one.header[name].value) for name in names}
    if draw(st.integers(0, 3)) == 0:  # a column that was sorted by itself
        row |= {name: str(other.header[name].value) for name in names[:1]}
    cells = {name: Cell(value, value) for name, value in row.items()}
    for name in draw(_several(names)):
        cells[name] = draw(st.sampled_from([*_BLANKS, Cell(f" {row[name]} ", row[name])]))
    return cells


@profile(60)
@given(data=st.data(), holds=archives(), faulty=st.booleans(), partial_keys=st.sampled_from(["ask", "ask", "refuse"]))
def test_a_cohort_by_patient_accession_number_and_date(
    data: st.DataObject, holds: Synthetic, *, faulty: bool, partial_keys: str
) -> None:
    query_model = data.draw(st.sampled_from(["StudyRoot", "StudyRoot", "PatientRoot"]))
    level = data.draw(st.sampled_from(LEVELS if query_model == "PatientRoot" else LEVELS[1:]))
    with World(holds) as world:
        if faulty:
            world.meets(data.draw(present_faults(holds)))
        found = find_named(world, data.draw(named_rows(holds)), level, query_model, partial_keys)
        if found is not None:
            keeps_to_what_is_named(found)


@dataclass(frozen=True)
class Kept:
    """A table from an earlier run or search, and how it is read."""

    table: pd.DataFrame
    rows: Sequence[Row]
    level: str | None = None
    query_model: str = "StudyRoot"


class OnePacsForManyRuns(RuleBasedStateMachine):
    """One PACS through good and bad days, and tables that are moved until nothing is left."""

    tables = Bundle("tables")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()

    @initialize(holds=archives())
    def a_pacs_is_there(self, holds: Synthetic) -> None:
        self.holds = holds
        self.world = self._stack.enter_context(World(holds))

    @rule(data=st.data(), seed=st.integers(0, 3))
    def the_pacs_gets_faults(self, data: st.DataObject, seed: int) -> None:
        self.world.meets(data.draw(present_faults(self.holds)), seed)

    @precondition(lambda self: self.world.faults)
    @rule()
    def the_pacs_recovers(self) -> None:
        self.world.meets(())

    @rule(target=tables, data=st.data(), interrupted=st.booleans())
    def a_cohort_is_moved(self, data: st.DataObject, *, interrupted: bool) -> Any:
        chosen = data.draw(options(self.world.faults, interrupted=interrupted))
        cohort = data.draw(cohorts(self.holds, chosen))
        return self._moved(Kept(cohort.table(), cohort.rows, chosen.level, chosen.query_model), chosen)

    @rule(target=tables, kept=tables, data=st.data(), interrupted=st.booleans())
    def the_rest_is_moved_again(self, kept: Kept, data: st.DataObject, *, interrupted: bool) -> Any:
        return self._moved(kept, data.draw(options(self.world.faults, interrupted=interrupted)))

    @rule(target=tables, level=st.sampled_from(LEVELS[1:]), data=st.data())
    def studies_are_found(self, level: str, data: st.DataObject) -> Kept:
        there = sorted({one.study_instance_uid for one in self.world.archive.instances})
        uids = data.draw(st.lists(st.sampled_from([*there, "1.2.3.4"]), min_size=1, max_size=3))
        found = search(self.world, uids, level)
        finds_the_truth(found)
        return Kept(found.result, found.rows())

    def _moved(self, kept: Kept, chosen: Options) -> Any:
        """Move a table, and keep what is not complete of it."""
        run = perform(
            self.world, kept.table, kept.rows, replace(chosen, level=kept.level, query_model=kept.query_model)
        )
        keeps_its_promises(run)
        if run.returned is None:
            return multiple()
        left = run.result["outcome"] != "complete"
        rows = [row for row, is_left in zip(kept.rows, left, strict=True) if is_left]
        return replace(kept, table=run.result[left.to_numpy()], rows=rows)

    def teardown(self) -> None:
        self._stack.close()


class TestOnePacsForManyRuns(OnePacsForManyRuns.TestCase):  # type: ignore[misc,valid-type]  # made by hypothesis
    settings = profile(20, stateful_step_count=8)
