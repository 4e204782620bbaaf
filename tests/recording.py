"""The recording of `dicomove retrieve` in the README and on the site: an animated SVG of a real run.

::

    python -m tests.recording

runs the command against the demo's PACS with one fault, and draws what it wrote at the time when it
wrote it. `test_recording.py` runs it again, and compares the end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from dicomove.testing import demo_pacs, faults
from dicomove.testing.rehearsal import demo_cohort
from tests import site

PICTURE: Final = Path(__file__).parents[1] / "docs" / "pictures" / "retrieve.svg"
COMMAND: Final = ("dicomove", "retrieve", "cohort.csv", "--pacs", "hospital", "--receive", "images")
#: The port at which a receiver listens unless it is told another.
PORT: Final = 11112

#: The longest line of the bar needs these: in a pipe, it does not know how wide the screen is.
_COLUMNS: Final = 124
#: Accession A0100: the PACS does not store one of its five instances.
_IN_PART: Final = "1.2.826.0.1.3680043.8.498.36337101294492308394363883163146040835"
_BEFORE_S: Final = 1.2
_AT_THE_END_S: Final = 8.0

_FONT_PX: Final = 14
_LETTER_PX: Final = 8.4
_LINE_PX: Final = 20
_MARGIN_PX: Final = 18
#: A screen of its own: it reads the same on a light and on a dark page.
_STYLE: Final = """
.screen{fill:#0d1117;stroke:#484f58}
text{fill:#e6edf3;font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}
rect{fill:#e6edf3}
.now{visibility:hidden}
@media (prefers-reduced-motion:reduce){g{animation:none!important}}
"""
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"


class Written(NamedTuple):
    """What the command wrote, and when."""

    at: float
    text: str


class Shown(NamedTuple):
    """A line of the screen, and how long it stays there."""

    line: int
    text: str
    begin: float
    end: float


class Screen:
    """What a terminal shows of text with carriage returns: a long line goes on in the next.

    Examples
    --------
    >>> screen = Screen(columns=6)
    >>> screen.write("10 %\\r20 %\\nabcdefgh")
    >>> screen.lines
    ['20 %', 'abcdef', 'gh']
    """

    def __init__(self, columns: int) -> None:
        self.lines = [""]
        self._columns, self._column = columns, 0

    def write(self, text: str) -> None:
        """Show some text."""
        assert "\x1b" not in text, "the command moves the cursor, which this screen cannot"
        for letter in text:
            if letter == "\r":
                self._column = 0
            elif letter == "\n":
                self._new_line()
            else:
                self._put(letter)

    def _put(self, letter: str) -> None:
        if self._column == self._columns:
            self._new_line()
        line = self.lines[-1]
        self.lines[-1] = line[: self._column] + letter + line[self._column + 1 :]
        self._column += 1

    def _new_line(self) -> None:
        self.lines.append("")
        self._column = 0


def record(port: int = PORT) -> list[Written]:
    """Run the command, and return what it wrote."""
    doings = [faults.Latency(seconds=0.12), faults.SomeFail(studies=(_IN_PART,))]
    ours = {"DICOMOVE": ("127.0.0.1", port)}
    with TemporaryDirectory() as scratch, demo_pacs(faults=doings, destinations=ours) as pacs:
        folder = Path(scratch).resolve()
        shutil.copy(demo_cohort(), folder / "cohort.csv")
        (folder / "dicomove.toml").write_text(f'[pacs.hospital]\naddress = "{pacs.address}"\n')
        wrote = _run([*COMMAND, *([] if port == PORT else ["--port", str(port)])], folder)
    return [Written(one.at, site.without_machine(one.text, folder)) for one in wrote]


def _run(command: list[str], folder: Path) -> list[Written]:
    """Run a command, with a pipe as its output: not every machine has terminals."""
    program = shutil.which(command[0])
    assert program is not None
    at_once = {**os.environ, "PYTHONUNBUFFERED": "1"}
    began, wrote = time.monotonic(), []
    with subprocess.Popen(
        [program, *command[1:]], cwd=folder, env=at_once, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        assert running.stdout is not None
        while data := _read(running.stdout.fileno()):
            wrote.append(Written(time.monotonic() - began, data.decode()))
    return wrote


def _read(pipe: int) -> bytes:
    """Return what comes next, in whole letters; nothing once the command has ended."""
    data = b""
    while more := os.read(pipe, 65536):
        data += more
        try:
            data.decode()
        except UnicodeDecodeError:
            continue
        return data
    return data


def screens(wrote: list[Written]) -> tuple[list[Shown], float]:
    """Return each line with the times between which it is shown, and how long all of it takes."""
    screen, shown = Screen(_COLUMNS), []
    screen.write(f"$ {' '.join(COMMAND)}\n")
    since = dict.fromkeys(range(len(screen.lines)), 0.0)
    first = wrote[0].at
    for one in wrote:
        at, before = _BEFORE_S + one.at - first, list(screen.lines)
        screen.write(one.text)
        for line, text in enumerate(before):
            if screen.lines[line] != text:
                shown.append(Shown(line, text, since[line], at))
                since[line] = at
        since |= dict.fromkeys(range(len(before), len(screen.lines)), at)
    whole = _BEFORE_S + wrote[-1].at - first + _AT_THE_END_S
    shown += [Shown(line, text, since[line], whole) for line, text in enumerate(screen.lines)]
    return [one for one in shown if one.text.strip()], whole


def last_screen(shown: list[Shown], whole: float) -> str:
    """Return what is on the screen at the end."""
    return "\n".join(one.text.rstrip() for one in shown if one.end == whole)


def to_svg(shown: list[Shown], whole: float) -> str:
    """Return the picture: a group for all lines that come and go together."""
    groups: defaultdict[tuple[float, float], list[Shown]] = defaultdict(list)
    for one in shown:
        groups[one.begin, one.end].append(one)
    rules, drawn = [], []
    for number, ((begin, end), lines) in enumerate(sorted(groups.items())):
        rules.append(_rule(number, begin / whole, end / whole, whole))
        kind = "" if end == whole else ' class="now"'
        drawn.append(f'<g id="g{number}"{kind}>{"".join(_line(one) for one in lines)}</g>')
    width = round(_COLUMNS * _LETTER_PX) + 2 * _MARGIN_PX
    height = (max(one.line for one in shown) + 1) * _LINE_PX + 2 * _MARGIN_PX
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            "<title>dicomove retrieve at work in a terminal</title>",
            f"<desc>{escape(last_screen(shown, whole))}</desc>",
            f"<style>{_STYLE}{''.join(rules)}</style>",
            f'<rect class="screen" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="8"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _rule(number: int, begin: float, end: float, whole: float) -> str:
    """Return when a group is seen: in steps, again and again."""
    steps = ["0%{visibility:hidden}"] if begin else []
    steps += [f"{100 * begin:.2f}%{{visibility:visible}}"]
    steps += [f"{100 * end:.2f}%{{visibility:hidden}}"] if end < 1 else []
    name = f"k{number}"
    return f"@keyframes {name}{{{''.join(steps)}}}#g{number}{{animation:{name} {whole:.1f}s step-end infinite}}\n"


def _line(one: Shown) -> str:
    """Return a line as text, and the blocks of a bar as rectangles: fonts draw them with gaps."""
    top = _MARGIN_PX + one.line * _LINE_PX
    text = re.sub(f"[{_BLOCKS[1:]}]", " ", one.text.rstrip())
    length = f'textLength="{len(text) * _LETTER_PX:.1f}" lengthAdjust="spacingAndGlyphs"'
    words = f'<text x="{_MARGIN_PX}" y="{top + _FONT_PX}" xml:space="preserve" {length}>{escape(text)}</text>'
    bar = "".join(_bar(found.start(), found.group(), top) for found in re.finditer(f"[{_BLOCKS[1:]}]+", one.text))
    return words + bar


def _bar(column: int, blocks: str, top: int) -> str:
    width = sum(_BLOCKS.index(block) for block in blocks) / 8 * _LETTER_PX
    left = _MARGIN_PX + column * _LETTER_PX
    return f'<rect x="{left:.1f}" y="{top + 2}" width="{width:.1f}" height="{_LINE_PX - 6}"/>'


def shape(text: str) -> str:
    """Return what the screen says, without the times, the speed and the address, which differ from run to run."""
    text = re.sub(r"\|[^|\n]*\| (\d+/\d+) \[[^,]*,[^,]*,", r"\1", text)
    return re.sub(r"host [\d.]+, port \d+", "host, port", text)


def said(path: Path) -> str:
    """Return what a picture says that it shows."""
    found = ET.parse(path).getroot().find("{http://www.w3.org/2000/svg}desc")  # noqa: S314 (our own file)
    assert found is not None
    return str(found.text)


def main() -> int:
    """Draw the recording of the documentation."""
    PICTURE.write_text(to_svg(*screens(record())), encoding="utf-8")
    sys.stdout.write(shape(said(PICTURE)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
