"""Fixtures for all tests: the simulated datasets, and counts that are printed at the end."""

from __future__ import annotations

import copy
import gc
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from dkist_assets import REAL, unpacked
from samples import mark_costly
from simulated import generate, once, shared_directory

# What these assert is shown as in a test module; said before anything imports them.
pytest.register_assert_rewrite("dataset_checks", "decoder_checks", "watches")


# A shell starts what is in the background with Ctrl-C ignored, and so would be the programs that
# tests start and interrupt: they would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# A busy machine is slow, which is not a fault of what is tested.
hypothesis.settings.register_profile(
    "no time limit", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("no time limit")

# Looking for cycles among all that there is takes a fifth of the time of all tests: that is done
# rarely, and not among modules and collected tests. Among what was made last it is done as always.
_OFTEN = gc.get_threshold()
gc.set_threshold(100_000, 50, 100)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_OFTEN[:2], 200)


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what -m does not select
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_costly(items)


@pytest.fixture(scope="session")
def simulated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """``simulated(name)``: the directory of a simulated dataset, one of ``simulated.NAMES``.

    It holds the frames and ``{name}.asdf``, is made when first asked for, and once for all
    workers of a run. Tests copy what they want to change.
    """
    base = shared_directory(request, tmp_path_factory)

    def directory(name: str) -> Path:
        return once(base / "simulated" / name, partial(generate, name))

    return directory


