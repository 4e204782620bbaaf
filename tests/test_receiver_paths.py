from __future__ import annotations

import hashlib
import re
from itertools import product
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dicomove.receiver.own_paths import fits
from dicomove.receiver.paths import DEFAULT_PATH, PathTemplate, safe, with_checksum

often = settings(
    derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck), database=None
)
DEVICES = ["CON", "con", "Nul", "PRN", "AUX", "COM1", "lpt9", "NUL.txt", "con.tar.gz"]
NASTY = [
    *(
        "",
        ".",
        "..",
        "../x",
        "/etc/passwd",
        "\\\\server\\share",
        "C:",
        "a:b",
        "a\0b",
        "\0",
        " ",
        "a ",
        "a.",
        ".a",
        "~",
        "a~b",
    ),
    *(
        "x" * 64,
        "x" * 65,
        "x" * 300,
        "ä",
        "山" * 100,
        "\ud800",
        "e\u0301",
        "\u202etxt",
        "a\nb",
        "*",
        "?",
        '"',
        "<>|",
        "{x}",
    ),
    *DEVICES,
]
texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(exclude_categories=[]), max_size=80),
    st.text("aA.-_~1 ", max_size=6),
)
uids = st.one_of(st.text("12.", min_size=1, max_size=5), texts)
TEMPLATES = [
    DEFAULT_PATH,
    "{SOPInstanceUID}",
    "{PatientID}/{StudyDate}/{Modality}.{SeriesNumber}/{SOPInstanceUID}.dcm",
    "sub-{PatientID}/{SOPInstanceUID}_{InstanceNumber}{Modality}.dcm",
    "{PatientID}{Modality}-{SOPInstanceUID}.dcm",
    "{PatientID}_{StudyDate}_{Modality}_{StudyID}_{SOPInstanceUID}.dcm",
    "{Modality}{InstanceNumber}/{SOPInstanceUID}/image.dcm",
    "{SOPInstanceUID}_{SOPInstanceUID}/{PatientName}",
    "{PatientID}{SOPInstanceUID}/{SOPInstanceUID}",
]


def assert_safe(component: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._~=+-]+", component)
    assert len(component.encode()) <= 200
    assert not component.startswith(".")
    assert not component.endswith(".")
    assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", component, re.IGNORECASE)
    assert not PureWindowsPath(component).is_reserved()
    assert PureWindowsPath(component).parts == (component,)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["PAT-0001", "1.2.840.10008", "000123", "_x", "-x", "x", "x" * 64, "CONTRAST", "a..b"]
)
def test_plain_values_stay_as_they_are(value: str) -> None:
    assert safe(value) == value


@pytest.mark.parametrize("value", [one for one in NASTY if one != "x" * 64])
def test_other_values_become_a_checksum(value: str) -> None:
    name = safe(value)
    assert_safe(name)
    rest, _, checksum = name.rpartition("~")
    assert checksum == hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,39}|", rest)


@often
@given(value=texts)
def test_every_value_is_safe(value: str) -> None:
    assert_safe(safe(value))


@often
@given(values=st.lists(texts, min_size=2, max_size=20, unique=True))
def test_two_values_never_share_a_name(values: list[str]) -> None:
    names = [safe(value) for value in values]
    assert len(set(names)) == len(values)
    assert not set(names) & {safe(name) for name in names if "~" in name}


# --- paths ------------------------------------------------------------------------------------------------------------


def test_the_default() -> None:
    template = PathTemplate(DEFAULT_PATH)
    assert template.template == DEFAULT_PATH
    assert template.keywords == ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    values = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "SOPInstanceUID": "1.2.3.4", "PatientID": "x"}
    assert template.relative(values) == PurePosixPath("1.2/1.2.3/1.2.3.4.dcm")


def test_a_value_may_be_missing() -> None:
    template = PathTemplate("{PatientID}/{SOPInstanceUID}.dcm")
    assert template.relative({"SOPInstanceUID": "1.2"}) == PurePosixPath("~e3b0c44298fc1c14/1.2.dcm")
    assert template.relative({}) == template.relative({"PatientID": "", "SOPInstanceUID": ""})


@pytest.mark.parametrize("template", TEMPLATES)
@often
@given(data=st.data())
def test_no_path_leaves_the_folder(template: str, data: st.DataObject) -> None:
    one = PathTemplate(template)
    values = {keyword: data.draw(texts) for keyword in one.keywords}
    path = one.relative(values)
    assert len(path.parts) == template.count("/") + 1
    assert not path.is_absolute()
    for component in path.parts:
        assert_safe(component)


