"""Sessions: demo, tests, fuzz, lint, typecheck, docs, bench, gpu, evaluate, build."""

import glob
import os
import shutil

import nox

nox.options.sessions = ["tests", "lint", "typecheck"]
nox.options.reuse_existing_virtualenvs = True

CONSTRAINTS = "constraints.txt"


def install(session: nox.Session, *extras: str) -> None:
    """Install the package with extras, at the versions of the constraints file."""
    # torch by its pinned version first: a plain "torch" takes gigabytes of CUDA.
    session.install("--constraint", CONSTRAINTS, "torch==2.13.0")
    target = f".[{','.join(extras)}]" if extras else "."
    session.install("--constraint", CONSTRAINTS, target)


@nox.session
def demo(session: nox.Session) -> None:
    install(session, "demo")
    session.run("xsubpix", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    install(session, "tests")
    if shutil.which("gfortran"):
        # Okada's rectangles, against which dislocations are tested; built from Fortran.
        session.install("--constraint", CONSTRAINTS, "okada-wrapper")
    arguments = session.posargs or ["-n", str(os.cpu_count() or 1)]
    session.run("pytest", *arguments, env={"OMP_NUM_THREADS": "1"})
    if not session.posargs:
        # Examples in docstrings, of the sources: the installed package has no conftest.py.
        session.run(
            "pytest", *arguments, "--doctest-modules", "src",
            env={"OMP_NUM_THREADS": "1", "PYTHONPATH": "src"},
        )  # fmt: skip


@nox.session
def fuzz(session: nox.Session) -> None:
    """Mutate files of every kind, a thousand each or as many as is said: ``-- 5000 zarr``."""
    install(session, "tests")
    session.run(
        "python", os.path.join("tests", "fuzz", "mutations.py"), *(session.posargs or ["1000"]),
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    session.install("--constraint", CONSTRAINTS, "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typecheck(session: nox.Session) -> None:
    install(session, "plot", "tests")
    session.install("--constraint", CONSTRAINTS, "mypy")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    install(session, "docs", "demo")
    session.run(
        "sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html",
        *session.posargs, env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def install_peers(session: nox.Session) -> None:
    install(session, "bench")
    # With its dependencies pyxel brings opencv-python, over the modules of the opencv extra.
    session.install("--constraint", CONSTRAINTS, "gmsh", "meshio")
    session.install("--no-deps", "pyxel-dic", "interpylate")


@nox.session
def bench(session: nox.Session) -> None:
    install_peers(session)
    scripts = session.posargs or [
        os.path.join("benchmarks", name)
        for name in sorted(os.listdir("benchmarks"))
        if name.startswith("bench_") and name.endswith(".py")
    ]
    for script in scripts:
        session.run("python", script)


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """Try every CUDA path with the Python at hand, whose torch knows the machine's GPU."""
    session.run(
        "python", os.path.join("benchmarks", "gpu.py"), *session.posargs,
        env={"PYTHONPATH": "src"}, external=True,
    )  # fmt: skip


@nox.session
def evaluate(session: nox.Session) -> None:
    """Print and write the table of networks and correlators; XSUBPIX_DATA holds the images."""
    install_peers(session)
    folder = os.path.join(os.environ["XSUBPIX_DATA"], "landsat7")
    database = os.path.join(session.create_tmp(), "test.zarr")
    # Frames of a split do not depend on how many the others have: the test frames alone.
    session.run(
        "xsubpix", "database", "build", *sorted(glob.glob(os.path.join(folder, "*_pan.tif"))),
        "--multispectral", "_pan:_ms", "--location", r"P\d+R\d+", "--validation", "P091R083",
        "--test", "P090R083", "--faults", "1,1,60", "--frame", "512", "--window", "256",
        "--out", database, env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    session.run(
        "xsubpix", "evaluate",
        "unet", "geoflownet", "flownet-sd", "window-cnn",
        "cosi-corr:window=32", "cosi-corr:window=64", "deepflow", "dis", "tvl1",
        "benchmarks/peers.py:openpiv", "benchmarks/peers.py:pyxel",
        "--data", database, "--workers", str(os.cpu_count() or 1),
        *(session.posargs or ["--out", "docs/benchmarks"]), env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def build(session: nox.Session) -> None:
    session.install("--constraint", CONSTRAINTS, "build")
    session.run("python", "-m", "build")
