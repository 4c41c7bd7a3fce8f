"""Write frames to ``.mp4``, ``.gif`` and ``.html``.

Each is written frame by frame: none is kept, but for those that an ``.html`` has in it.
"""

from __future__ import annotations

import html
import re
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.animation import FFMpegWriter, HTMLWriter
from matplotlib.figure import Figure

from dkist_virtual.text import human_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["SUFFIXES", "FrameWriter", "writer_for"]

SUFFIXES: Final = (".mp4", ".gif", ".html")

_H264: Final = ("-pix_fmt", "yuv420p", "-crf", "18", "-movflags", "+faststart")
"""What browsers and presentations play; text stays sharp; playing begins while it loads."""

_NO_FFMPEG: Final = (
    "movie: .mp4 needs ffmpeg: pip install 'dkist_virtual[movies]' brings it. .gif and .html need "
    "no other program"
)

_GLYPHS: Final = {
    "minus": r"\2212 ", "plus": "+", "fast-backward": "|<", "fast-forward": ">|",
    "step-backward": "<", "step-forward": ">", "play": r"\25b6\fe0e ", "pause": "||",
}  # fmt: skip
"""The letters on the buttons of a page, as in a style sheet."""


class _Film(Figure):
    """A figure whose picture is an array: matplotlib's writers ask a figure for their frames."""

    def __init__(self, wide: int, high: int) -> None:
        super().__init__(figsize=(wide, high), dpi=1)
        self.picture: NDArray[np.uint8] = np.zeros((high, wide, 3), np.uint8)
        self.n_bytes = 0
        """Of what was written."""

    def savefig(self, fname: Any, *, format: str = "rgba", **_: Any) -> None:  # noqa: A002
        """Write the array, as raw RGBA or as PNG."""
        before = fname.tell() if fname.seekable() else 0
        if format == "png":
            from PIL import Image

            Image.fromarray(self.picture).save(fname, "png")
        else:
            opaque = np.full((*self.picture.shape[:2], 1), 255, np.uint8)
            fname.write(np.concatenate([self.picture, opaque], axis=2).tobytes())
        self.n_bytes += fname.tell() - before if fname.seekable() else self.picture.nbytes


class FrameWriter(ABC):
    """Writes frames of one size to a file; `close` completes it, `abandon` gives it up.

    Parameters
    ----------
    path : str
        The file that is written, not yet at its place.
    name : str
        Of the movie, for messages.
    fps : float
    n : int
        Frames that there will be.
    notes : mapping of str to str
        What the file says of itself: title, comment.
    """

    def __init__(self, path: str, name: str, fps: float, n: int, notes: Mapping[str, str]) -> None:
        self.path, self.name, self.fps, self.n, self.notes = path, name, fps, n, dict(notes)

    @abstractmethod
    def add(self, picture: NDArray[np.uint8]) -> None:
        """Write a frame: RGB of shape (y, x, 3), of even sizes."""

    @abstractmethod
    def close(self) -> None:
        """Complete the file."""

    @abstractmethod
    def abandon(self) -> None:
        """Stop, whatever becomes of the file."""


class _MP4(FrameWriter):
    _film: _Film | None = None
    _writer: Any = None

    def add(self, picture: NDArray[np.uint8]) -> None:
        if self._film is None:
            film = _Film(picture.shape[1], picture.shape[0])
            self._writer = FFMpegWriter(
                fps=self.fps,  # type: ignore[arg-type]  # ffmpeg takes fractions too
                codec="h264",
                bitrate=-1,
                extra_args=list(_H264),
                metadata=self.notes,
            )
            with mpl.rc_context({"animation.ffmpeg_path": ffmpeg()}):
                self._writer.setup(film, self.path, 1)
            self._film = film
        self._film.picture = picture
        try:
            self._writer.grab_frame()
        except BrokenPipeError:
            self.close()  # which says why
            raise

    def close(self) -> None:
        try:
            self._writer.finish()
        except subprocess.CalledProcessError as error:
            said = str(error.stderr or "").strip().splitlines()
            raise OSError(
                f"{self.name}: ffmpeg stopped: {said[-1] if said else error.returncode}"
            ) from None

    def abandon(self) -> None:
        if self._film is not None:
            # Ctrl-C reaches ffmpeg too, which then says that it failed.
            with suppress(subprocess.CalledProcessError, OSError, ValueError):
                self._writer.finish()


