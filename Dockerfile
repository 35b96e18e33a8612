# Only the packages of Pipfile.lock, in an environment without pip or pipenv.
FROM python:3.13-slim-trixie AS packages
RUN python -m venv /pipenv && /pipenv/bin/pip install --no-cache-dir pipenv==2026.10.3
RUN python -m venv --without-pip /venv
WORKDIR /build
COPY Pipfile Pipfile.lock ./
# A lock that does not match the Pipfile stops the build here.
RUN /pipenv/bin/pipenv verify \
 && /pipenv/bin/pipenv requirements --hash > requirements.txt \
 && /pipenv/bin/pip --python /venv/bin/python install --no-cache-dir --no-deps --require-hashes -r requirements.txt


FROM python:3.13-slim-trixie
# The commit from which the image is built: docker build --build-arg REVISION="$(git rev-parse HEAD)" .
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Comments" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="$REVISION"

# The directory is where docker-compose.yml mounts the socket of the database.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin comments && mkdir /run/postgresql
COPY --from=packages /venv /venv
WORKDIR /app
# Only the files that .dockerignore allows. Everybody may read them, whatever their modes in the checkout.
COPY --chmod=755 . .

# Clients reach a container from outside. Programs read its log. It writes nothing to its disk.
ENV PATH="/venv/bin:$PATH" HOST=0.0.0.0 LOG_FORMAT=json PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 5000
# gunicorn is the first process, so it gets the signals.
CMD ["gunicorn"]
