"""The panel of profiles, without a browser: what it draws of a state, and what clicks do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from now import opened_panel
from pictured import SPECTRA, C, Image, spectral_axis

from dkist_virtual.view.panels.curves.units import Units, speed_ticks
from dkist_virtual.view.panels.profile import ProfilePanel
from dkist_virtual.view.pictures.geometry import geometry_of
from dkist_virtual.view.reading.means import field_of

if TYPE_CHECKING:
    from dkist_virtual.view.session import Session

MINUS = "\N{MINUS SIGN}"


def opened(ds: Any) -> tuple[Session, ProfilePanel]:
    return opened_panel(ds, ProfilePanel)


@pytest.fixture
def vtf(datasets: Any) -> tuple[Any, Session, ProfilePanel]:
    return datasets("vtf"), *opened(datasets("vtf"))


def drawn(panel: ProfilePanel, stokes: int) -> np.ndarray:
    return np.asarray(panel.figures[stokes]._point.data["y"])


def test_a_plot_for_each_stokes_parameter_of_the_point(vtf: Any) -> None:
    ds, session, panel = vtf
    session.model.change(point=(0, 1, 2, 9, 8))
    for stokes in range(4):
        np.testing.assert_array_equal(drawn(panel, stokes), np.asarray(ds.data[stokes, 1, :, 9, 8]))
    assert panel.figures[0]._here.location == panel.scale.values[2]
    assert panel.title == "Spectrum"
    assert [one.figure.yaxis[0].axis_label[0] for one in panel.figures] == list("IQUV")


def test_a_click_goes_to_the_nearest_wavelength_and_reads_nothing(vtf: Any) -> None:
    _, session, panel = vtf
    profile = panel.profile
    nm = panel.scale.values
    panel._move(0.6 * nm[1] + 0.4 * nm[2])
    assert session.model.state.point[2] == 1
    assert panel.profile is profile
    assert panel.figures[3]._here.location == nm[1]


def test_pins_are_compared_in_looks_of_their_own(vtf: Any) -> None:
    ds, session, panel = vtf
    session.model.change(pins=((0, 0, 1, 3, 4), (3, 1, 2, 20, 30)))
    for number, (t, y, x) in enumerate(((0, 3, 4), (1, 20, 30))):
        source, (line, _) = panel.figures[1]._pins[number]
        np.testing.assert_array_equal(source.data["y"], np.asarray(ds.data[1, t, :, y, x]))
        assert line.visible
    looks = [(dots.glyph.marker, line.glyph.line_dash, line.glyph.line_color)
             for _, (line, dots) in panel.figures[1]._pins]  # fmt: skip
    assert len(set(map(str, looks))) == 2
    session.model.change(pins=())
    assert not any(line.visible for _, (line, _) in panel.figures[1]._pins)


def test_velocities_above_once_a_line_is_chosen(datasets: Any) -> None:
    session, panel = opened(datasets("visp"))
    speeds = panel.figures[0].speeds
    assert not speeds.visible
    rest = float(panel.scale.values[30])
    session.model.change(line=rest)
    assert speeds.visible
    places = np.asarray(speeds.ticker.ticks)
    labels = [speeds.major_label_overrides[place].replace("\N{MINUS SIGN}", "-")
              for place in places.tolist()]  # fmt: skip
    np.testing.assert_allclose(
        299_792.458 * (places / rest - 1), np.asarray(labels, float), atol=1e-6
    )
    assert "0" in labels
    assert "km/s" in panel.read_out.text


@pytest.mark.parametrize("what", SPECTRA)
def test_velocities_on_any_spectral_axis(what: str) -> None:
    ctype, unit, ends, own = SPECTRA[what]
    image = Image(np.ones((21, 2, 5), np.float32), spectral_axis(ctype, unit, ends, own))
    session, panel = opened(image)
    first = panel.figures[0]
    session.model.change(line=630.0, point=(20, 0, 0))
    if what in ("velocities", "uncalibrated", "without a unit"):
        assert not first.speeds.visible
        assert not first._line.visible
        assert "km/s" not in panel.read_out.text
        return
    # By hand: the last pixel is 0.01 nm from the line, on the side that the axis counts towards.
    sign = "+" if what in ("wavelengths", "frequencies") else MINUS
    assert f"{sign}4.76 km/s" in panel.read_out.text
    in_nm: Any = {
        "WAVE": lambda metres: 1e9 * metres, "FREQ": lambda hertz: 1e9 * C / hertz,
        "WAVN": lambda per_metre: 1e9 / per_metre,
    }[ctype]  # fmt: skip
    places = np.asarray(first.speeds.ticker.ticks)
    labels = [
        float(first.speeds.major_label_overrides[place].replace(MINUS, "-")) for place in places
    ]
    assert len(labels) > 2
    np.testing.assert_allclose(C / 1000 * (in_nm(places) / 630 - 1), labels, atol=1e-5)
    assert in_nm(first._line.location) == pytest.approx(630)


def test_fractions_and_division_by_the_mean(vtf: Any) -> None:
    ds, session, panel = vtf
    session.model.change(point=(0, 1, 2, 9, 8), fractions=True)
    mean = panel.reference.values
    at = int(np.argmin(np.abs(mean - np.percentile(mean, 95))))
    profiles = np.asarray(ds.data[:, 1, :, 9, 8], float)
    np.testing.assert_allclose(drawn(panel, 3), profiles[3] / profiles[0, at])
    assert panel.figures[3].figure.yaxis[0].axis_label == "V / Ic"
    session.model.change(fractions=False, detrended=True)
    np.testing.assert_allclose(drawn(panel, 0), profiles[0] / mean)
    np.testing.assert_allclose(panel.figures[0]._mean.data["y"], 1)
    assert panel.options.active == [1]


def test_the_box_is_the_field_of_the_mean(vtf: Any) -> None:
    ds, session, panel = vtf
    state = session.model.state
    geometry = geometry_of(session.source.subject, state.pictures[0].axes, state.point)
    (left, bottom), (right, top) = (
        [float(v) for v in geometry.world(*at)] for at in ((6.6, 3.6), (18.4, 9.4))
    )
    session.model.change(box=(left, right, bottom, top))
    field = field_of(session.source, session.model.state)
    assert field == {4: range(7, 19), 3: range(4, 10)}
    cube = np.asarray(ds.data[0, 1, :, 4:10, 7:19], float)
    np.testing.assert_allclose(panel.reference.values, cube.mean(axis=(1, 2)))


def test_a_light_curve_of_a_movie_has_no_mean(datasets: Any) -> None:
    ds = datasets("vbi_mosaic_missing")
    session, panel = opened(ds)
    assert panel.title == "Light curve"
    assert panel.reference is None
    y, x = session.model.state.point[1:]
    np.testing.assert_array_equal(drawn(panel, 0), np.asarray(ds.data[:, y, x]))


def test_one_axis_alone_is_a_line(datasets: Any) -> None:
    ds = datasets("visp")[0, 1, :, 20]
    _, panel = opened(ds)
    np.testing.assert_array_equal(drawn(panel, 0), np.asarray(ds.data))
    assert len(panel.figures) == 1


def test_units_leave_out_what_is_not_known() -> None:
    profiles = np.array([[2.0, 4, 0], [1, 1, 1]])
    units = Units("ct", fractions=True, reference=np.array([1.0, 2, 0]))
    np.testing.assert_array_equal(units.values(profiles, 0)[1], [0.25] * 3)
    profiles[0, 1] = np.nan
    assert np.isnan(units.values(profiles, 0)).all()
    detrended = Units("", detrended=True, reference=np.array([1.0, 2, 0]))
    np.testing.assert_array_equal(detrended.values(profiles, 0)[1], [1, 0.5, np.nan])
    assert Units("ct").label("V") == "V [ct]"


def test_a_plot_has_room_for_all_curves_and_stays_where_nothing_is_known(vtf: Any) -> None:
    _, session, panel = vtf
    session.model.change(pins=((0, 1, 1, 3, 4),))
    plot = panel.figures[0]
    (pin, _), mean = plot._pins[0], plot._mean.data["y"]
    values = np.concatenate([drawn(panel, 0), pin.data["y"], mean])
    ends = plot.figure.y_range.start, plot.figure.y_range.end
    assert ends[0] < values.min() <= values.max() < ends[1]
    session.model.change(pins=())
    plot.show_mean(None)
    before = plot.figure.y_range.start, plot.figure.y_range.end
    plot.show(np.full(3, np.nan), np.zeros(3, np.uint8))
    assert (plot.figure.y_range.start, plot.figure.y_range.end) == before


def test_round_velocities() -> None:
    assert speed_ticks(-11.4, 11.5, 5) == [-10, -5, 0, 5, 10]
