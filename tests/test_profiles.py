from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from dicomove import Pacs
from dicomove.cli import main
from dicomove.errors import AddressError
from dicomove.profiles import statement_lines
from dicomove.testing import RunningPacs
from dicomove.tls import TLS
from dicomove.user import User
from tests.certificates import Authority

MAIN = """\
# Of the project.
[pacs.main]
address = "ARCHIVE@pacs.example:104"
calling_ae_title = "RESEARCH"
idle_timeout = 300
first_response_timeout = "none"

[pacs.other]
address = "OTHER@pacs.example:105"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose working directory is two folders down, and a user without profiles."""
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "user")
    below = tmp_path / "project" / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path / "project"


def write(folder: Path, text: str = MAIN) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "dicomove.toml"
    path.write_text(text)
    return path


def test_a_profile_is_a_pacs(project: Path) -> None:
    write(project)
    assert Pacs.profile("main") == Pacs(
        "ARCHIVE@pacs.example:104", calling_ae_title="RESEARCH", idle_timeout=300, first_response_timeout=None
    )
    assert Pacs.profile("other").port == 105


def test_the_nearest_file_of_the_project_counts(project: Path) -> None:
    write(project)
    write(project / "notebooks", '[pacs.main]\naddress = "NEAR@pacs.example:1"')
    assert Pacs.profile("main").called_ae_title == "NEAR"


@pytest.mark.skipif(os.name != "posix", reason="files have owners on POSIX systems")
def test_a_file_that_any_user_may_have_put_there_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(project)
    assert (own := Pacs.profile("main")).called_ae_title == "ARCHIVE"
    if os.geteuid() == 0:
        os.chown(file, 12345, 12345)
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    assert Pacs.profile("main") == own
    for changed, mode in ((project, 0o1777), (file, 0o666)):
        before = changed.stat().st_mode
        changed.chmod(mode)
        with pytest.raises(AddressError, match="belongs to another user, and everyone can write it or into its folder"):
            Pacs.profile("main")
        changed.chmod(before)
    project.chmod(0o1777)
    monkeypatch.setattr("os.geteuid", lambda: file.stat().st_uid)
    assert Pacs.profile("main") == own


def test_the_users_file_has_what_the_projects_has_not(project: Path) -> None:
    write(project)
    write(project.parent / "user", '[pacs.main]\naddress = "USER@h:1"\n[pacs.mine]\naddress = "MINE@h:2"')
    assert Pacs.profile("main").called_ae_title == "ARCHIVE"
    assert Pacs.profile("mine").called_ae_title == "MINE"


def test_variables_override_a_profile_and_the_more_exact_one_wins(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project)
    monkeypatch.setenv("DICOMOVE_IDLE_TIMEOUT", "60.5")
    monkeypatch.setenv("DICOMOVE_MAIN_IDLE_TIMEOUT", "none")
    monkeypatch.setenv("DICOMOVE_CALLING_AE_TITLE", "CI")
    assert Pacs.profile("main").idle_timeout is None
    assert Pacs.profile("other").idle_timeout == 60.5
    assert Pacs.profile("main").calling_ae_title == Pacs.profile("other").calling_ae_title == "CI"


