"""The command line: help, output, exit statuses, and errors that are one line."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
from dkist_assets import INVERSION, NOT_DATASETS, ROOT, load, unpacked
from samples import mostly_slow

from dkist_virtual.cli.main import cli, main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process: exit status, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        status: Any = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            status = exit_.code
        out, err = capsys.readouterr()
        return int(status or 0), out, err

    return call


def command(*arguments: object, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own."""
    script = Path(sys.executable).with_name("dkist-virtual")
    return subprocess.run([script, *map(str, arguments)], capture_output=True, text=True, **how)


@pytest.fixture
def data(simulated: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(simulated("visp_moving"), tmp_path / "data"))


# Help -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *cli.commands])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_has_examples_a_line_each(name: str, option: str, run: Run) -> None:
    status, out, err = run(*name.split(), option)
    assert (status, err) == (0, "")
    assert out.startswith("Usage: ")
    _, _, after = out.partition("  Examples:\n")
    examples = after.partition("\n\n")[0].splitlines()
    assert examples
    assert all(line.strip() for line in examples)
    assert examples[0].strip().startswith(f"dkist-virtual {name}".rstrip())
    assert "\b" not in out
    assert "\\b" not in out


def examples() -> list[str]:
    """Every example of every help text, continued lines joined, explanations left out."""
    helps = [one.help or "" for one in (cli, *cli.commands.values())]
    joined = "\n".join(re.sub(r"\\\n\s*", " ", text) for text in helps)
    lines = [line.strip() for line in joined.splitlines()]
    return [line.partition("  ")[0] for line in lines if line.startswith("dkist-virtual ")]


@pytest.mark.parametrize("example", examples())
def test_examples_are_commands_as_they_are(example: str) -> None:
    name, *arguments = shlex.split(example)[1:]
    # Parses without running: an option or argument that is not there is an error.
    # With the settings of the program: click keeps the names of a help option from its first use.
    program = click.Context(cli, **cli.context_settings)
    cli.commands[name].make_context(name, arguments, parent=program)


def test_there_are_examples_for_all_commands() -> None:
    assert {shlex.split(example)[1] for example in examples()} == set(cli.commands)


def test_every_command_and_option_is_explained() -> None:
    for one in cli.commands.values():
        assert one.get_short_help_str()
        for parameter in one.params:
            assert not isinstance(parameter, click.Option) or parameter.help


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"dkist-virtual, version {version('dkist_virtual')}\n", "")


