"""Draws the decision of the page "Where does your notebook run?".

``python -m tests.decision_picture > docs/how-to/where-it-runs.svg``

An SVG in the repository is shown everywhere, also in a hospital whose browsers reach no other site.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

_WIDTH: Final = 820
_ROW: Final = 104
_QUESTION: Final = (20, 330)
_ANSWER: Final = (430, 370)
_HEIGHT: Final = 68
_LINE: Final = 17


class Step(NamedTuple):
    """A question, what to do where its answer is yes, and the code for it."""

    question: Sequence[str]
    answer: str
    code: str


STEPS: Final = (
    Step(
        ("Can the PACS connect to this machine?", "An entry, a fixed address, an open port"),
        "C-MOVE to a receiver here",
        'dm.Receiver("images", port=11112)',
    ),
    Step(
        ("Does another address lead here?", "A published port, a NodePort, NAT"),
        "C-MOVE to a receiver, by that address",
        'dm.Receiver("images", advertise="node7:30104")',
    ),
    Step(
        ("Does the PACS offer C-GET?", "dicomove doctor shows it"),
        "C-GET, without any port",
        'dm.Receiver("images", port=None), method="get"',
    ),
    Step(
        ("Can it move to an archive near you?", "Orthanc, XNAT, a VNA"),
        "C-MOVE there, and ask what is there",
        'dm.Destination("ORTHANC", ask=dm.Pacs(...))',
    ),
    Step(
        ("Can it connect to a server of yours?", "A login node, with a disk you can read"),
        "Run dicomove there, into the shared folder",
        "dicomove retrieve cohort.csv --receive /shared",
    ),
)
_LAST: Final = ("Ask the administrator of the PACS", "One of these ways is needed")


def picture(steps: Sequence[Step] = STEPS) -> str:
    """Return the picture as SVG."""
    height = _ROW * len(steps) + _HEIGHT + 40
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            'font-family="Helvetica, Arial, sans-serif" font-size="13">',
            "<title>Which way the images take, by where the notebook runs</title>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            *(line for number, step in enumerate(steps) for line in _drawn(20 + _ROW * number, step)),
            *_box(_QUESTION, 20 + _ROW * len(steps), _LAST, fill="#fdecea", border="#b3261e"),
            "</svg>",
            "",
        ]
    )


def _drawn(top: int, step: Step) -> Iterator[str]:
    yield from _box(_QUESTION, top, step.question, fill="#e8f3f2", border="#00796b")
    yield from _box(_ANSWER, top, [step.answer], fill="#f5f5f5", border="#616161", code=step.code)
    middle, right = top + _HEIGHT // 2, _QUESTION[0] + _QUESTION[1]
    yield from _arrow(right, middle, _ANSWER[0], middle, "yes")
    centre = _QUESTION[0] + _QUESTION[1] // 2
    yield from _arrow(centre, top + _HEIGHT, centre, top + _ROW, "no")


def _box(
    place: tuple[int, int], top: int, lines: Sequence[str], *, fill: str, border: str, code: str = ""
) -> Iterator[str]:
    left, width = place
    yield (
        f'<rect x="{left}" y="{top}" width="{width}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="{border}" '
        'stroke-width="1.5"/>'
    )
    styles = ['font-weight="bold"', *["" for _ in lines[1:]]]
    for number, (line, style) in enumerate(zip(lines, styles, strict=True)):
        yield _text(left + 12, top + 28 + _LINE * number + (3 if number else 0), line, style)
    if code:
        yield _text(left + 12, top + 51, code, 'font-family="monospace" font-size="12.5"')


def _arrow(left: int, top: int, right: int, bottom: int, word: str) -> Iterator[str]:
    across = right > left
    head = f"{right - 8},{bottom - 5} {right},{bottom} {right - 8},{bottom + 5}"
    down = f"{right - 5},{bottom - 8} {right},{bottom} {right + 5},{bottom - 8}"
    yield f'<line x1="{left}" y1="{top}" x2="{right}" y2="{bottom}" stroke="#424242" stroke-width="1.5"/>'
    yield f'<polygon points="{head if across else down}" fill="#424242"/>'
    x, y = ((left + right) // 2 - 12, top - 7) if across else (left + 8, (top + bottom) // 2 + 4)
    yield _text(x, y, word, 'font-style="italic"')


def _text(x: int, y: int, text: str, style: str) -> str:
    return f'<text x="{x}" y="{y}" fill="#212121" {style}>{escape(text)}</text>'


if __name__ == "__main__":
    sys.stdout.write(picture())
