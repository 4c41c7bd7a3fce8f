"""Times of jdaviz's Cubeviz and of glue on the data of ``benchmarks/view.py``.

Neither opens a store, an ASDF of the Data Center, or many frames as one dataset: of a frame they
show the picture. So they are given what somebody would make for them, all of Stokes I of a scan as
one FITS cube in memory. Each runs in a Python of its own, which the caller names: they are no
dependencies of this package. Cubeviz is served by voila, and timed in Chromium from the click on
"next slice" until the texture of the new slice was on the screen. Glue's window of Qt is drawn
without a screen, and timed in its process.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from browser import Browser, start_chromium

CUBEVIZ = """
import astropy.units as u
from astropy.io import fits
from astropy.wcs import WCS
from jdaviz import Cubeviz
from specutils import Spectrum

with fits.open({cube!r}) as hdus:
    pixels, wcs = hdus[1].data.astype("f4"), WCS(hdus[1].header)
cubeviz = Cubeviz()
cubeviz.load(Spectrum(flux=pixels * u.ct, wcs=wcs), format="3D Spectrum")
cubeviz.show()
"""
HOOK = """
window.textures = 0;
for (const kind of [WebGLRenderingContext, WebGL2RenderingContext])
  for (const name of ["texImage2D", "texSubImage2D"]) {
    const real = kind.prototype[name];
    kind.prototype[name] = function (...given) {
      window.textures += 1;
      return real.apply(this, given);
    };
  }