# What the commands do ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_path_of_a_first_dataset(data: Path) -> None:
    """In processes of their own, as a user would."""
    store = data.parent / "store"
    done = command("convert", data, store, "--scan", "always")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{store}: ")
    assert done.stdout.endswith(" s, 6 scanned\n")
    done = command("verify", store, "--against", "astropy", "--sample", 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 of 6 frames looked at, 2 compared with astropy" in done.stdout
    assert "bit for bit" in done.stdout


def test_info_says_what_dkist_says(data: Path, run: Run) -> None:
    asdf = data / "visp_moving.asdf"
    dataset = load(asdf)
    store = data.parent / "store"
    assert run("convert", asdf, store)[0] == 0
    n_bytes = sum(path.stat().st_size for path in data.glob("*.fits"))
    for place, known in ((store, n_bytes), (asdf, None)):
        status, out, err = run("info", place)
        assert (status, err) == (0, "")
        assert out.startswith(f"VISP Dataset {dataset.inventory['datasetId']}\n")
        status, out, err = run("info", place, "--json")
        assert (status, err) == (0, "")
        found = json.loads(out)
        assert found["dataset_id"] == dataset.inventory["datasetId"]
        assert tuple(found["shape"]) == dataset.data.shape
        assert (found["n_frames"], found["n_bytes"]) == (6, known)
        assert found["unit"] == dataset.unit.to_string()


@pytest.mark.slow
def test_options_of_convert(data: Path, run: Run) -> None:
    store = data.parent / "store"
    moved = data.rename(data.parent / "moved")
    asdf = Path(shutil.move(moved / "visp_moving.asdf", data.parent / "alone.asdf"))
    status, out, err = run(
        "convert", asdf, store, "--frames", moved, "--base", "https://a.org/b",
        "--references", "parquet", "--workers", 2,
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "6 scanned" in out
    assert (store / "references.parq").is_dir()
    status, out, err = run("convert", asdf, store)
    assert (status, out) == (1, "")
    assert "--overwrite" in err
    status, out, err = run("convert", asdf, store, "--overwrite", "--scan", "never")
    assert (status, err) == (0, "")
    assert "No frame was scanned" in out
    assert (store / "references.json").is_file()


def test_the_newest_of_several(data: Path, run: Run) -> None:
    shutil.copy(data / "visp_moving.asdf", data / "zz_new.asdf")
    status, out, _ = run("convert", data, data.parent / "store")
    assert status == 0
    assert "Took zz_new.asdf, the newest; passed over: visp_moving.asdf" in out


@pytest.mark.parametrize("as_json", [False, True])
def test_exit_statuses_of_a_comparison(as_json: bool, data: Path, run: Run) -> None:
    asdf = data / "visp_moving.asdf"
    how = ["--json"] * as_json

    def verify(*more: object) -> tuple[int, Any]:
        status, out, err = run("verify", asdf, "--against", "astropy", *how, *more)
        assert err == ""
        return status, json.loads(out)["counts"] if as_json else out

    status, said = verify("--sample", 3)
    assert status == 0
    assert said == {"equal": 3} if as_json else "3 equal" in said
    first = sorted(data.glob("*.fits"))[0]
    first.write_bytes(first.read_bytes()[:20_000])
    status, said = verify()
    assert status == 1
    assert said == {"equal": 5, "refused": 1} if as_json else "5 equal, 1 refused" in said
    status, said = verify("--frames", data / "nowhere")
    assert status == 2
    assert said == {"unreachable": 6} if as_json else "No frame could be read" in said


def test_a_warning_is_one_line(data: Path, run: Run) -> None:
    store = data.parent / "store"
    assert run("convert", data, store)[0] == 0
    (store / "verify.json").write_text("[]")
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # which Python does for those of this package
        for command_line in (["info", store], ["download", store, data, "--dry-run"]):
            status, _, err = run(*command_line)
            assert status == 0
            assert err == f"Warning: {store}/verify.json: cannot be read: verify the store again\n"


# Errors -----------------------------------------------------------------------------------------


def assert_one_line(status: int, out: str, err: str, *said: str) -> None:
    assert (status, out) == (1, "")
    assert err.startswith("Error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    for words in said:
        assert words in err


def test_errors_are_one_line(data: Path, tmp_path: Path, run: Run) -> None:
    store, nowhere = tmp_path / "store", tmp_path / "nowhere"
    (tmp_path / "file").write_bytes(b"not ASDF")
    assert_one_line(*run("convert", nowhere, store), str(nowhere))
    assert_one_line(*run("convert", tmp_path / "file", store), "not an ASDF file")
    assert_one_line(*run("convert", data, tmp_path / "file"), "exists already")
    assert_one_line(*run("convert", data, tmp_path / "file" / "store"), str(tmp_path / "file"))
    assert_one_line(*run("convert", data, "s3://bucket/store"), "s3://bucket/store")
    assert_one_line(*run("info", nowhere), "no store here")
    assert_one_line(*run("verify", nowhere), "no store here")
    for path in data.glob("*.fits"):
        path.write_bytes(b"")
    frame = sorted(data.glob("*.fits"))[0]
    assert_one_line(*run("convert", data, store), f"{frame}: the file is empty")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "file"]


@pytest.mark.slow
def test_a_broken_frame_in_a_process_of_its_own(data: Path) -> None:
    frame = sorted(data.glob("*.fits"))[4]
    frame.write_bytes(frame.read_bytes()[:3000])
    done = command("convert", data, data.parent / "store")
    assert_one_line(done.returncode, done.stdout, done.stderr, str(frame), "HDU 1", "no END card")
    assert [p.name for p in data.parent.iterdir()] == ["data"]


@pytest.mark.every(8)
@pytest.mark.parametrize("name", ["convert", "info", "download", "verify"])
@pytest.mark.parametrize("packed", [False, True])
def test_something_else_is_called_so(name: str, packed: bool, tmp_path: Path, run: Run) -> None:
    other = ROOT / INVERSION if packed else unpacked(NOT_DATASETS[0], tmp_path)
    more = [tmp_path / "out"] if name in ("convert", "download") else []
    said = "is gzipped: unpack it" if packed else "expected the key dataset, found gwcs"
    assert_one_line(*run(name, other, *more), str(other), said)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["convert", "info", "download", "verify"])
def test_storage_options_from_a_file(name: str, data: Path, tmp_path: Path, run: Run) -> None:
    from dkist_virtual.demo.server import FrameServer

    with FrameServer(data).running() as server:
        options = tmp_path / "options.json"
        secret = {"headers": {"Authorization": "Bearer 123"}}
        options.write_text(json.dumps({f"{server.url}/": secret}))
        more = [tmp_path / "out"] if name in ("convert", "download") else []
        asdf = f"{server.url}/visp_moving.asdf"
        status, _, err = run(name, asdf, *more, "--storage-options", options)
        assert (status, err) == (0, "")
        assert server.requests
        assert {sent.get("Authorization") for sent in server.headers} == {"Bearer 123"}
    # Into what it made nothing of them goes.
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"Bearer" not in path.read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "expected an object of URL prefixes"),
        ('{"https": {"headers": {}}}', "would go to every server"),
        ('{"https://a.org": 3}', "expected a dict"),
    ],
)
def test_storage_options_that_are_none(text: str, said: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "options.json").write_text(text)
    status, out, err = run("info", "a", "--storage-options", tmp_path / "options.json")
    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert"],
        ["convert", "a"],
        ["convert", "a", "b", "--scan", "sometimes"],
        ["convert", "a", "b", "--workers", "0"],
        ["verify", "a", "--sample", "0"],
        ["verify", "a", "--against", "memory"],
        ["verify", "a", "--against", "astropy", "--slice", "0"],
        ["nonsense"],
        ["info", "a", "--nonsense"],
    ],
    ids=" ".join,
)
def test_usage_errors(arguments: list[str], run: Run) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("Usage: ")
    assert err.splitlines()[-1].startswith("Error: ")


