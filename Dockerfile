# One image for all services of compose.yaml: what each runs is its command there.
# A release names the base image by its digest: `.ci/release python:3.12-slim@sha256:…`
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/cexkit
WORKDIR /src
# what is needed comes first, so that a change of the code alone downloads nothing anew
COPY pyproject.toml README.md LICENSE constraints.txt ./
RUN /opt/cexkit/bin/python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print('\n'.join(project['dependencies'] + extras['pipeline'] + extras['postgres']))" > needs.txt \
 && /opt/cexkit/bin/pip install --requirement needs.txt --constraint constraints.txt
COPY cexkit cexkit
COPY pipeline pipeline
COPY sql sql
# what builds the package is pinned too
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --constraint constraints.txt hatchling \
 && /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /src/wheels . \
 && /opt/cexkit/bin/pip install --no-deps /src/wheels/*.whl

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
LABEL org.opencontainers.image.base.name=${BASE_IMAGE}
COPY --from=build /opt/cexkit /opt/cexkit
COPY pipeline/deploy/dagster.yaml /etc/dagster/dagster.yaml
COPY --chmod=755 pipeline/deploy/with-secrets /usr/local/bin/with-secrets
# Dagster keeps logs of steps in DAGSTER_HOME; the warehouse is a volume of its own
RUN useradd --create-home --uid 10001 cexkit \
 && mkdir -p /var/lib/dagster/storage /data/warehouse /data/cache /data/tmp \
 && ln -s /etc/dagster/dagster.yaml /var/lib/dagster/dagster.yaml \
 && chown -R cexkit:cexkit /var/lib/dagster /data
ENV PATH=/opt/cexkit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/var/lib/dagster \
    CEXKIT_WAREHOUSE=/data/warehouse \
    CEXKIT_CACHE_DIR=/data/cache/cexkit \
    HF_HOME=/data/cache/huggingface \
    TMPDIR=/data/tmp
USER cexkit
WORKDIR /data
EXPOSE 3000
# of the web server, which is what runs where no other command is given; compose.yaml has those of the others
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:3000/server_info', timeout=5)"]
ENTRYPOINT ["with-secrets"]
CMD ["dagster-webserver", "--host", "0.0.0.0", "--port", "3000", "--module-name", "cexkit_pipeline.definitions"]
