FROM python:3.12-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/flowhawk
ENV PATH=/opt/flowhawk/bin:$PATH
WORKDIR /build

# Dependencies first, so that their layer is built anew only when the lock file changes.
COPY requirements.lock ./
RUN pip install --require-hashes --only-binary :all: --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY detectors detectors
COPY streams streams
RUN pip install --no-deps --no-build-isolation .


FROM python:3.12-slim

RUN useradd --system --uid 10001 --no-create-home --home-dir /var/lib/flowhawk flowhawk
COPY --from=build /opt/flowhawk /opt/flowhawk
ENV PATH=/opt/flowhawk/bin:$PATH PYTHONUNBUFFERED=1

# The one folder that the service may write to; under a read-only root, mount a tmpfs here.
RUN install --directory --owner=flowhawk /var/lib/flowhawk
WORKDIR /var/lib/flowhawk

USER 10001
EXPOSE 9469
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["flowhawk", "healthcheck"]
ENTRYPOINT ["flowhawk"]
CMD ["run"]
