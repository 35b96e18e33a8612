# The packages of Pipfile.lock, and no others, in an environment without pip or pipenv.
FROM python:3.13-slim-trixie AS packages
RUN python -m venv /pipenv && /pipenv/bin/pip install --no-cache-dir pipenv==2026.10.3
RUN python -m venv --without-pip /venv
WORKDIR /build
COPY Pipfile Pipfile.lock ./
# A lock that is not the Pipfile's stops the build here.
RUN /pipenv/bin/pipenv verify \
 && /pipenv/bin/pipenv requirements --hash > requirements.txt \
 && /pipenv/bin/pip --python /venv/bin/python install --no-cache-dir --no-deps --require-hashes -r requirements.txt


FROM python:3.13-slim-trixie
# The commit that the image is built from: docker build --build-arg REVISION="$(git rev-parse HEAD)" .
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Comments" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="$REVISION"

RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin comments
COPY --from=packages /venv /venv
WORKDIR /app
# What .dockerignore lets in.
COPY . .

# A container is reached from outside; its log is read by machines; nothing is written to its disk.
ENV PATH="/venv/bin:$PATH" HOST=0.0.0.0 LOG_FORMAT=json PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 5000
# gunicorn itself is the first process, and gets the signals.
CMD ["gunicorn"]
