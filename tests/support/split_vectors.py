"""Compare frames with astropy, by the kernel and for the processor that the environment names."""

from __future__ import annotations

from decoder_checks import check_decoded
from frames import METHODS, compressed, scene

from dkist_virtual.fits.compiled import background
from dkist_virtual.fits.tiled.processor import chosen_kernel

TILINGS = [
    ((97,), None),
    ((13, 129), None),
    ((13, 129), (4, 40)),
    ((40, 70), (9, 33)),
    ((3, 7, 41), (2, 7, 41)),
]


def main() -> None:
    """Compare all, and print how many."""
    background.MOST_SECONDS = 0.0  # wait for the kernels
    n = 0
    for dtype in ("u1", "i2", "u2", "i4", "f4", "f8"):
        for method in METHODS if dtype[0] == "f" else ["NO_DITHER"]:
            for shape, tile in TILINGS:
                for blanks in (0.0, 0.1) if dtype[0] == "f" else (0.0,):
                    flat = (tile or (1,) * (len(shape) - 1) + shape[-1:]) if blanks else None
                    data = scene(shape, dtype, seed=n, blanks=blanks, zeros=0.05, flat=flat)
                    check_decoded(compressed(data, tile=tile, method=method, seed=77 + n))
                    n += 1
    print(f"{chosen_kernel()}: decoded {n} frames")


if __name__ == "__main__":
    main()
