#!/bin/sh
# Builds Docker Compose from its Go module into build/tools/docker-compose, for a machine that has Go and no compose:
#
#   sh deploy/images/compose-tool.sh      (4 minutes of two processors)
#
# `go install MODULE@VERSION` refuses this module, since it excludes others; as the tool of a module of ours it builds.
# Where it is asked for as `docker compose`, copy it to /usr/local/lib/docker/cli-plugins/.
set -eu
version=v2.40.3
tools=$(cd "$(dirname "$0")/../.." && pwd)/build/tools
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$tools"
cd "$scratch"
go mod init sallyport/tools 2>/dev/null
GOFLAGS=-mod=mod go get -tool "github.com/docker/compose/v2/cmd@$version"
go build -trimpath -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=$version" \
    -o "$tools/docker-compose" github.com/docker/compose/v2/cmd
"$tools/docker-compose" version
