"""Make the widgets of a page, which all have one look and a name for screen readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bokeh.models import Column, InlineStyleSheet, Row
from bokeh.models.widgets import Button, Div, RadioButtonGroup, Select, Spinner

from dkist_virtual.view.page.style import CSS
from dkist_virtual.view.panels.plain_text import plain_div

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dkist_virtual.view.page.channel import Channel

__all__ = ["Widgets"]

LETTER: Final = 7
"""Pixels that a letter of a field's name takes."""
APART: Final = 16
"""Pixels from the name of a field to the next field, at least."""


class Widgets:
    """Makes widgets of one page, and marks which buttons are pressed.

    Parameters
    ----------
    channel : Channel
        Names them for screen readers.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._sheet = InlineStyleSheet(css=CSS)
        self._made = 0
        self._is_showing = False

    @property
    def look(self) -> dict[str, Any]:
        """The keywords that give a Bokeh model the look of the page."""
        return {"stylesheets": [self._sheet]}

    def _own_class(self) -> str:
        self._made += 1
        return f"dkv-{self._made}"

    def button(
        self, text: str, pressed: Callable[[], None], name: str = "", **options: Any
    ) -> Button:
        """Make a button; `name` says what it does where its text is too short for that."""
        own = self._own_class()
        options = {"margin": (2, 2, 2, 2), **options}
        button = Button(label=text, css_classes=[own], **self.look, **options)
        button.on_click(pressed)
        if name:
            self._channel.label(own, "button", aria_label=name)
        return button

    def rename(self, button: Button, text: str, name: str) -> None:
        """Give a button another text, and the name of what it does now."""
        button.label = text
        self._channel.label(button.css_classes[0], "button", aria_label=name)

    def press(self, button: Button, is_pressed: bool) -> None:
        """Show whether what a button turns on is on."""
        button.button_type = "primary" if is_pressed else "default"
        self._channel.label(
            button.css_classes[0], "button", aria_pressed="true" if is_pressed else "false"
        )

    def adopt(self, group: RadioButtonGroup) -> None:
        """Give buttons of a panel, of which one is pressed, the look and names of the page's."""
        own = self._own_class()
        group.css_classes = [*group.css_classes, own]
        group.stylesheets = [*group.stylesheets, self._sheet]

        def press() -> None:
            for number in range(len(group.labels)):
                pressed = "true" if number == group.active else "false"
                part = f"button:nth-of-type({number + 1})"
                self._channel.label(own, part, aria_pressed=pressed)
            self._channel.tell()

        group.on_change("active", lambda attr, old, new: press())  # noqa: ARG005
        press()

    def text(self, words: str = "", css_class: str = "", **options: Any) -> Div:
        """Make a line of text, which is shown as it is, whatever is in it."""
        own = [css_class] if css_class else []
        options = {"margin": (2, 6, 2, 6), **options}
        return plain_div(words, css_classes=own, **self.look, **options)

    def heading(self, words: str) -> Div:
        """Make the heading of a part of the page."""
        own = self._own_class()
        self._channel.label(own, role="heading", aria_level="2")
        div = self.text(words, "dkv-heading")
        div.css_classes = [own, "dkv-heading"]
        return div

    def select(
        self, title: str, options: Sequence[tuple[str, str]], chosen: Callable[[str], None]
    ) -> Select:
        """Make a list to choose from; `options` are values and the words for them."""
        listed: list[Any] = [*options]
        select = Select(
            title=title, options=listed, value=options[0][0], margin=(2, 6, 4, 6),
            sizing_mode="stretch_width", **self.look,
        )  # fmt: skip

        def choose(attr: str, old: str, new: str) -> None:  # noqa: ARG001
            if not self._is_showing:
                chosen(new)
                self._channel.tell(takes_focus=True)

        select.on_change("value", choose)
        return select

    def show(
        self, select: Select, value: str, options: Sequence[tuple[str, str]] | None = None
    ) -> None:
        """Show a choice that something else made, and perhaps other options."""
        listed: Any = select.options if options is None else [*options]
        if (select.value, select.options) == (value, listed):
            return
        self._is_showing = True
        try:
            select.update(options=listed, value=value)
        finally:
            self._is_showing = False

    def spinner(self, title: str, changed: Callable[[int], None]) -> Spinner:
        """Make a field for a whole number."""
        own = self._own_class()
        spinner = Spinner(
            title=title, value=0, step=1, width=max(120, LETTER * len(title) + APART),
            margin=(0, 6, 4, 6), css_classes=[own],
            **self.look,
        )  # fmt: skip
        self._channel.label(own, ".bk-spin-btn-up", aria_label=f"{title}: one more")
        self._channel.label(own, ".bk-spin-btn-down", aria_label=f"{title}: one less")

        def change(attr: str, old: object, new: float | None) -> None:  # noqa: ARG001
            if not self._is_showing and new is not None:
                changed(round(new))

        spinner.on_change("value", change)
        return spinner

    def show_number(self, spinner: Spinner, value: int) -> None:
        """Show a number that something else chose."""
        if spinner.value != value:
            self._is_showing = True
            try:
                spinner.value = value
            finally:
                self._is_showing = False

    def row(self, *children: Any, css_class: str = "", **options: Any) -> Row:
        """Put widgets beside each other."""
        options = {"sizing_mode": "stretch_width", **options}
        return Row(
            children=list(children), css_classes=[css_class] if css_class else [], **self.look,
            **options,
        )  # fmt: skip

    def column(self, *children: Any, css_class: str = "") -> Column:
        """Put widgets under each other."""
        return Column(
            children=list(children), sizing_mode="stretch_width",
            css_classes=[css_class] if css_class else [], **self.look,
        )  # fmt: skip
