# docker build -t finetune .
# docker run --rm -v "$PWD:/work" finetune compare --data my-images
#
# With downloads from the Hugging Face Hub: docker build --build-arg FEATURES=hub -t finetune .

FROM rust:1.95-slim-trixie AS build
ARG FEATURES=""
WORKDIR /source
COPY . .
RUN cargo install --path crates/cli --locked --features "$FEATURES" --root /installed

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -m 777 /cache
COPY --from=build /installed/bin/finetune /usr/local/bin/finetune
# A volume keeps decoded images and weights between containers: -v finetune-cache:/cache
ENV FINETUNE_CACHE=/cache/finetune HF_HOME=/cache/huggingface
WORKDIR /work
ENTRYPOINT ["finetune"]
CMD ["--help"]
