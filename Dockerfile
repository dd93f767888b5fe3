# One image for all services of compose.yaml: what each runs is its command there.
FROM python:3.12-slim AS build
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
RUN /opt/cexkit/bin/pip install --no-deps .

FROM python:3.12-slim
COPY --from=build /opt/cexkit /opt/cexkit
COPY pipeline/deploy/dagster.yaml /etc/dagster/dagster.yaml
# Dagster keeps logs of steps in DAGSTER_HOME; the warehouse is a volume of its own
RUN useradd --create-home --uid 10001 cexkit \
 && mkdir -p /var/lib/dagster/storage /data/warehouse \
 && ln -s /etc/dagster/dagster.yaml /var/lib/dagster/dagster.yaml \
 && chown -R cexkit:cexkit /var/lib/dagster /data
ENV PATH=/opt/cexkit/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/var/lib/dagster \
    CEXKIT_WAREHOUSE=/data/warehouse
USER cexkit
WORKDIR /data
EXPOSE 3000
# of the web server, which is what runs where no other command is given; compose.yaml has those of the others
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:3000/server_info', timeout=5)"]
CMD ["dagster-webserver", "--host", "0.0.0.0", "--port", "3000", "--module-name", "cexkit_pipeline.definitions"]
