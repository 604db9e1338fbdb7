"""The Debian package, built as `make deb` builds it and looked into: what it installs runs, and is shut."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path("deploy/debian")
SCRIPTS = ("postinst", "prerm", "postrm")

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")


def output_of(*command: str | Path) -> str:
    """What a program says, if it ends well."""
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without the packet path in Rust, which takes longer to build than the rest, and not compressed."""
    directory = tmp_path_factory.mktemp("package")
    environment = {**os.environ, "PIP": f"{sys.executable} -m pip", "NATIVE": "no", "COMPRESS": "none"}
    result = subprocess.run(
        [HERE / "build.sh", directory], env=environment, capture_output=True, text=True, timeout=540, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = directory.glob("trunkline_*.deb")
    return built


@pytest.fixture(scope="module")
def root(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies in the package, unpacked."""
    directory = tmp_path_factory.mktemp("root")
    output_of("dpkg-deb", "-x", package, directory)
    return directory


def run(root: Path, *arguments: str | Path) -> str:
    """The installed program, with nothing but what the package brings."""
    home = root / "opt/trunkline/bin"
    return output_of(home / "python", "-I", home / "trunkline", *arguments)


def test_the_installed_program_has_all_that_it_imports(root: Path, tmp_path: Path) -> None:
    assert re.fullmatch(r"trunkline \d+\.\d+\.\d+\n", run(root, "version"))
    file = tmp_path / "trunkline.yaml"
    shipped = (root / "usr/share/trunkline/trunkline.yaml").read_text()
    file.write_text(shipped.replace("/var/lib/trunkline", str(tmp_path)))
    for secret in ("as_token", "hs_token", "trunk_password"):
        (tmp_path / secret).write_text(f"{secret}-0123456789abcdef")
    assert "configuration is valid" in run(root, "check-config", "--config", file)
    home = root / "opt/trunkline/bin"
    output_of(home / "python", "-I", "-c", "import bridge.app, bridge.app.doctor.examination")


def test_what_the_service_writes_lies_where_it_may(root: Path) -> None:
    shipped = (root / "usr/share/trunkline/trunkline.yaml").read_text()
    unit = (root / "lib/systemd/system/trunkline.service").read_text()
    (state,) = re.findall(r"^WorkingDirectory=(.*)$", unit, re.MULTILINE)
    assert re.search(rf"^  path: {state}/\S+$", shipped, re.MULTILINE)
    assert re.search(rf"^  call_records: {state}/\S+$", shipped, re.MULTILINE)


def test_the_operators_pages_are_where_the_readme_links_to(root: Path) -> None:
    pages = root / "usr/share/doc/trunkline"
    linked = re.findall(r"\]\((deploy/[\w-]+\.md)\b", (pages / "README.md").read_text())
    assert linked
    assert [page for page in linked if not (pages / page).is_file()] == []


def test_nothing_tells_where_it_was_built(root: Path) -> None:
    assert (root / "opt/trunkline/bin/trunkline").read_text().startswith("#!/opt/trunkline/bin/python\n")
    assert (root / "opt/trunkline/bin/python").resolve() == Path("/usr/bin/python3").resolve()
    assert (root / "usr/bin/trunkline").readlink() == Path("/opt/trunkline/bin/trunkline")
    assert "/tmp" not in (root / "opt/trunkline/pyvenv.cfg").read_text()
    compiled = next((root / "opt/trunkline/lib").rglob("bridge/__pycache__/cli.*.pyc"))
    assert b"/opt/trunkline/lib/" in compiled.read_bytes()


def test_all_of_it_is_roots_and_for_everybody_to_read(package: Path) -> None:
    for line in output_of("dpkg-deb", "-c", package).splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root", line
        assert mode[0] == "l" or re.fullmatch(r"[-d]rw[-x]r-[-x]r-[-x]", mode), line


def test_it_wants_the_python_that_it_was_built_for(package: Path) -> None:
    version = output_of("/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    fields = output_of("dpkg-deb", "-f", package)
    assert f"python3 (>= {version}), python3 (<< 3.{int(version.partition('.')[2]) + 1})" in fields
    assert "@" not in fields.replace("trunkline@", "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_maintainer_scripts_are_what_dpkg_can_run(name: str) -> None:
    output_of("sh", "-n", HERE / name)
    assert (HERE / name).read_text().startswith("#!/bin/sh\nset -e\n")


def test_only_a_purge_takes_configuration_and_calls_away() -> None:
    removing = [name for name in SCRIPTS if "rm -" in (HERE / name).read_text()]
    assert removing == ["postrm"]
    before, _, after = (HERE / "postrm").read_text().partition('if [ "$1" = purge ]')
    assert "rm -" not in before
    assert "rm -rf /etc/trunkline /var/lib/trunkline" in after


def test_the_build_script_can_be_run() -> None:
    assert (HERE / "build.sh").stat().st_mode & stat.S_IXUSR