window.addEventListener("click", () => {
  const began = performance.now(), before = window.textures;
  window.taken = null;
  const done = () => { window.taken = performance.now() - began };
  const look = () => {
    if (window.textures > before) requestAnimationFrame(done);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}, true);
"""
GLUE = """
import json, os, sys, time
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from glue.core import DataCollection
from glue.core.data_factories import load_data
from glue_qt.app import GlueApplication
from glue_qt.viewers.image import ImageViewer

began = time.perf_counter()
data = load_data(sys.argv[1])
app = GlueApplication(DataCollection([data]))
viewer = app.new_data_viewer(ImageViewer)
viewer.add_data(data)
viewer.axes.figure.canvas.draw()
found = {"load": 1000 * (time.perf_counter() - began), "steps": []}
for step in range(1, int(sys.argv[2]) + 1):
    began = time.perf_counter()
    viewer.state.slices = (step, 0, 0)
    viewer.axes.figure.canvas.draw()
    found["steps"].append(1000 * (time.perf_counter() - began))
print(json.dumps(found), flush=True)
os._exit(0)  # a window that nobody closes
"""
READERS = {
    "jdaviz": """
from jdaviz import Cubeviz

def made(path):
    app = Cubeviz()
    app.load(path)
    return [data.shape for data in app.app.data_collection]
""",
    "glue": """
from glue.core.data_factories import load_data

def made(path):
    return load_data(path).shape
""",
}
OPEN = """
import logging, sys, warnings

warnings.simplefilter("ignore")
logging.disable()
for path in sys.argv[1:]:
    name = path.rsplit("/", 1)[-1]
    try:
        print("@", name, "opens as", made(path))
    except Exception as error:
        said = str(error).strip().splitlines() or [""]
        print("@", name, "is refused:", type(error).__name__, said[0])
"""


def write_cube(store: Path, path: Path) -> Path:
    """Write Stokes I of the scan as one FITS cube, with linear coordinates."""
    from astropy.io import fits
    from astropy.wcs import WCS

    import dkist_virtual as dv

    pixels = dv.open_dataset(store)[0, 0].data.compute().astype(np.float32)
    wcs = WCS(naxis=3)
    wcs.wcs.ctype = ["HPLN-TAN", "HPLT-TAN", "WAVE"]
    wcs.wcs.cunit = ["deg", "deg", "m"]
    wcs.wcs.crpix = [490, 483, 1]
    wcs.wcs.crval = [-0.086, 0.040, 630.226e-9]
    wcs.wcs.cdelt = [5e-6, 5e-6, 2.4e-12]
    header = wcs.to_header()
    header["BUNIT"] = "ct"
    cube = fits.ImageHDU(pixels, header, name="SCI")
    fits.HDUList([fits.PrimaryHDU(), cube]).writeto(path, overwrite=True)
    return path


def open_alone(python: Path, reader: str, paths: list[Path]) -> list[str]:
    """Return what a reader says of each file: what it made of it, or its error."""
    run = subprocess.run(
        [python, "-c", READERS[reader] + OPEN, *map(str, paths)],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return [line[2:] for line in run.stdout.splitlines() if line.startswith("@ ")]


def cubeviz(python: Path, cube: Path, directory: Path, steps: int) -> dict[str, Any]:
    """Time the load of Cubeviz' page and its steps, in milliseconds."""
    cell = {
        "cell_type": "code", "id": "cubeviz", "metadata": {}, "outputs": [],
        "execution_count": None, "source": CUBEVIZ.format(cube=str(cube)),
    }  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = directory / "cubeviz.ipynb"
    notebook.write_text(
        json.dumps(
            {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4,
             "nbformat_minor": 5}
        )
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [python, "-m", "voila", notebook, "--no-browser", "--port", str(port)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stderr is not None
        url = next(line.strip() for line in server.stderr if line.startswith("http"))
        with start_chromium() as browser:
            return _click_through(browser, url, steps)
    finally:
        server.terminate()
        server.wait()


def _click_through(browser: Browser, url: str, steps: int) -> dict[str, Any]:
    browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HOOK})
    began = time.perf_counter()
    browser.driver.get(url)
    while not browser.script("return window.textures"):
        if time.perf_counter() - began > 120:
            raise SystemExit(f"Cubeviz shows no picture: {browser.text()[:500]}")
        time.sleep(0.05)
    load = 1000 * (time.perf_counter() - began)
    time.sleep(5)  # the spectrum is made, and a note covers a part of the page
    heads = browser.select(".v-expansion-panel-header")
    browser.click(next(head for head in heads if "Spectral Slice" in head.text))
    time.sleep(2)
    icons = {icon.text: icon for icon in browser.select(".v-expansion-panel--active i")}
    browser.click(icons["skip_previous"])
    time.sleep(2)
    found = []
    for _ in range(steps):
        browser.script("window.taken = null")
        browser.click(icons["exposure_plus_1"])
        found.append(float(browser.wait(lambda: browser.script("return taken"), "a new slice")))
        time.sleep(0.5)
    return {"load": load, "steps": found}


def glue(python: Path, cube: Path, steps: int) -> dict[str, Any]:
    """Time how glue opens a cube and steps through it, in milliseconds."""
    run = subprocess.run(
        [python, "-c", GLUE, str(cube), str(steps)],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return dict(json.loads(run.stdout.splitlines()[-1]))


def compare(
    store: Path, frames: Path, directory: Path, pythons: dict[str, Path | None], steps: int
) -> dict[str, Any]:
    """Time the programs whose Python is given, and print the table."""
    found: dict[str, Any] = {}
    cube = write_cube(store, directory / "stokes_i.fits")
    paths = [min(frames.glob("*.fits")), *frames.glob("*.asdf"), store, cube]
    for name, python in pythons.items():
        if python is None:
            continue
        said = open_alone(python, name, paths)
        times = (
            cubeviz(python, cube, directory, steps)
            if name == "jdaviz" else glue(python, cube, steps)
        )  # fmt: skip
        found[name] = {"opens": said, **times}
        print(f"\n{name}: opened in {times['load']:.0f} ms, a step {_both(times['steps'])}")
        print("\n".join(said), flush=True)
    return found


def _both(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} ms (median), {max(times):.0f} ms (worst)"