@pytest.mark.parametrize("template", TEMPLATES)
@often
@given(data=st.data())
def test_two_instances_never_share_a_path(template: str, data: st.DataObject) -> None:
    one = PathTemplate(template)
    first, second = ({keyword: data.draw(texts) for keyword in one.keywords} for _ in range(2))
    first["SOPInstanceUID"], second["SOPInstanceUID"] = data.draw(st.lists(uids, min_size=2, max_size=2, unique=True))
    # Not even where a file system does not tell "a" from "A".
    assert str(one.relative(first)).casefold() != str(one.relative(second)).casefold()


@pytest.mark.parametrize("template", TEMPLATES)
def test_short_values_that_run_into_each_other_never_share_a_path(template: str) -> None:
    one = PathTemplate(template)
    others = [keyword for keyword in one.keywords if keyword != "SOPInstanceUID"]
    known: dict[str, str] = {}
    for sop in ("1", "2", "1.2", "1_2", "_", "1_", "_1", "a", "A", "", "12", "2.1", "~", "~1"):
        for values in product(["", "1", "1.", "_", "1_", "a_1", "1_2"], repeat=min(2, len(others))):
            named = dict(zip(others, values * 3, strict=False))
            path = str(one.relative({**named, "SOPInstanceUID": sop})).casefold()
            assert known.setdefault(path, sop) == sop


def test_invalid_uids_that_differ_by_case_do_not_share_a_name() -> None:
    one = PathTemplate("{SOPInstanceUID}.dcm")
    names = {str(one.relative({"SOPInstanceUID": uid})).lower() for uid in ("1.2.a", "1.2.A", "1.2")}
    assert len(names) == 3


def test_a_component_is_safe_as_a_whole() -> None:
    one = PathTemplate("{Modality}{SeriesNumber}/{Modality}.x/{SOPInstanceUID}")
    assert str(one.relative({"Modality": "COM", "SeriesNumber": "1", "SOPInstanceUID": "1.2"})) == "~COM1/COM.x/1.2"
    assert str(one.relative({"Modality": "CON", "SeriesNumber": "1", "SOPInstanceUID": "1.2"})) == (
        "CON~a3dbc4b644a9a2c51/CON~a3dbc4b644a9a2c5.x/1.2"
    )


def test_a_long_name_keeps_its_extension() -> None:
    one = PathTemplate("{PatientID}_{StudyID}_{Modality}_{SOPInstanceUID}.dcm")
    values = dict.fromkeys(("PatientID", "StudyID", "Modality"), "x" * 64)
    paths = {str(one.relative({**values, "PatientID": "y" * 64, "SOPInstanceUID": uid})) for uid in ("1.2", "1.3")}
    assert len(paths) == 2
    assert all(path.endswith(".dcm") and len(path) <= 200 for path in paths)


