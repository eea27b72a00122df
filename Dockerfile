# Build the service's image: docker build -t boxoffice .  (with Stripe: --build-arg REQUIREMENTS=requirements-stripe.txt)

FROM python:3.11-slim-bookworm AS build
ARG REQUIREMENTS=requirements.txt
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN ["python", "-m", "venv", "/opt/boxoffice"]
COPY requirements*.txt ./
RUN /opt/boxoffice/bin/pip install --no-deps --require-hashes -r requirements-build.txt -r "$REQUIREMENTS"
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src src
RUN /opt/boxoffice/bin/pip install --no-deps --no-build-isolation . \
    && /opt/boxoffice/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim-bookworm
COPY --from=build /opt/boxoffice /opt/boxoffice
# By number, not by name, so that Kubernetes can verify that it is not root.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /srv/boxoffice /srv/boxoffice/data
USER 10001:10001
WORKDIR /srv/boxoffice
# For the default SQLite file; a service on MySQL or MariaDB stores nothing here.
VOLUME ["/srv/boxoffice/data"]
ENV PATH=/opt/boxoffice/bin:$PATH PYTHONDONTWRITEBYTECODE=1
ENV BOXOFFICE_HOST=0.0.0.0 BOXOFFICE_PORT=8000 BOXOFFICE_WORKERS=2
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
ENTRYPOINT ["boxoffice"]
CMD ["serve"]