@pytest.mark.usefixtures("project")
def test_a_profile_may_consist_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOMOVE_NEAR_BY_ADDRESS", "NEAR@h:104")
    assert Pacs.profile("near-by").host == "h"
    # That of all profiles does not make one of a name with a mistake.
    monkeypatch.setenv("DICOMOVE_ADDRESS", "ANY@h:104")
    with pytest.raises(AddressError, match="named by text, not by NoneType"):
        Pacs.profile(None)  # type: ignore[arg-type]
    with pytest.raises(AddressError, match="no profile 'naer'"):
        Pacs.profile("naer")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[pacs.main]\naddress = "A@h:1"\n\nidel_timeout = 3\n', 4, "unknown key 'idel_timeout': write 'idle_timeout'"),
        ('[pacs.main]\naddress = "A@h:1"\nidle_timeout = -3\n', 3, "idle_timeout=-3: give a number"),
        ('[pacs.main]\naddress = "A@h:1"\nidle_timeout = "long"\n', 3, "idle_timeout='long'"),
        ('[pacs.main]\n\naddress = "A@h"\n', 3, "is not an address"),
        ("[pacs.main]\naddress = 5\n", 2, "5 is not an address"),
        ('[pacs.main]\naddress = "A@h:1"\ncalled_ae_title = "B"\n', 1, "two different AE titles"),
        ('[pacs.main]\ncalling_ae_title = "A"\n', 1, "has no address"),
        ("pacs.main = {address = \"A@h:1\", 'port' = 5}\n", 1, "unknown key 'port'"),
        ('[pacs]\nmain = "A@h:1"\n', 2, "a profile is a table"),
        ('\n[pasc.main]\naddress = "A@h:1"\n', 2, "unknown key 'pasc': write 'pacs'"),
        ('[pacs.main]\naddress = "A@h:1\n', 2, "Illegal character"),
        ('[pacs.main]\naddress = """\nA@h:1"""\nretries = 5\n', 4, "unknown key 'retries'"),
    ],
)
def test_errors_name_file_and_line(project: Path, text: str, line: int, said: str) -> None:
    path = write(project, text)
    with pytest.raises(AddressError) as raised:
        Pacs.profile("main")
    assert str(raised.value).startswith(f"{path}, line {line}: ")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DICOMOVE_MAIN_IDLE_TIMEOUT", "long", "give a number"),
        ("DICOMOVE_IDLE_TIMEOUT", "-1", "give a number of seconds above 0"),
        ("DICOMOVE_MAIN_IDEL_TIMEOUT", "5", "unknown key 'idel_timeout': write 'idle_timeout'"),
        ("DICOMOVE_MAIN_ADDRESS", "nowhere", "is not an address"),
    ],
)
def test_a_wrong_variable_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    write(project)
    monkeypatch.setenv(variable, value)
    with pytest.raises(AddressError, match=f"^the variable {variable}: .*{said}"):
        Pacs.profile("main")


def test_a_profile_that_is_not_there_is_told_with_those_that_are(project: Path) -> None:
    with pytest.raises(AddressError, match=r"no profile 'main': there is no dicomove.toml"):
        Pacs.profile("main")
    path = write(project)
    with pytest.raises(AddressError, match=f"no profile 'mian': the profiles are 'main', 'other' in {path}"):
        Pacs.profile("mian")


def test_lines_of_values_over_several_lines() -> None:
    assert statement_lines('a = [\n1,\n2]\n[t]\n"b c".d = 3\n') == {
        ("a",): 1,
        ("t",): 4,
        ("t", "b c"): 5,
        ("t", "b c", "d"): 5,
    }


