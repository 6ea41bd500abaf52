# Plumbline's image. `docker build .` makes the daemon's; `docker build --target replay .` one that
# also holds what judges and replay need, which is some gigabytes more.
#
# The base is pinned by its tag. For builds that give the same image again, name its digest too:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:... .
# The Python is the one that the tests run with.
ARG BASE=python:3.11-slim-bookworm

# --- the daemon's dependencies, locked ------------------------------------------------------------
FROM ${BASE} AS core
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/plumbline
COPY constraints/core.txt constraints/core.txt
RUN python -m pip --python /opt/plumbline/bin/python install \
        --require-hashes --only-binary :all: --requirement constraints/core.txt

# --- a C compiler, for the part of decoding that is in C; it is in no image that runs ----------------
FROM core AS compiler
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

# --- Plumbline itself, built with the setuptools that is locked, so that no build fetches anything -
FROM compiler AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY detectors detectors
COPY grafana grafana
COPY monitor monitor
RUN python -m pip --python /opt/plumbline/bin/python wheel \
        --no-deps --no-build-isolation --wheel-dir /wheels .
# a build without a compiler would do, only slower: an image must not be that by accident
RUN python -m zipfile --list /wheels/*.whl | grep --quiet monitor/decode/_scan.abi3.so

# --- the whole environment, without what only builds need ------------------------------------------
FROM core AS environment
COPY --from=wheel /wheels /wheels
RUN python -m pip --python /opt/plumbline/bin/python install --no-deps /wheels/*.whl \
    && python -m pip --python /opt/plumbline/bin/python uninstall --yes setuptools

# --- the same with the extras of judges and replay, of which some come as sources -------------------
FROM core AS environment-replay
COPY constraints/all.txt constraints/all.txt
RUN python -m pip --python /opt/plumbline/bin/python install \
        --require-hashes --no-build-isolation --requirement constraints/all.txt
COPY --from=wheel /wheels /wheels
RUN python -m pip --python /opt/plumbline/bin/python install --no-deps /wheels/*.whl

# --- what runs: Python, a user, and no package installer ------------------------------------------
FROM ${BASE} AS runtime
LABEL org.opencontainers.image.title="Plumbline" \
      org.opencontainers.image.description="Watches language models in production for drift" \
      org.opencontainers.image.licenses="Apache-2.0"
# bytecode was compiled at the build; the root may be read-only
ENV PATH=/opt/plumbline/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN python -m pip --no-cache-dir uninstall --yes --root-user-action ignore pip setuptools wheel \
    && groupadd --gid 10001 plumbline \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/plumbline \
        --shell /usr/sbin/nologin plumbline \
    && mkdir /etc/plumbline /var/lib/plumbline
WORKDIR /var/lib/plumbline
# by number, so that Kubernetes can tell that it is not root
USER 10001:10001
EXPOSE 9464
# the first signal commits and leaves: seconds, and minutes where the broker is away
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=20s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PLUMBLINE__HTTP__PORT', 9464)), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["plumbline"]
CMD ["run"]

FROM runtime AS replay
COPY --from=environment-replay /opt/plumbline /opt/plumbline

FROM runtime AS plumbline
COPY --from=environment /opt/plumbline /opt/plumbline
