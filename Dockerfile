# docker build -t nuki2mqtt .

FROM python:3.13-slim AS builder

# 32-bit ARM is the one platform for which PyNaCl and cffi come without wheels: there, and only there, they are
# built here (PyNaCl with the libsodium that it carries, so that the final stage needs nothing more).
# hadolint ignore=DL3008
RUN if [ "$(dpkg --print-architecture)" = armhf ]; then \
        apt-get update \
        && apt-get install -y --no-install-recommends gcc libc6-dev libffi-dev make \
        && rm -rf /var/lib/apt/lists/*; \
    fi

WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY nuki2mqtt ./nuki2mqtt
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --constraint constraints.txt .


FROM python:3.13-slim

ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="nuki2mqtt" \
      org.opencontainers.image.description="Nuki locks and openers on MQTT, with Home Assistant discovery" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="python:3.13-slim"

COPY --from=builder /opt/venv /opt/venv
RUN install -d -o 10001 -g 10001 -m 0700 /data

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUKI2MQTT_CONFIG=/data/config.yaml \
    NUKI2MQTT_STATE_DIR=/data

USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
# The callback door: Nuki Bridges knock here.
EXPOSE 8321
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["nuki2mqtt", "health"]
ENTRYPOINT ["nuki2mqtt"]
CMD ["run"]
