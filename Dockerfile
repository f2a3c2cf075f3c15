# Builds the one binary and puts it on a slim Debian. Configuration is by environment
# variables: `serve --help` lists them.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --features embedder && cp target/release/personalization /personalization

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --create-home personalization
COPY --from=build /personalization /usr/local/bin/personalization
USER personalization
WORKDIR /data
ENV GRPC_ADDR=0.0.0.0:50051 HTTP_ADDR=0.0.0.0:9090 DATA_DIR=/data ENVIRONMENT=production
EXPOSE 50051 9090
HEALTHCHECK --interval=5s --timeout=2s --start-period=60s \
    CMD ["personalization", "healthcheck"]
ENTRYPOINT ["personalization"]
CMD ["serve"]
