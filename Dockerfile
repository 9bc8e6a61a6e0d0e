# syntax=docker/dockerfile:1

# The dependencies are compiled in a layer of their own, which only changes with Cargo.lock.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --profile dist --locked --bin reveille \
    && rm -r src
COPY . .
# /metrics tells it: docker build --build-arg REVEILLE_COMMIT="$(git rev-parse HEAD)"
ARG REVEILLE_COMMIT
# The stand-in above is younger than the sources, by the clock that cargo goes by.
RUN touch src/main.rs src/lib.rs && cargo build --profile dist --locked --bin reveille

FROM debian:bookworm-slim
# Certificates are for databases and web hooks behind TLS. Their version is the distribution's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/reveille --create-home reveille
COPY --from=build /src/target/dist/reveille /usr/local/bin/reveille
USER 10001
WORKDIR /var/lib/reveille
# A container's own loopback is reached by nobody: listen to all, and set REVEILLE_AUTH_TOKENS.
ENV REVEILLE_LISTEN=0.0.0.0:8000
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=6s --start-period=30s --retries=3 CMD ["reveille", "health"]
ENTRYPOINT ["reveille"]
CMD ["serve"]
