"""Guards that the unit for systemd fits the daemon: its words, its times, its exit codes."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from quarterdeck.daemon import app
from quarterdeck.daemon.config import Config
from quarterdeck.daemon.pulse import BEAT
from quarterdeck.domain.market import SECOND
from quarterdeck.plugin.fields import interval_ns
from tests.repository import ROOT

UNIT = ROOT / "deploy" / "quarterdeck.service"
SETTINGS = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), flags=re.MULTILINE))
LIFE = (ROOT / "docs" / "lifecycle.md").read_text()


def test_the_manager_is_told_and_is_more_patient_than_the_daemon() -> None:
    assert SETTINGS["Type"] == "notify"
    assert int(SETTINGS["TimeoutStopSec"]) > interval_ns(Config().daemon.stop_within) / SECOND + 5
    assert int(SETTINGS["WatchdogSec"]) > 10 * BEAT


def test_what_a_person_has_to_look_at_is_not_started_again() -> None:
    prevented = {int(code) for code in SETTINGS["RestartPreventExitStatus"].split()}
    assert prevented == {1, 2, app.UNFINISHED, 130, 143}
    assert not prevented & {app.FAILED, app.OVERDUE}


def test_every_exit_code_is_told() -> None:
    table = LIFE.partition("| exit code |")[2].partition("\n\n")[0]
    told = {int(code) for line in table.splitlines() for code in re.findall(r"\d+", line.split("|")[1])}
    assert told == {app.STOPPED, 1, 2, app.FAILED, app.UNFINISHED, app.OVERDUE, 130, 143}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_every_line() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line and "is not executable" not in line]
    assert complaints == []
