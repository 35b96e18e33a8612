"""docs/without-docker.md: every command in it, as it stands there, one after another, on a fresh Debian."""

import configparser
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import container, docker, is_there
from support.processes import ROOT

pytestmark = pytest.mark.container

DEBIAN = "python:3.13-slim-trixie"

# A container has no systemd. This does what the unit says: it runs ExecStart in WorkingDirectory as User.
SYSTEMCTL = """
cat > /usr/local/bin/systemctl <<'END'
#!/bin/bash
start() {{
  cd {WorkingDirectory}
  setpriv --reuid={User} --regid={User} --init-groups --no-new-privs --bounding-set=-all {ExecStart} >>/tmp/log 2>&1 &
  echo $! >/tmp/pid
  until curl --silent --output /dev/null http://127.0.0.1:5000/healthz; do sleep 0.1; done
}}
stop() {{
  kill -{KillSignal} $(cat /tmp/pid)
  while kill -0 $(cat /tmp/pid); do sleep 0.1; done
}}
case $1 in
  enable | start) start;;
  stop) stop;;
  restart) stop; start;;
esac
END
chmod +x /usr/local/bin/systemctl
"""
AUTHOR = "git config --global user.name Test; git config --global user.email test@example.org\n"

# Beside the commands of the document, what they are to have done.
STORE = """
curl --fail --silent http://127.0.0.1:5000/comments --json '{{"name": "Ada", "comment": "{}"}}'
"""
EXPECT = """
no() { if "$@"; then exit 1; fi; }
no curl --fail --silent http://127.0.0.1:5000/comments/1
curl --fail --silent http://127.0.0.1:5000/comments >/tmp/page
grep '"kept"' /tmp/page
no grep '"lost"' /tmp/page
no runuser -u comments -- psql comments --command='DROP TABLE comments'
runuser -u postgres -- psql --tuples-only --no-align --command="SELECT rolname FROM pg_roles WHERE rolsuper" >/tmp/super
diff /tmp/super <(echo postgres)
no grep --invert-match '^{.*}$' /tmp/log
"""


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[str]:
    """A container with the files of this checkout, committed or not, in a repository that it can clone."""
    if not is_there():
        pytest.skip("there is no Docker")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    options = ("--init", "--env=DEBIAN_FRONTEND=noninteractive")
    with container(DEBIAN, *options, command=("sleep", "infinity")) as found:
        docker("cp", f"{tmp_path}/.", f"{found}:/origin")
        yield found


def commands() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/without-docker.md").read_text(), re.MULTILINE | re.DOTALL)


def unit() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "deploy" / "comments.service")
    return parser["Service"]


def script() -> str:
    """The commands, with the systemctl of a container, and comments between them."""
    lines = "set -eux -o pipefail\n" + SYSTEMCTL.format(**unit())
    for block in commands():
        lines += block
        if "apt-get" in block:
            lines += "apt-get install --yes --no-install-recommends curl systemd\n" + AUTHOR
            lines += "git init -q /origin; git -C /origin add -A; git -C /origin commit -q -m Release\n"
            lines += "git clone /origin /opt/comments\n/etc/init.d/postgresql start\n"
        if "systemctl enable" in block:
            lines += STORE.format("deleted") + STORE.format("kept")
        if "pg_dump" in block:
            lines += STORE.format("lost")
    lines += "systemd-analyze verify /opt/comments/deploy/comments.service\n"
    lines += "systemd-analyze security --offline=true --threshold=20 /opt/comments/deploy/comments.service\n"
    return lines + EXPECT


def test_every_command_does_what_it_says(debian: str) -> None:
    done = docker("exec", debian, "bash", "-c", script(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
