# The image holds one static binary and the certificates that it trusts.
# Configuration files have built-in defaults; secrets are mounted below /secrets.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
ARG REVISION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags="-s -w -X main.version=${VERSION} -X main.revision=${REVISION}" \
    -o /out/kas-fleet-manager ./cmd/kas-fleet-manager

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/kas-fleet-manager /kas-fleet-manager
# A number, so that the platform can see that it is not root.
USER 65532:65532
EXPOSE 8000 8080 8083
ENTRYPOINT ["/kas-fleet-manager"]
CMD ["serve"]
