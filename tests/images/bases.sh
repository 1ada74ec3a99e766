#!/usr/bin/env bash
# Makes stand-ins for the base images of deploy/, named as their FROM lines name them, for machines
# without access to a registry of images. Python is Debian's; Beam's boot program is the real one,
# built from its Go module; Google's template launcher is an empty file.
# usage: DOCKER_HOST=… bases.sh FOLDER        (root, Debian's debootstrap, Go; about 2 minutes)
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
root=$folder/python
# image NAME: the first image of a FROM or COPY --from of deploy/ that begins with NAME.
image() {
  grep -hoE "(FROM |--from=)$1\S*" "$(dirname "$0")"/../../deploy/*/Dockerfile | sed 's/.*[ =]//' | sort -u | head -n 1
}

if [ ! -e "$root/.done" ]; then
  rm -rf "$root"
  mirror=$(awk '/^URIs:/ {print $2; exit} /^deb / {print $2; exit}' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2> /dev/null | head -n 1)
  debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
    bookworm "$root" "${mirror:-http://deb.debian.org/debian}" > "$folder/debootstrap.log"
  rm -rf "$root"/usr/lib/python3.*/EXTERNALLY-MANAGED "$root"/var/cache/apt/archives/*.deb \
    "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  for name in python python3; do ln -s /usr/bin/python3.11 "$root/usr/local/bin/$name"; done
  touch "$root/.done"
fi
beam=$folder/beam/opt/apache/beam launcher=$folder/launcher/opt/google/dataflow
if [ ! -e "$beam/boot" ]; then
  version=$(image apache/beam_python | sed 's/.*://')
  GOBIN=$folder/bin CGO_ENABLED=0 go install "github.com/apache/beam/sdks/v2/python/container@v$version"
  mkdir -p "$beam" "$launcher"
  cp "$folder/bin/container" "$beam/boot"
  touch "$launcher/python_template_launcher"
fi
tar -C "$root" -c . | docker import --change 'CMD ["python3"]' --change 'ENV LANG=C.UTF-8' \
  --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' - "$(image python:)" > /dev/null
tar -C "$folder/beam" -c . | docker import - "$(image apache/beam_python)" > /dev/null
tar -C "$folder/launcher" -c . | docker import - "$(image gcr.io/dataflow-templates)" > /dev/null
