# The agent's image, built from source:   docker build -t podgraft/agent .
# Dockerfile.release makes the same image of an agent that is built already; the last stages of both are the same text.
ARG BASE=docker.io/library/debian:bookworm
FROM ${BASE} AS build
WORKDIR /src
COPY VERSION ./
COPY ci/setup ci/common.sh ci/
RUN ci/setup --build
COPY . .
RUN cmake --preset release && cmake --build --preset release --target podgraft-agent \
	&& install -D --strip build/release/bin/podgraft-agent /out/podgraft-agent

FROM scratch
LABEL org.opencontainers.image.title="podgraft agent" \
	org.opencontainers.image.licenses="GPL-3.0-or-later"
COPY --from=build /out/podgraft-agent /podgraft-agent
ENTRYPOINT ["/podgraft-agent"]