def ffmpeg() -> str:
    """Find ffmpeg: that of matplotlib's settings, by default on the PATH, or imageio-ffmpeg's."""
    if FFMpegWriter.isAvailable():
        return FFMpegWriter.bin_path()
    try:
        import imageio_ffmpeg
    except ImportError:
        raise ImportError(_NO_FFMPEG) from None
    try:
        found: str = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:  # a package without the program, for rare machines
        raise ImportError(f"{_NO_FFMPEG}. imageio-ffmpeg says: {error}") from None
    return found


class _GIF(FrameWriter):
    """A GIF in which each frame has its own colours, and the part that changed.

    Pillow's own way to save many frames keeps all of them in memory.
    """

    _file: Any = None
    _before: Any = None

    def add(self, picture: NDArray[np.uint8]) -> None:
        from PIL import GifImagePlugin, Image, ImageChops

        image = Image.fromarray(picture)
        # Hundredths of a second; browsers show anything shorter than two of them as ten.
        duration = max(round(100 / self.fps), 2) * 10
        if self._file is None:
            self._file = open(self.path, "wb")  # noqa: SIM115  # closed by close or abandon
            _reduced(image).save(
                self._file, "GIF", loop=0, duration=duration, comment=self.notes.get("comment", "")
            )
            self._file.seek(-1, 2)  # the mark of the end
        else:
            changed = ImageChops.difference(image, self._before).getbbox() or (0, 0, 1, 1)
            blocks = GifImagePlugin.getdata(
                _reduced(image.crop(changed)), changed[:2], duration=duration, disposal=1,
                include_color_table=True,
            )  # fmt: skip
            for block in blocks:
                self._file.write(block)
        self._before = image

    def close(self) -> None:
        self._file.write(b";")
        self._file.close()

    def abandon(self) -> None:
        if self._file is not None:
            self._file.close()


def _reduced(image: Any) -> Any:
    return image.quantize(256)


class _HTML(FrameWriter):
    """A page with the frames in it, and buttons."""

    _film: _Film | None = None
    _writer: Any = None

    def __init__(self, *of_all: Any, limit: float) -> None:
        super().__init__(*of_all)
        self._limit = limit * 1e6
        self._n_done = 0

    def add(self, picture: NDArray[np.uint8]) -> None:
        if self._film is None:
            self._film = _Film(picture.shape[1], picture.shape[0])
            self._writer = HTMLWriter(
                fps=self.fps,  # type: ignore[arg-type]
                embed_frames=True,
                default_mode="loop",
                embed_limit=float("inf"),
            )
            self._writer.setup(self._film, self.path, 1)
        self._film.picture = picture
        self._writer.grab_frame()
        self._n_done += 1
        there = self._film.n_bytes * 4 / 3  # as text
        expected = there / self._n_done * self.n
        if there > self._limit or expected > 2 * self._limit:
            raise ValueError(
                f"{self.name}: about {human_bytes(expected)} of frames, embed_limit is "
                f"{human_bytes(self._limit)}. Take fewer steps, a lower dpi, a higher embed_limit, "
                "or .mp4"
            )

    def abandon(self) -> None:
        self._writer = None

    def close(self) -> None:
        self._writer.finish()
        text = Path(self.path).read_text(encoding="utf-8")
        # matplotlib's buttons are letters of a font on a server.
        text = re.sub(r"<link\s+rel=\"stylesheet\"\s+href=\"http[^>]*>", lambda _: _style(), text)
        title = html.escape(self.notes.get("title", ""))
        head = f'<!DOCTYPE html>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        Path(self.path).write_text(head + text, encoding="utf-8")


def _style() -> str:
    """Write the style sheet of the buttons."""
    rules = [f'.fa-{name}::before {{ content: "{text}"; }}' for name, text in _GLYPHS.items()]
    turned = ".fa-flip-horizontal { display: inline-block; transform: scaleX(-1); }"
    return "\n".join(["<style>", ".fa { font-style: normal; }", turned, *rules, "</style>"])


def writer_for(
    path: str, name: str, fps: float, n: int, notes: Mapping[str, str], embed_limit: float
) -> FrameWriter:
    """Make the writer that the end of a name asks for."""
    if path.endswith(".html"):
        return _HTML(path, name, fps, n, notes, limit=embed_limit)
    return (_MP4 if path.endswith(".mp4") else _GIF)(path, name, fps, n, notes)
