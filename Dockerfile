# The images of both programs: `docker build --target group0-node .` and `--target group0-operator`. Each is one program and its libraries; it runs
# as user 65532 on a root that may be read-only, and a node writes under /var/lib/group0 alone. `make images` makes the same without Docker.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --workspace --bins \
 && for program in group0-node group0-operator; do images/root target/release/$program /images/$program; done

FROM scratch AS group0-operator
COPY --from=build /images/group0-operator/ /
USER 65532:65532
ENTRYPOINT ["/usr/bin/group0-operator"]

FROM scratch AS group0-node
COPY --from=build /images/group0-node/ /
COPY --from=build --chown=65532:65532 /images/group0-node/var/lib/group0 /var/lib/group0
USER 65532:65532
ENTRYPOINT ["/usr/bin/group0-node"]