@pytest.fixture(scope="session")
def converted(
    request: pytest.FixtureRequest,
    simulated: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """``converted(name)``: the store of a simulated dataset, scanned, with references as JSON.

    It is made when first asked for, and once for all workers of a run. Tests only read it.
    """
    base = shared_directory(request, tmp_path_factory)

    def store(name: str) -> Path:
        import dkist_virtual as dv

        def make(place: Path) -> Path:
            dv.convert(simulated(name), place, progress=False)
            return place

        return once(base / "converted" / name, make)

    return store


@pytest.fixture(scope="session")
def datasets(simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``datasets(name)``: a simulated dataset, or one of `dkist_assets.REAL` without its frames.

    Opened from its ASDF, once in a process; of a mosaic the first tile.
    """
    import dkist_virtual as dv

    directory = tmp_path_factory.mktemp("real")
    opened: dict[str, Any] = {}

    def dataset(name: str) -> Any:
        if name not in opened:
            real = name in REAL
            place = unpacked(f"{name}.asdf.gz", directory) if real else simulated(name)
            ds = dv.open_dataset(place)
            opened[name] = ds.flat[0] if isinstance(ds, dv.TiledDataset) else ds
        return opened[name]

    return dataset


@pytest.fixture
def quick_retries() -> Iterator[None]:
    """Try failed requests again at once, and wait five seconds for an answer."""
    import dask

    with dask.config.set({"dkist_virtual.backoff": 0.001, "dkist_virtual.timeout": 5}):
        yield


@pytest.fixture(scope="module")
def original(simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with plain ``frames`` and their ASDF, ``json.virtual``, ``parquet.virtual``."""
    import dkist_virtual as dv

    directory = tmp_path_factory.mktemp("original")
    shutil.copytree(simulated("visp_plain"), directory / "frames")
    for how in ("json", "parquet"):
        dv.convert(directory / "frames", directory / f"{how}.virtual", references=how)  # type: ignore[arg-type]
    return directory


@pytest.fixture
def server(served: Any) -> Iterator[Any]:
    """The module's server ``served``, with nothing asked of it so far, and no faults."""
    from dkist_virtual.demo.server import no_fault

    served.forget()
    yield served
    served.fault = no_fault
    served.delay = 0.0


@pytest.fixture(scope="module")
def data_center(
    simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A Data Center on this machine that ``dkist.net`` asks, with its own home directory.

    It has datasets of three instruments, one of them twice: SIM000 replaced OLD000 and GONE00.
    """
    from dkist_virtual.demo.data_center import DataCenter

    home = tmp_path_factory.mktemp("home")
    served = tmp_path_factory.mktemp("archive")
    for name in ("visp", "vbi_mosaic", "cryonirsp"):
        (served / name).symlink_to(simulated(name))
    server = DataCenter(served)
    for record in server.records:
        if record["instrumentName"] == "VBI":
            record["spectralLines"] = ["H alpha (656.28 nm)"]
        if record["instrumentName"] == "CRYO-NIRSP":
            record |= {"isEmbargoed": True, "embargoEndDate": "2031-02-03T00:00:00.000"}
    for identity, status in (("OLD000", "DEPRECATED"), ("GONE00", "REMOVED")):
        server.add(
            served / "visp" / "visp.asdf",
            datasetId=identity,
            status=status,
            createDate="2023-01-02T03:04:05.000000",
        )
    with server.running(), server.asked(home):
        server.home = home
        yield server


@pytest.fixture
def catalogue(data_center: Any) -> Iterator[Any]:
    """The same with nothing asked of it so far, nothing kept, and no faults."""
    from dkist_virtual.demo.server import no_fault

    data_center.forget()
    data_center.queries.clear()
    shutil.rmtree(data_center.home / "cache" / "dkist_virtual", ignore_errors=True)
    records = copy.deepcopy(data_center.records)
    yield data_center
    data_center.fault = no_fault
    data_center.records[:] = records


@pytest.fixture
def globus(catalogue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Globus, a home directory with a login, and Globus Connect Personal in it."""
    from dkist.net.globus.endpoints import get_data_center_endpoint_id
    from globus_server import GlobusServer, connect_personal, log_in

    get_data_center_endpoint_id.cache_clear()
    home = tmp_path / "home"
    connect_personal(home)
    monkeypatch.setenv("HOME", str(home))
    archive = tmp_path / "archive"
    (archive / "collection" / "data" / "PROPOSAL").mkdir(parents=True)
    (archive / "collection" / "data" / "PROPOSAL" / "SIM000").symlink_to(
        catalogue.places["SIM000"].parent
    )
    server = GlobusServer(archive)
    with server.running():
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        log_in(catalogue.home)
        yield server
    shutil.rmtree(catalogue.home / "cache" / "dkist", ignore_errors=True)


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Decode with numpy whatever it can decode, as while no kernel is compiled."""
    from dkist_virtual.fits.compiled import background
    from dkist_virtual.fits.compiled.kernel import Kernel

    used: list[str] = []

    def find(self: Kernel, _: Any) -> None:
        used.append(self.name)

    monkeypatch.setattr(Kernel, "find", find)
    monkeypatch.setattr(background, "MOST_SECONDS", float("inf"))
    monkeypatch.setattr(background, "FREE_SECONDS", float("inf"))
    yield
    assert used


# What the decoder was compared with: counted in each process, printed once ----------------------

COUNTED = pytest.StashKey[set[str]]()
TOTALS = {
    "frame": "distinct frames were compared with astropy or the standard, bit for bit",
    "fitsio": "of them with cfitsio as well",
    "mutated": "mutated frames were decoded or refused",
}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNTED] = set()


@pytest.fixture(scope="session")
def count(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``count(test, case, fitsio=...)``: one more case for the sum that is printed at the end."""
    counted = request.config.stash[COUNTED]

    def add(test: str, case: object, *, fitsio: bool = False, kind: str = "frame") -> None:
        counted.add(f"{kind} {test} {case!r}")
        if fitsio:
            counted.add(f"fitsio {test} {case!r}")

    return add


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker of pytest-xdist
        output["counted"] = sorted(session.config.stash[COUNTED])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[COUNTED].update(getattr(node, "workeroutput", {}).get("counted", ()))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    kinds = [entry.partition(" ")[0] for entry in config.stash[COUNTED]]
    for kind, words in TOTALS.items():
        if kind in kinds:
            terminalreporter.write_line(f"{kinds.count(kind)} {words}")
