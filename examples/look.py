"""Look at a dataset: an image with sliders, the profiles of a pixel, pictures as files.

    python look.py [DIRECTORY]

Makes a small dataset first, and writes pictures into the directory. Needs
the extra ``demo``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import astropy.units as u

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(directory: Path) -> None:
    make_vtf(directory / "frames", shape=(4, 2, 5, 96, 128), echo=lambda _: None)
    ds = dv.open_dataset(directory / "frames")
    assert isinstance(ds, dv.Dataset)

    # 1. One frame is read, and each slider says where it is.
    plot = ds.plot()
    for slider in plot.sliders.widgets:
        print(f"{slider.label.get_text()}: {slider.valtext.get_text()}")

    # 2. What sliders do, by name: the nearest plane, a step.
    plot.at(stokes="V", wavelength=630.26 * u.nm)
    plot.step(1)
    print("Shown:", plot.sliders.widgets[0].valtext.get_text())
    plot.save(directory / "v.png")

    # 3. The Stokes profiles of a pixel; in a window, a click in the image asks for others.
    profile = plot.profile((45, 65))
    print("Panels:", ", ".join(axes.get_ylabel() for axes in profile.axes))
    profile.save(directory / "profiles.png")

    # 4. Another plane of the array, and a line.
    ds.plot([None, None, "x", "y", None]).save(directory / "wavelength-y.png")
    ds[0, 0, :, 45, 65].plot().save(directory / "line.png")
    print("Pictures:", ", ".join(sorted(path.name for path in directory.glob("*.png"))))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else made))