def test_a_command_takes_a_profile_or_an_address(
    project: Path, rehearsal_pacs: object, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs: RunningPacs = rehearsal_pacs()  # type: ignore[operator]
    write(project, f'[pacs.main]\naddress = "{pacs.address}"\ncalling_ae_title = "RESEARCH"\n')
    assert main(["echo", "--pacs", "main"]) == 0
    assert main(["echo", "--pacs", pacs.address]) == 0
    assert main(["echo", pacs.address]) == 0
    assert main(["echo", pacs.address, "--pacs", "main"]) == 2
    assert main(["echo"]) == 0  # there is no other
    write(project, "")
    assert main(["echo"]) == 2
    assert "--pacs" in capfd.readouterr().err


def test_words_after_the_profile_are_the_destination(
    project: Path, rehearsal_pacs: object, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs: RunningPacs = rehearsal_pacs()  # type: ignore[operator]
    write(project, f'[pacs.main]\naddress = "{pacs.address}"\n')
    cohort = tmp_path / "cohort.csv"
    cohort.write_text("accession\nnot there\n")
    for words in (
        ["retrieve", str(cohort), "--pacs", "main", pacs.destination],
        ["retrieve", "--pacs", "main", str(cohort), pacs.destination],
        ["retrieve", str(cohort), pacs.destination, "--pacs", "main"],
        ["retrieve", str(cohort), pacs.address, pacs.destination],
    ):
        assert main(words) == 1
        assert "Rows: 1 empty" in capfd.readouterr().out


def test_a_profile_has_tls_and_a_user(project: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(project / "ca.pem")
    text = '[pacs.main]\naddress = "A@h:1"\nuser = {name = "me", passcode = {env = "PACS_PASSCODE"}}\n'
    write(project, text + '[pacs.main.tls]\nca = "ca.pem"\nverify = "chain"\n[pacs.b]\naddress = "B@h:1"\ntls = true\n')
    pacs = Pacs.profile("main")
    assert pacs.tls == TLS(ca=project / "ca.pem", verify="chain")
    assert pacs.user == User("me", passcode={"env": "PACS_PASSCODE"})
    assert Pacs.profile("b").tls == TLS()


def test_the_password_of_a_key_stands_elsewhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_PASSWORD", "hush-hush")
    identity = Authority.make(project).sign("127.0.0.1")
    key = load_pem_private_key(identity.key.read_bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush-hush"))
    (project / "research.key").write_bytes(encrypted)
    files = f'certificate = "{identity.certificate}"\nkey = "research.key"\n'
    path = write(
        project, f'[pacs.main]\naddress = "A@h:1"\n[pacs.main.tls]\n{files}password = {{env = "KEY_PASSWORD"}}\n'
    )
    pacs = Pacs.profile("main")
    assert isinstance(pacs.tls, TLS)
    assert pacs.tls.password == {"env": "KEY_PASSWORD"}
    assert "hush" not in repr(pacs)
    monkeypatch.delenv("KEY_PASSWORD")
    with pytest.raises(AddressError, match=f"{path}, line 3: tls: the environment variable KEY_PASSWORD"):
        Pacs.profile("main")


@pytest.mark.parametrize(
    ("table", "line", "said"),
    [
        ('user = {name = "me", passcode = "hush-hush"}', 3, "no secret may stand in this file"),
        ('[pacs.main.user]\nname = "me"\ntoken = "hush-hush"', 5, "no secret may stand in this file"),
        ('user = {name = "me", passcode = {keyrin = "x"}}', 3, "passcode is text"),
        ('user = {nane = "me"}', 3, "unknown key 'nane': write 'name'"),
        ('user = {name = "me", token = {env = "T"}}', 3, "give either a name"),
        ("user = 5", 3, "user: give a User"),
        ("tls = 5", 3, "tls: give True"),
        ('[pacs.main.tls]\nverify = "some"', 3, "verify"),
        ('[pacs.main.tls]\n\nvertify = "full"', 5, "unknown key 'vertify': write 'verify'"),
        ('[pacs.main.tls]\nca = "absent.pem"', 3, "absent.pem"),
        ('[pacs.main.tls]\npassword = "hush-hush"', 4, "no secret may stand in this file"),
        ('[pacs.main.tls]\npassword = {keyrin = "x"}', 3, "password is text"),
    ],
)
def test_errors_of_tls_and_user_are_named(project: Path, table: str, line: int, said: str) -> None:
    path = write(project, f'[pacs.main]\naddress = "A@h:1"\n{table}\n')
    with pytest.raises(AddressError) as raised:
        Pacs.profile("main")
    assert str(raised.value).startswith(f"{path}, line {line}: ")
    assert said in str(raised.value)
    assert "hush" not in str(raised.value)


def test_a_user_without_a_folder_has_the_profiles_of_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In some containers, a user has a number only."""

    def without_folder(*_: object, **__: object) -> Path:
        message = "could not determine the home directory"
        raise RuntimeError(message)

    monkeypatch.setattr(platformdirs, "user_config_path", without_folder)
    with pytest.raises(AddressError, match="no profile 'main'"):
        Pacs.profile("main")
    write(project)
    assert Pacs.profile("main").host