# --- templates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{PatientID}.dcm", "without it two instances would share a name"),
        ("", "without it two instances would share a name"),
        ("{SopInstanceUID}", r"did you mean \{SOPInstanceUID\}"),
        ("{PatientId}/{SOPInstanceUID}", r"did you mean \{PatientID\}"),
        ("{qqqqqqqqqq}/{SOPInstanceUID}", "not the keyword of an attribute of a data set$"),
        ("{}/{SOPInstanceUID}", "not the keyword"),
        ("{0}/{SOPInstanceUID}", "not the keyword"),
        ("{PatientName.family_name}/{SOPInstanceUID}", "not the keyword"),
        ("{PatientID[0]}/{SOPInstanceUID}", "not the keyword"),
        ("{TransferSyntaxUID}/{SOPInstanceUID}", "not the keyword of an attribute of a data set"),
        ("{AffectedSOPInstanceUID}/{SOPInstanceUID}", "not the keyword of an attribute of a data set"),
        ("{PixelData}/{SOPInstanceUID}", r"\{PixelData\} is not text"),
        ("{Rows}/{SOPInstanceUID}", r"\{Rows\} is not text"),
        ("{ReferencedStudySequence}/{SOPInstanceUID}", "is not text"),
        ("/data/{SOPInstanceUID}", "absolute path"),
        ("/{SOPInstanceUID}", "absolute path"),
        ("../{SOPInstanceUID}", r"'\.\.' would leave the folder"),
        ("a/../{SOPInstanceUID}", r"'\.\.' would leave the folder"),
        ("./{SOPInstanceUID}", "begin or end with a dot"),
        (".cache/{SOPInstanceUID}", "begin or end with a dot"),
        (".{SOPInstanceUID}", "begin or end with a dot"),
        ("{SOPInstanceUID}.", "begin or end with a dot"),
        (r"{PatientID}\{SOPInstanceUID}", "backslash"),
        ("{SOPInstanceUID!r}", r"write \{SOPInstanceUID\}"),
        ("{SOPInstanceUID:>3}", r"write \{SOPInstanceUID\}"),
        ("{SOPInstanceUID:{PatientID}}", r"write \{SOPInstanceUID\}"),
        ("{SOPInstanceUID", "braces do not match"),
        ("SOPInstanceUID}", "braces do not match"),
        ("{{{SOPInstanceUID}}}", "beside keywords"),
        ("{PatientID}//{SOPInstanceUID}", "without a name"),
        ("{SOPInstanceUID}/", "without a name"),
        ("C:/{SOPInstanceUID}", "beside keywords"),
        ("~/{SOPInstanceUID}", "beside keywords"),
        ("my images/{SOPInstanceUID}", "beside keywords"),
        ("bilder_ä/{SOPInstanceUID}", "beside keywords"),
        ("a\0b/{SOPInstanceUID}", "beside keywords"),
        ("con/{SOPInstanceUID}", "name of a device"),
        ("NUL.x/{SOPInstanceUID}", "name of a device"),
        ("x" * 101 + "/{SOPInstanceUID}", "too long"),
        ("{PatientID}{SOPInstanceUID}", "could share a name"),
        ("{SeriesInstanceUID}.{SOPInstanceUID}", "could share a name"),
        ("{PatientID}_{SOPInstanceUID}_{Modality}", "could share a name"),
        ("{SOPInstanceUID}{InstanceNumber}_x", "could share a name"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(template: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        PathTemplate(template)
    assert repr(template) in str(caught.value)


@often
@given(
    template=st.one_of(
        st.text(),
        st.text("{}/.:!_aA~[]0\\ "),
        st.lists(
            st.sampled_from(["{SOPInstanceUID}", "{PatientID}", "/", ".", "..", "_", "a", "{", "}", "con", "{{", "\0"]),
            max_size=8,
        ).map("".join),
    ),
    sop=uids,
    patient=texts,
)
def test_a_template_is_refused_or_safe(template: str, sop: str, patient: str) -> None:
    try:
        one = PathTemplate(template)
    except ValueError:
        return
    for component in one.relative({"SOPInstanceUID": sop, "PatientID": patient}).parts:
        assert_safe(component)


# --- columns of a table -----------------------------------------------------------------------------------------------


BIDS = "sub-{subject}/ses-{session}/{SeriesNumber}_{SeriesDescription}/{InstanceNumber}.dcm"


def test_columns_stand_beside_keywords() -> None:
    one = PathTemplate(BIDS, takes_columns=True)
    assert (one.columns, one.may_clash) == (("subject", "session"), True)
    assert one.keywords == ("SeriesNumber", "SeriesDescription", "InstanceNumber")
    values = {"SeriesNumber": "3", "SeriesDescription": "T1", "InstanceNumber": "7", "SOPInstanceUID": "1.2"}
    assert str(one.relative(values, {"subject": "01", "session": "a"})) == "sub-01/ses-a/3_T1/7.dcm"
    unasked = one.relative({**values, "StudyInstanceUID": "1", "SeriesInstanceUID": "1.1"})
    assert str(unasked) == "unasked/1/1.1/1.2.dcm"


@often
@given(subject=texts, session=texts, text=texts, sop=uids)
def test_every_cell_makes_a_safe_path(subject: str, session: str, text: str, sop: str) -> None:
    one = PathTemplate(BIDS, takes_columns=True)
    path = one.relative({"SeriesDescription": text, "SOPInstanceUID": sop}, {"subject": subject, "session": session})
    assert len(path.parts) == 4
    for component in path.parts:
        assert_safe(component)
    assert_safe(with_checksum(path, sop).name)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{SopInstanceUID}/{subject}", r"did you mean \{SOPInstanceUID\}"),
        ("{subject}/{PatientId}/{InstanceNumber}", r"did you mean \{PatientID\}"),
        ("{subject}/{patientid}/{InstanceNumber}", "not the keyword"),
        ("{subject}/{0}/{InstanceNumber}", "not the keyword"),
        ("{subject[0]}/{InstanceNumber}", "not the keyword"),
        ("{subject.x}/{InstanceNumber}", "not the keyword"),
        ("{subject}/{Rows}/{InstanceNumber}", r"\{Rows\} is not text"),
        ("{subject}/../{InstanceNumber}", r"'\.\.' would leave the folder"),
        ("{subject}{InstanceNumber}", r"put '_' or '-' between \{subject\} and \{InstanceNumber\}"),
        ("{subject}{session}/{InstanceNumber}", "put '_' or '-' between"),
        ("{subject}/{SeriesNumber}.dcm", r"neither \{InstanceNumber\} nor \{SOPInstanceUID\}"),
    ],
)
def test_a_template_with_columns_that_cannot_be_used_says_why(template: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        PathTemplate(template, takes_columns=True)


OWN_TEMPLATES = [
    "{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm",
    "{PatientID}/{Modality}_{SOPInstanceUID}",
    "a/{StudyDescription}{Modality}/x-{SOPInstanceUID}.dcm",
    "sub-{subject}/{Modality}/{SeriesNumber}_{InstanceNumber}.dcm",
]
OWN_VALUES = [
    {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3", "SOPInstanceUID": "1.4", "Modality": "CT"},
    {
        "StudyInstanceUID": "../x",
        "SeriesInstanceUID": "é",
        "SOPInstanceUID": "a",
        "PatientID": "Ü/1",
        "Modality": "CON",
    },
    {
        "StudyInstanceUID": "",
        "SOPInstanceUID": "1.5",
        "StudyDescription": "C",
        "Modality": "OM1",
        "PatientID": "9" * 300,
    },
]


@pytest.mark.parametrize("values", OWN_VALUES)
@pytest.mark.parametrize("text", OWN_TEMPLATES)
def test_every_path_of_the_receiver_is_recognised(text: str, values: dict[str, str]) -> None:
    template = PathTemplate(text, takes_columns=True)
    paths = [template.relative(values, cells) for cells in ({"subject": "01"}, {"subject": "Ü 1"})]
    paths += [template.relative(values)] if template.columns else []
    for path in paths:
        others = [path.with_name(f"{path.stem}~{added}{path.suffix}") for added in ("2", "0" * 16)]
        for name in (path, *others):
            assert fits(template, str(name))
            assert fits(template, str(name), values | dict.fromkeys(set(template.keywords) - set(values), ""))
        assert not fits(template, str(path / "more"))
        other = {"SOPInstanceUID": "9.9", "InstanceNumber": "9", "SeriesNumber": "7"}
        assert not fits(template, str(path), values | other)


@pytest.mark.parametrize(
    ("path", "values", "is_own"),
    [
        ("P1/1.2.3.dcm", None, True),
        ("P1/1.2.3~2.dcm", None, True),
        ("P1/1.2.3~0123456789abcdef.dcm", None, True),
        ("P1/1.2.3~12x.dcm", None, False),
        ("P 1/1.2.3.dcm", None, False),
        ("P1/MR.dcm", None, False),
        ("P1/1.2.3.txt", None, False),
        ("1.2.3.dcm", None, False),
        ("more/P1/1.2.3.dcm", None, False),
        ("P1/1.2.3.dcm", {"PatientID": "P1"}, True),
        ("P1/1.2.3.dcm", {"PatientID": "P2"}, False),
        ("P1/1.2.3.dcm", {"PatientID": "P1", "SOPInstanceUID": "1.2.3"}, True),
        ("P1/1.2.3~2.dcm", {"PatientID": "P1", "SOPInstanceUID": "1.2.3"}, True),
        ("P1/1.2.4.dcm", {"PatientID": "P1", "SOPInstanceUID": "1.2.3"}, False),
        ("unasked/1.2/1.3/1.4.dcm", None, False),
    ],
)
def test_files_of_the_user_are_not_the_receivers(path: str, values: dict[str, str] | None, *, is_own: bool) -> None:
    assert fits(PathTemplate("{PatientID}/{SOPInstanceUID}.dcm"), path, values) is is_own


def test_only_a_path_with_columns_has_instances_that_nobody_asked_for() -> None:
    template = PathTemplate("{subject}/{SOPInstanceUID}.dcm", takes_columns=True)
    assert fits(template, "unasked/1.2/1.3/1.4.dcm")
    assert not fits(template, "others/1.2/1.3/1.4.dcm")


def test_unknown_uids_may_have_to_be_plain() -> None:
    template = PathTemplate("{StudyInstanceUID}/{SOPInstanceUID}.dcm")
    assert fits(template, "study/1.4.dcm")
    assert not fits(template, "study/1.4.dcm", plain_uids=True)
    assert fits(template, "1.2/1.4.dcm", plain_uids=True)
    named = PathTemplate("{PatientID}/{SOPInstanceUID}.dcm")
    assert fits(named, "study/1.4.dcm", plain_uids=True)
