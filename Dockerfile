# syntax=docker/dockerfile:1
#
# docker build -t kopru .
# docker run -e KOPRU__DATABASE__URL=postgres://user:password@host/name -p 8080:8080 kopru
#
# The image holds no PostgreSQL: `database.url` is required here. `kopru migrate` brings the schema up to date.
# Configuration: mount a file on /etc/kopru/config.toml and add `serve --config /etc/kopru/config.toml`, or use the
# environment alone. Secrets belong in files: KOPRU__DATABASE__URL_FILE=/run/secrets/database_url.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Queries were checked when .sqlx was written; no database is needed here.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin kopru && cp target/release/kopru /kopru

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/kopru kopru
COPY --from=build /kopru /usr/local/bin/kopru
COPY scripts/container-health.sh /usr/local/bin/container-health

USER kopru
WORKDIR /var/lib/kopru
VOLUME /var/lib/kopru
# The default is loopback, which nobody outside the container could reach.
ENV KOPRU__HTTP__LISTEN=0.0.0.0:8080
EXPOSE 8080
# SIGTERM ends the daemon gracefully: it finishes what is in hand, so give it more than docker's ten seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["container-health"]
ENTRYPOINT ["kopru"]
CMD ["serve"]
