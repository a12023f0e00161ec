"""Sessions: ``nox -l`` lists them. Environments and the one PyTorch they share are in .nox.

Most sessions work in one environment, ``common_python``; those that ask for other versions, or for
no extras, have their own.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint", "typecheck"]
nox.options.reuse_existing_virtualenvs = True

CONSTRAINTS = "constraints.txt"
TORCH = "2.13.0"
ENVIRONMENTS = Path(".nox").resolve()
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# Sessions that work in the environment of common_python.
common_session = nox.session(venv_backend="none")


def printed(python: str, code: str) -> str:
    """Text that code prints in an environment; ``--install-only`` runs nothing else."""
    return subprocess.check_output([python, "-c", code], text=True).strip()


def own_python(session: nox.Session) -> str:
    """Python of the session's own environment."""
    return str(shutil.which("python", path=session.bin))


def pip_install(session: nox.Session, python: str, *arguments: str) -> None:
    """Install into the environment of a Python, at the versions of the constraints file."""
    session.run_install(
        python, "-m", "pip", "install", "--no-compile", "--constraint", CONSTRAINTS, *arguments
    )


def install_torch(session: nox.Session, python: str, version: str = TORCH) -> None:
    """Make PyTorch importable, by its version: a plain "torch" may bring gigabytes of CUDA.

    It is installed once, beside the environments, and each finds it through a .pth file.
    """
    where = "import sys, sysconfig; print(*sys.version_info[:2], sysconfig.get_path('purelib'))"
    major, minor, packages = printed(python, where).split(" ", 2)
    shared = ENVIRONMENTS / "shared" / f"torch-{version}-python{major}.{minor}"
    if not shared.exists():
        session.log(
            f"Set-up, once for all sessions: PyTorch {version}, the largest part. The CPU build "
            "downloads 0.2 GB and takes 0.8 GB of disk, a CUDA build 3 GB and 7 GB. Then the "
            "package and what it needs, up to 1.5 GB in all. Some minutes."
        )
        part = shared.with_name(f"{shared.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        pip_install(session, python, "--no-deps", "--target", str(part), f"torch=={version}")
        part.rename(shared)
    Path(packages, "shared-torch.pth").write_text(f"{shared}\n")


def source_digest() -> str:
    """Digest of all that decides what an installation holds."""
    files = ["pyproject.toml", CONSTRAINTS, *glob.glob("src/xsubpix/**/*", recursive=True)]
    digest = hashlib.sha256()
    for name in sorted(files):
        path = Path(name)
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def install(session: nox.Session, python: str, *extras: str) -> None:
    """Install the package with extras.

    What is installed already, of these very sources, is not built again.
    """
    install_torch(session, python)
    target = f".[{','.join(extras)}]" if extras else "."
    stamp = Path(printed(python, "import sys; print(sys.prefix)"), "installed.txt")
    digest = source_digest()
    lines = stamp.read_text().split("\n") if stamp.exists() else []
    if lines[:1] != [digest]:
        lines = [digest]
    if target in lines:
        session.log(f"{target} is installed and unchanged: nothing to build.")
        return
    # Modules are compiled when first imported: a third of the disk and of the time less.
    pip_install(session, python, target)
    stamp.write_text("\n".join([*lines, target]))


def common_python(session: nox.Session, *extras: str) -> str:
    """Python of the environment that all sessions with extras share, with these installed.

    An environment for each would hold the same gigabyte several times.
    """
    folder = ENVIRONMENTS / "common-python{}.{}".format(*sys.version_info[:2])
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    if not os.path.exists(python):
        session.run_install(sys.executable, "-m", "venv", str(folder))
    install(session, python, *extras)
    return python


@common_session
def demo(session: nox.Session) -> None:
    """Measure an earthquake on a satellite image; see the folder xsubpix-demo."""
    python = common_python(session, "demo")
    # The folder xsubpix-demo is the demo's own: a second run replaces what the first one wrote.
    session.run(python, "-m", "xsubpix", "demo", *(session.posargs or ["--overwrite"]))


def run_tests(session: nox.Session, python: str, *options: str) -> None:
    """Run the tests, or what the arguments ask for."""
    arguments = session.posargs or ["-n", str(os.cpu_count() or 1)]
    # A process that has nothing left to do takes tests of another.
    shared = ("--dist", "worksteal") if "-n" in arguments else ()
    session.run(python, "-m", "pytest", *options, *shared, *arguments, env=ONE_THREAD)


@common_session
def tests(session: nox.Session) -> None:
    """Run all tests and the examples of docstrings."""
    python = common_python(session, "tests")
    if shutil.which("gfortran"):
        # Okada's rectangles, against which dislocations are tested; built from Fortran.
        pip_install(session, python, "okada-wrapper")
    run_tests(session, python)
    if not session.posargs:
        # Examples in docstrings, of the sources: the installed package has no conftest.py.
        session.run(
            python, "-m", "pytest", "-n", str(os.cpu_count() or 1), "--doctest-modules", "src",
            env={**ONE_THREAD, "PYTHONPATH": "src"},
        )  # fmt: skip


@common_session
def fuzz(session: nox.Session) -> None:
    """Mutate files of every kind, a thousand each or as many as is said: ``-- 5000 zarr``."""
    python = common_python(session, "tests")
    session.run(
        python, os.path.join("tests", "fuzz", "mutations.py"), *(session.posargs or ["1000"]),
        env=ONE_THREAD,
    )  # fmt: skip


@nox.session
def tests_newest(session: nox.Session) -> None:
    """Run the tests with the newest dependencies that there are, of all extras."""
    python = own_python(session)
    install_torch(session, python, os.environ.get("XSUBPIX_TORCH", TORCH))
    session.install("--upgrade", ".[tests]")
    run_tests(session, python)


@nox.session
def tests_oldest(session: nox.Session) -> None:
    """Run the tests with the oldest dependencies that pyproject.toml allows.

    uv resolves and installs them. PyTorch comes from pip, as in every session, and in the version
    of the constraints file: PyPI has its older versions with CUDA alone. Where the index has builds
    for CPUs, ``XSUBPIX_TORCH=2.4.0`` takes the oldest that is allowed.
    """
    version = os.environ.get("XSUBPIX_TORCH", TORCH)
    python = own_python(session)
    install_torch(session, python, version)
    session.install("uv")
    folder = session.create_tmp()
    never, oldest = os.path.join(folder, "no-torch.txt"), os.path.join(folder, "oldest.txt")
    Path(never).write_text("torch ; python_version < '3'\n")
    number = printed(python, "import sys; print('%d.%d' % sys.version_info[:2])")
    session.run_install(
        "uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--override", never,
        "--extra", "tests", "--python-version", number,
        "pyproject.toml", "--output-file", oldest,
    )  # fmt: skip
    # The list is whole; uv would look for PyTorch, which is no package of this environment.
    session.run_install("uv", "pip", "install", "--no-deps", "--requirement", oldest)
    session.install("--no-deps", ".")
    # It is there; what it needs itself is not in the list.
    session.install(f"torch=={version}")
    # Old packages use what newer ones below them deprecate: that is not ours to mend.
    kinds = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
    theirs = [f"-Wdefault::{kind}" for kind in kinds]
    # numpy itself says that this one means nothing.
    run_tests(session, python, *theirs, "-Wdefault:numpy.ndarray size changed:RuntimeWarning")


@nox.session
def tests_no_extras(session: nox.Session) -> None:
    """Run the tests with the core alone: what needs an extra is skipped, and says which."""
    python = own_python(session)
    install(session, python)
    pip_install(session, python, "pytest", "pytest-xdist", "hypothesis")
    run_tests(session, python)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style of the code."""
    session.install("--constraint", CONSTRAINTS, "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check the types, with the packages of the sessions that share an environment."""
    session.install("--constraint", CONSTRAINTS, "mypy")
    session.run("mypy", "--python-executable", common_python(session, "tests"))


@common_session
def docs(session: nox.Session) -> None:
    """Build the documentation, in docs/_build/html."""
    python = common_python(session, "docs", "demo")
    session.run(
        python, "-m", "sphinx", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html",
        *session.posargs, env=ONE_THREAD,
    )  # fmt: skip


def install_peers(session: nox.Session) -> str:
    """Install the packages of others that are compared with; the Python that has them."""
    python = common_python(session, "bench")
    # With its dependencies pyxel brings opencv-python, over the modules of the opencv extra.
    pip_install(session, python, "gmsh", "meshio")
    pip_install(session, python, "--no-deps", "pyxel-dic", "interpylate")
    return python


@common_session
def bench(session: nox.Session) -> None:
    """Run every benchmark, or those named; each prints its figures beside a peer's."""
    python = install_peers(session)
    scripts = session.posargs or [
        os.path.join("benchmarks", name)
        for name in sorted(os.listdir("benchmarks"))
        if name.startswith("bench_") and name.endswith(".py")
    ]
    for script in scripts:
        session.run(python, script)


@common_session
def bench_track(session: nox.Session) -> None:
    """Time ten operations beside their stored times; ``-- --save`` stores new ones."""
    python = common_python(session, "database", "micmac", "opencv")
    pip_install(session, python, "pytest", "pytest-benchmark")
    times = os.path.join(session.create_tmp(), "times.json")
    # Time of the processor, not of the clock: other programs disturb it less.
    session.run(
        python, "-m", "pytest", "benchmarks/track_speeds.py", "--quiet", "--benchmark-quiet",
        "--benchmark-timer=time.process_time", f"--benchmark-json={times}", env=ONE_THREAD,
    )  # fmt: skip
    session.run(python, "benchmarks/track_report.py", times, *session.posargs)


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """Try every CUDA path with the Python at hand, whose torch knows the machine's GPU."""
    session.run(
        "python", os.path.join("benchmarks", "gpu.py"), *session.posargs,
        env={"PYTHONPATH": "src"}, external=True,
    )  # fmt: skip


@common_session
def figures(session: nox.Session) -> None:
    """Measure again, and draw again, what the documentation and README.md show of the network.

    Needed when its weights change; XSUBPIX_DATA holds the images. Then ``nox -s evaluate``. What
    is known of other models stays; ``-- all`` measures them too, and takes an hour or more.
    """
    python = common_python(session, "bench", "explore")
    models = session.posargs or ["unet"]
    chosen = [] if models == ["all"] else ["--models", *models]
    for name in ("star", "bias", "reach", "yahtse"):
        session.run(
            python, os.path.join("benchmarks", f"bench_{name}.py"), *chosen,
            "--out", os.path.join("docs", "benchmarks"),
        )  # fmt: skip
    for name in ("draw_glacier", "draw_explore", "readme_table"):
        session.run(python, os.path.join("docs", f"{name}.py"))


@common_session
def evaluate(session: nox.Session) -> None:
    """Print and write the table of networks and correlators; XSUBPIX_DATA holds the images.

    With names of models, ``-- unet unet-smooth``, their rows alone are measured again.
    """
    python = install_peers(session)
    folder = os.path.join(os.environ["XSUBPIX_DATA"], "landsat7")
    database = os.path.join(session.create_tmp(), "test.zarr")
    # Frames of a split do not depend on how many the others have: the test frames alone.
    session.run(
        python, "-m", "xsubpix", "database", "build",
        *sorted(glob.glob(os.path.join(folder, "*_pan.tif"))),
        "--multispectral", "_pan:_ms", "--location", r"P\d+R\d+", "--validation", "P091R083",
        "--test", "P090R083", "--faults", "1,1,60", "--frame", "512", "--crop", "256",
        "--out", database, env=ONE_THREAD,
    )  # fmt: skip
    models = session.posargs or [
        "unet", "unet-smooth", "geoflownet", "flownet-sd", "window-cnn",
        "cosi-corr:window=32", "cosi-corr:window=64", "deepflow", "dis", "tvl1",
        "benchmarks/peers.py:openpiv", "benchmarks/peers.py:pyxel",
    ]  # fmt: skip
    session.run(
        python, "-m", "xsubpix", "evaluate", *models, "--data", database,
        "--workers", str(os.cpu_count() or 1), "--out", os.path.join("docs", "benchmarks"),
        "--update" if session.posargs else "--overwrite", env=ONE_THREAD,
    )  # fmt: skip
    session.run(python, os.path.join("docs", "readme_table.py"))


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and the source distribution, in dist, and check them."""
    session.install("--constraint", CONSTRAINTS, "build")
    session.run("python", "-m", "build")