# plot ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    mostly_slow(
        [
            ("vtf", ["--stokes", "V", "--time", "2020-03-12T03:12:40"]),
            ("visp", ["--slice", "0, :, 5"]),
            ("visp", ["--axes", "-, x, -, y", "--wavelength", "630.2 nm"]),
            ("visp", ["--profile", "2, 30", "--dpi", "60"]),
            ("dlnirsp", []),
            ("vbi_mosaic", ["--slice", "1"]),
        ],
        ("visp", ["--axes", "-, x, -, y", "--wavelength", "630.2 nm"]),
    ),
)
def test_plot_writes_a_picture(
    name: str, options: list[str], simulated: Any, tmp_path: Path, run: Run
) -> None:
    picture = tmp_path / "picture.png"
    place = simulated(name)
    run("--version")  # what the simulator prints is not what is looked at
    status, printed, err = run("plot", str(place), "-o", str(picture), *options)
    assert (status, err) == (0, "")
    assert printed == f"{picture}\n"
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert picture.stat().st_size > 5000


@pytest.mark.slow
def test_plot_writes_a_movie(simulated: Any, tmp_path: Path, run: Run) -> None:
    place = str(simulated("vtf"))
    run("--version")
    for axis in ("wavelength", "2"):
        movie = tmp_path / f"{axis}.gif"
        more = ["--movie", str(movie), "--axis", axis, "--stokes", "V", "--dpi", "30"]
        status, printed, err = run("plot", place, *more)
        assert (status, printed, err) == (0, f"{movie}\n", "")
        assert movie.read_bytes()[:6] == b"GIF89a"
    status, _, err = run("plot", place, "--movie", str(tmp_path / "a.avi"))
    assert status == 2
    assert "expected a name that ends in .mp4, .gif, .html" in err
    status, _, err = run("plot", place, "--movie", str(movie), "--axis", "sky")
    assert status == 1
    assert "axis = 'sky': no slider is that" in err


@pytest.mark.every(10)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--profile", "a"], "expected whole numbers"),
        (["--wavelength", "630"], "expected a number and a unit"),
        (["--axes", "x, y"], "expected 5 entries"),
        (["--axes", "...", "--profile", "1"], "give one of them"),
        (["--stokes", "K"], "not a Stokes parameter"),
        (["--profile", "99, 3"], "out of range"),
        (["--movie", "a.mp4"], "--movie and -o: give one of them"),
        (["--axis", "time"], "--axis and --fps are for a movie"),
    ],
)
def test_plot_refuses(
    options: list[str], says: str, simulated: Any, tmp_path: Path, run: Run
) -> None:
    picture = tmp_path / "picture.png"
    status, _, err = run("plot", str(simulated("vtf")), "-o", str(picture), *options)
    assert status != 0
    assert says in err
    assert not picture.exists()
