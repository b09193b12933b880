# One image with Pixtoll's five programs; docker-compose.yml says which one a container runs.

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake nasm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /pixtoll
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/pixtoll/target \
    cargo build --locked --release --bins \
        --package ingest --package resize-consumer --package aggregator --package billing-jobs --package cold-archive \
    && mkdir /programs \
    && cp target/release/ingest target/release/resize-consumer target/release/aggregator \
        target/release/billing-jobs target/release/cold-archive /programs/

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 pixtoll
COPY --from=build /programs/ /usr/local/bin/
USER 10001
CMD ["ingest", "--help"]
