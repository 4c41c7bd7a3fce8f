"""Show what is marked as Python, files and bytes; download it; hand out the page's address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bokeh.models import Column, CustomJS, InlineStyleSheet, Row
from bokeh.models.widgets import Button, Div, TextInput

from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.fits.errors import one_line, redacted
from dkist_virtual.text import counted
from dkist_virtual.view.actions.chosen_files import ChosenFiles, describe_pixels
from dkist_virtual.view.actions.download_run import DownloadRun, Status
from dkist_virtual.view.actions.page_address import read_pasted
from dkist_virtual.view.actions.selection import (
    marked,
    only_shown,
    path_line,
    python_line,
    selection,
    share_in_box,
)
from dkist_virtual.view.panels.plain_text import plain_div
from dkist_virtual.view.state.address import write_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dkist_virtual.view.session import Session
    from dkist_virtual.view.source import Source
    from dkist_virtual.view.state.state import ViewState

__all__ = ["SelectionPanel"]

_FEW: Final = 5000
"""Frames of a whole dataset whose files are counted unasked."""

_TURNED: Final = 0.9
"""Of the selected pixels that are in the box; of fewer it is said."""

_CSS: Final = """
:host { font: 13px system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif; color: #1b1b1b; }
.bk-clearfix { white-space: pre-wrap; overflow-wrap: anywhere; }
:host(.dkv-code) { background: #f1f1f1; border: 1px solid #c8c8c8; padding: 4px 6px; }
:host(.dkv-code) .bk-clearfix { font: 13px "DejaVu Sans Mono", "Liberation Mono", Consolas, Menlo,
  monospace; }
:host(.dkv-heading) { font-weight: 600; }
:host(.dkv-failures) { max-height: 9em; overflow: auto; color: #8f1d00; }
:host(.dkv-selection) { overflow: auto; padding: 4px 8px; }
:host(.dkv-row) { flex-wrap: wrap; gap: 4px; }
.bk-btn { color: #1b1b1b; background: #ffffff; border: 1px solid #6b6b6b; padding: 2px 6px;
  white-space: normal; overflow-wrap: anywhere; }
.bk-btn:hover:enabled { background: #e6eef7; }
.bk-btn:disabled { color: #767676; border-color: #b0b0b0; }
.bk-btn:focus-visible, .bk-input:focus-visible { outline: 3px solid #d95f02; outline-offset: 1px; }
"""

_COPY: Final = Path(__file__).with_name("copy.js").read_text("utf-8")


@dataclass(frozen=True)
class Facts:
    """What is said of the selection of a state, as plain text."""

    state: ViewState
    line: str
    path: str | None
    about: tuple[str, ...]
    can_download: bool
    what: str


def facts_of(sources: Sequence[Source], state: ViewState) -> Facts:
    """Describe what is marked; lists directories, reads no frame."""
    chosen = selection(sources, state)
    line, path = python_line(sources, state), path_line(sources, state)
    names = sources[marked(sources, state)[0]].axes.names
    about = [describe_pixels(chosen), f"Axes: {', '.join(names)}. Pixels count from 0."]
    share = share_in_box(sources, state)
    if share < _TURNED:
        about.append(f"The detector is turned: {share:.0%} of these pixels are in the box.")
    is_whole = state.box is None and not state.ranges
    try:
        n = len(chosen.files)
        if is_whole and n > _FEW:
            about.append(f"{n:,} frames: mark some of them, and their files are counted.")
            return Facts(state, line, path, tuple(about), can_download=False, what="")
        found = ChosenFiles.of(chosen)
    except DatasetError:
        about.append("No files: these pixels were computed.")
        return Facts(state, line, path, tuple(about), can_download=False, what="")
    about += found.lines()
    if not is_whole and found.n:
        about.append("A download fetches whole files.")
    return Facts(state, line, path, tuple(about), bool(found.n), counted(found.n, "file"))


class SelectionPanel:
    """What is marked, as a line of Python to copy, and as files to download."""

    name = "selection"
    title = "Selection"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._run: DownloadRun | None = None
        self._shown: ViewState | None = None
        self._facts: Facts | None = None
        self._line = _text("dkv-code", name="line")
        self._path = _text("dkv-code", name="path", visible=False)
        self._about = _text()
        self._status = _text()
        self._failures = _text("dkv-failures", visible=False)
        self._address = _text(name="query", visible=False)
        self._said = _text()
        self._copy_path = self._copying("Copy the path", self._path, visible=False)
        self._only = _button("Only what is shown", self._mark_shown)
        self._clear = _button("Clear marks", self._clear_marks)
        self._download = _button("Download", self._begin, visible=session.download_to is not None)
        self._end = _button("End the download", self._end_run, visible=False)
        self._go = TextInput(
            title="Go to a view", placeholder="paste an address, or its part after ?",
            stylesheets=[_sheet()], sizing_mode="stretch_width",
        )  # fmt: skip
        self._go.on_change("value", self._pasted)
        self.root: Any = self._lay_out()

    def _lay_out(self) -> Column:
        rows: list[Any] = [
            _text("dkv-heading", text="Selection in Python"),
            self._line,
            _row(self._copying("Copy", self._line), self._only, self._clear),
            self._path,
            _row(self._copy_path),
            _text("dkv-heading", text="Files"),
            self._about,
            _row(self._download, self._end),
            self._status,
            self._failures,
            _text("dkv-heading", text="This view"),
            _row(
                self._copying(
                    "Copy its address", self._address, whole=True, visible=self._session.has_address
                ),
                self._copying("Copy the part for colleagues", self._address),
            ),
            self._address,
            self._go,
            self._said,
        ]
        if self._session.download_to is None:
            self._status.text = (
                "To download from here, name a directory at the start: --download-to DIR, or "
                "ds.view(download_to=...)."
            )
        return Column(children=rows, sizing_mode="stretch_both", css_classes=["dkv-selection"],
                      stylesheets=[_sheet()])  # fmt: skip

    def _copying(self, label: str, text: Div, *, whole: bool = False, visible: bool = True) -> Any:
        """Make a button that copies a text, or the page's address with that text as its query."""
        button = Button(label=label, visible=visible, margin=2, stylesheets=[_sheet()])
        args = {"text": text, "button": button, "whole": whole, "label": label}
        button.js_on_event("button_click", CustomJS(args=args, code=_COPY))
        return button

    # What is shown --------------------------------------------------------------------------

    def update(self, before: ViewState | None, after: ViewState) -> None:
        """Describe what a state marks, unless it is what is shown already."""
        try:
            self._address.text = "?" + write_address(after, self._session.sources)
        except SelectionError as error:
            self._say(str(error))
        marks = (after.box, after.ranges, after.path, after.pins)
        self._clear.disabled = not any(marks)
        if before is not None and _marks(before) == _marks(after):
            return
        self._shown = after
        self._describe()

    def _describe(self) -> None:
        state = self._shown
        assert state is not None
        sources = self._session.sources

        def steps() -> Iterator[Facts]:
            yield facts_of(sources, state)

        self._session.worker.read(self.name, steps, self._show, self._fail, is_patient=True)

    def _show(self, facts: Facts) -> None:
        self._facts = facts
        self._line.text = facts.line
        self._path.text = facts.path or ""
        self._path.visible = self._copy_path.visible = facts.path is not None
        self._about.text = "\n".join(facts.about)
        self._allow_download()

    def _fail(self, error: Exception) -> None:
        self._facts = None
        self._line.text, self._about.text = "", redacted(error)
        self._path.visible = self._copy_path.visible = False
        self._allow_download()

    def _allow_download(self) -> None:
        facts = self._facts
        is_running = self._run is not None
        self._download.disabled = is_running or facts is None or not facts.can_download
        what = f" {facts.what}" if facts is not None and facts.can_download else ""
        self._download.label = f"Download{what} to {one_line(str(self._session.download_to))}"
        self._end.visible = is_running

    def _say(self, text: str) -> None:
        self._said.text = text

    # What is done ---------------------------------------------------------------------------

    def _mark_shown(self) -> None:
        model = self._session.model
        model.set(only_shown(model.state, self._session.source.shape))

    def _clear_marks(self) -> None:
        self._session.model.change(box=None, ranges=(), path=(), pins=())

    def _pasted(self, attr: str, old: object, new: str) -> None:  # noqa: ARG002
        if not new.strip():
            return
        try:
            state = read_pasted(new, self._session.sources)
        except SelectionError as error:
            self._say(str(error))
            return
        self._go.value = ""
        self._say("")
        self._session.model.set(state)

    def _begin(self) -> None:
        directory, facts = self._session.download_to, self._facts
        if self._run is not None or directory is None or facts is None:
            return
        try:
            # What the button says, also where other marks have not been described yet.
            chosen = selection(self._session.sources, facts.state)
        except SelectionError as error:
            self._status.text = redacted(error)
            return
        worker = self._session.worker

        def show(status: Status) -> None:
            if worker.is_closed:
                run.end()
            worker.call(lambda: self._show_status(status))

        self._failures.visible = False
        self._run = run = DownloadRun(chosen, directory, show)
        self._allow_download()
        run.start()

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.end()
            self._status.text = "Ending: what is there stays whole."

    def _show_status(self, status: Status) -> None:
        if not status.is_over:
            done = round(20 * status.share)
            bar = "\u2588" * done + "\u2591" * (20 - done)
            self._status.text = f"{bar} {status.share:.0%}\n{status.text}"
            return
        self._run = None
        self._status.text = status.text
        self._failures.text = "\n".join(status.failures)
        self._failures.visible = bool(status.failures)
        self._describe()
        if status.is_read:
            self._session.arrivals.tell()
        else:
            directory = one_line(str(self._session.download_to))
            self._status.text += f"\nThis page does not read its frames from {directory}."


def _marks(state: ViewState) -> tuple[Any, ...]:
    """Return what a selection depends on: of a box or path also where its picture is."""
    marks = (state.box, state.ranges, state.path)
    if not state.pictures or not (state.box is not None or state.path):
        return marks
    main = state.pictures[0]
    return (*marks, main.axes, main.dataset, state.tile, state.point, main.held, main.lag)


def _sheet() -> InlineStyleSheet:
    return InlineStyleSheet(css=_CSS)


def _text(css: str = "", **options: Any) -> Div:
    css_classes = [css] if css else []
    return plain_div(margin=2, css_classes=css_classes, stylesheets=[_sheet()], **options)


def _button(label: str, pressed: Any, **options: Any) -> Button:
    button = Button(label=label, margin=2, stylesheets=[_sheet()], **options)
    button.on_click(pressed)
    return button


def _row(*children: Any) -> Row:
    return Row(children=list(children), sizing_mode="stretch_width", css_classes=["dkv-row"],
               stylesheets=[_sheet()])  # fmt: skip
