"""The command line without the demo's training."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dynsample
from dynsample import cuda
from dynsample.cli import bench, doctor, main
from dynsample.kernels import available


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: command"),
        (["train"], "invalid choice: 'train'"),
        (["demo", "cats"], "invalid choice: 'cats'"),
        (["demo", "digits", "--fraction", "1"], "must be in [0, 1), got 1"),
        (["demo", "digits", "--fraction", "nan"], "must be in [0, 1), got nan"),
        (["demo", "digits", "--fraction", "-0.1"], "must be in [0, 1), got -0.1"),
        (["demo", "digits", "--fraction", "half"], "must be in [0, 1), got half"),
        (["demo", "digits", "--seeds", "0"], "must be a whole number of at least 1, got 0"),
        (["demo", "digits", "--seeds", "2.5"], "must be a whole number of at least 1, got 2.5"),
        (["demo", "digits", "--epochs", "0"], "must be a whole number of at least 1, got 0"),
        (["demo", "digits", "--refresh-every", "0"], "must be a whole number of at least 1, got 0"),
        (["demo", "digits", "--seed", "-1"], "must be a whole number in [0, 2**32), got -1"),
        (["demo", "digits", "--policy", "kakurembo"], "invalid choice: 'kakurembo'"),
        (["demo", "digits", "--plot", "."], "--plot: . is a folder"),
        (["demo", "digits", "--plot", "f.doc"], "--plot must end in .png, .pdf, .svg, got f.doc"),
        (["demo", "digits", "--json", "missing/f.json"], "--json: cannot write into"),
        (["bench", "nothing"], "no bench 'nothing'"),
        (["bench", "--n", "0"], "--n must be at least 1, got 0"),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "usage:" not in error
    assert error.count("\n") == 1


def test_a_file_that_is_not_there_is_named_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, output = str(tmp_path / "missing.npy"), str(tmp_path / "kept.npy")
    with pytest.raises(SystemExit):
        main(["coreset", "--from", missing, "--fraction", "0.5", "-o", output])
    said = f"dynsample coreset: {missing}: No such file or directory; dynsample coreset --help"
    assert capsys.readouterr().err.startswith(said)


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"dynsample {dynsample.__version__}\n"


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sklearn" else find(name)
    )
    with pytest.raises(SystemExit):
        main(["demo", "digits"])
    error = capsys.readouterr().err
    assert "needs scikit-learn, not installed" in error
    assert 'pip install "dynsample[demo]"' in error


def test_help_needs_no_extra() -> None:
    code = (
        "import sys\n"
        "from dynsample.cli import main\n"
        "try: main(['demo', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'rich', 'sklearn', 'PIL', 'matplotlib'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--refresh-every" in run.stdout


def test_the_module_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "dynsample", "doctor"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "instruction set" in run.stdout


def test_doctor_says_what_is_used_and_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    findings = {line[:16].strip(): line[16:].strip() for line in lines}
    used, available = findings["instruction set"].split(" (available: ")
    assert used in available.rstrip(")").split()
    assert int(findings["threads"]) >= 1
    assert findings["numpy"][0].isdigit()
    assert findings["launched"] == "by none: one process"
    assert findings["driver"]


def test_doctor_names_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert doctor.launched() == "torchrun launched 4 processes (WORLD_SIZE=4)"


def test_doctor_names_a_package_that_is_missing() -> None:
    assert doctor.version("a-package-of-no-such-name") == "not found"


class FakeCuda:
    """A CUDA module that loads."""

    def __init__(self, devices: int) -> None:
        self.device_count = lambda: devices
        self.driver_version = lambda: 0
        self.runtime_version = lambda: 13000
        self.architectures = "90-real"


@pytest.mark.parametrize(
    ("devices", "finding"),
    [
        (0, "CUDA 13.0 for 90-real, loads; 0 devices: no NVIDIA driver was found"),
        (2, "CUDA 13.0 for 90-real, loads; devices: 2"),
    ],
)
def test_doctor_counts_devices(devices: int, finding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "load", lambda: FakeCuda(devices))
    assert doctor.cuda_status().startswith(finding)


def test_doctor_says_why_the_module_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> None:
        raise cuda.CudaUnavailable("it does not load: libcuda.so is gone")

    monkeypatch.setattr(available, "load", load)
    assert doctor.cuda_status() == "it does not load: libcuda.so is gone"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bench folder with a script that works and one that fails."""
    script = (
        "import json, sys\n"
        "options = dict(a[2:].split('=') for a in sys.argv[1:])\n"
        "line = {'bench': 'NAME', 'n': options.get('n')}\n"
        "open(options['json'], 'w').write(json.dumps(line) + '\\n')\n"
    )
    (tmp_path / "common.py").touch()
    (tmp_path / "bench_good.py").write_text(script.replace("NAME", "good"))
    (tmp_path / "bench_bad.py").write_text(script.replace("NAME", "bad") + "sys.exit(3)")
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    return tmp_path


def test_bench_collects_the_lines_of_all_scripts(checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.json"
    assert main(["bench", "all", "--n", "7", "--json", str(out)]) == 1  # one of them fails
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines == [{"bench": "bad", "n": "7"}, {"bench": "good", "n": "7"}]


def test_bench_without_a_name_lists_what_there_is(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()[:2]] == ["bad", "good"]


def test_bench_runs_what_was_asked_for(checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "good.json"
    assert main(["bench", "good", "--json", str(out)]) == 0
    assert json.loads(out.read_text()) == {"bench": "good", "n": None}


def test_bench_of_all_leaves_out_what_needs_a_gpu_and_is_not_there(
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (checkout / "bench_bad.py").rename(checkout / "bench_cuda.py")
    out = tmp_path / "all.json"

    def require() -> None:
        raise cuda.CudaUnavailable("no driver")

    monkeypatch.setattr(available, "require", require)
    assert main(["bench", "all", "--json", str(out)]) == 0
    assert json.loads(out.read_text())["bench"] == "good"
    assert "needs a GPU: cuda (no driver)" in capfd.readouterr().out
    assert main(["bench", "cuda"]) == 1


def test_bench_needs_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    with pytest.raises(SystemExit):
        main(["bench", "all"])
    assert "needs a checkout" in capsys.readouterr().err
