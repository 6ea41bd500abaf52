"""Download the published Apache Kafka jars, with which tests run a real broker.

A broker from its jars needs no container runtime and no system service, and has the transactions,
retention and group protocols of production. Maven downloads the jars because it uses the mirror
that the machine is configured for.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.caches import apt_locked, cache_folder, locked

KAFKA_VERSION = "4.3.1"
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
DOWNLOAD_TIMEOUT_S = 600
DEBIAN_PACKAGES = {"java": "openjdk-17-jre-headless", "mvn": "maven"}

# A POM without parent or BOM: these may silently downgrade single Kafka modules.
# slf4j-simple logs to stderr; its version must match Kafka's slf4j-api.
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>plumbline.tests</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


class KafkaUnavailable(RuntimeError):
    """The jars, or Java to run them, are not available on this machine."""


def default_cache() -> Path:
    """Return the cache of the jars of this version."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def kafka_classpath(cache: Path | None = None) -> str:
    """Return the Java class path of the broker, downloading its jars on first use."""
    directory = cache or default_cache()
    with locked(directory):
        _require("java")
        if not directory.exists():
            _download(directory)
    return os.pathsep.join(str(jar) for jar in sorted(directory.glob("*.jar")))


def _download(directory: Path) -> None:
    """Download into a sibling directory, then rename it: the cache is never incomplete."""
    _require("mvn")
    partial = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    pom = partial / "pom.xml"
    pom.write_text(POM)
    scope = ["-DincludeScope=runtime", f"-DoutputDirectory={partial}"]
    _run(["mvn", "-q", "-B", "-ntp", "-f", str(pom), COPY_GOAL, *scope], "Maven")
    partial.rename(directory)


def _require(program: str) -> None:
    """Install the Debian package of a program that is not on the PATH, if permitted."""
    if shutil.which(program):
        return
    package = DEBIAN_PACKAGES[program]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise KafkaUnavailable(
            f"The test broker needs '{program}' (Debian package {package}), which is not on the "
            "PATH and cannot be installed without root and apt-get."
        )
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", package]
    with apt_locked():
        _run(["apt-get", "update", "-q"], "apt-get update")
        _run(install, "apt-get install")


def _run(command: list[str], what: str) -> None:
    """Run a command in bounded time. Raises KafkaUnavailable with its output if it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as late:
        raise KafkaUnavailable(f"{what} did not finish in {DOWNLOAD_TIMEOUT_S} s.") from late
    if done.returncode != 0:
        tail = done.stdout[-2000:]
        raise KafkaUnavailable(f"{what} failed with exit status {done.returncode}:\n{tail}")
