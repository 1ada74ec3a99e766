#!/usr/bin/env bash
# `make test-images`: builds the images of deploy/ and runs them. Needs root on Debian, Go, and 25 GB
# of disk; elsewhere it says what is missing and ends with status 0. About 10 minutes on 2 cores.
# usage: run.sh [FOLDER]     FOLDER keeps the bases and the images for the next run; without it a
#                            temporary folder is deleted at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$PWD/.venv/bin/python here=$PWD/tests/images

skip() { echo "skipped: the images are not tested: $1"; exit 0; }
[ "$(id -u)" = 0 ] || skip "it needs root"
grep -qs '^ID=debian' /etc/os-release || skip "it needs Debian"
command -v go > /dev/null || skip "Beam's boot program is built with Go"
programs=(dockerd docker-init docker-compose debootstrap iptables ip)
if ! command -v "${programs[@]}" > /dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends \
    docker.io tini docker-compose debootstrap iptables iproute2 > /dev/null 2>&1 ||
    skip "apt-get cannot install docker.io, docker-compose and debootstrap"
fi
docker buildx version > /dev/null 2>&1 || export PATH=/usr/bin:$PATH # Debian's docker needs no buildx

folder=${1:-$(mktemp -d)}
mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
work=$(mktemp -d "$folder/work-XXXXXX") # an earlier run may have been cut off
export DOCKER_HOST=unix://$folder/docker.sock DOCKER_BUILDKIT=1
export COMPOSE_PROJECT_NAME=rejoinder-test-images
forward=$(iptables -S FORWARD | head -n 1) # dockerd sets the policy to DROP
had_bridge=$([ -e /sys/class/net/docker0 ] && echo yes || true)

# Stops this script's daemon and its containers, and puts the network back as it was.
restore() {
  status=$?
  set +e
  if [ -e "$folder/dockerd.pid" ]; then
    docker ps -q | xargs -r docker kill > /dev/null 2>&1
    pid=$(cat "$folder/dockerd.pid")
    kill "$pid" 2> /dev/null
    for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.2; done
  fi
  [ "$(iptables -S FORWARD | head -n 1)" = "$forward" ] || iptables $forward # three words
  if [ -z "$had_bridge" ] && [ -e /sys/class/net/docker0 ]; then ip link delete docker0; fi
  rm -rf "$work"
  [ -n "${keep:-}" ] || rm -rf "$folder"
  [ "$status" = 0 ] || echo "test-images: failed (status $status)" >&2
  exit "$status"
}
keep=${1:-}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }
fail() { echo "error: $*" >&2; exit 1; }

dockerd --host "$DOCKER_HOST" --data-root "$folder/data" --exec-root "$folder/exec" \
  --pidfile "$folder/dockerd.pid" --bridge=none --iptables=false --ip6tables=false \
  > "$folder/dockerd.log" 2>&1 &
for _ in $(seq 100); do docker info > /dev/null 2>&1 && break; sleep 0.2; done
docker info > /dev/null 2>&1 || skip "dockerd does not start: $(tail -n 1 "$folder/dockerd.log")"

say "bases"
"$here/bases.sh" "$folder/bases"

# What pip needs on this machine is in secrets of the build.
secrets=$folder/secrets
mkdir -p "$secrets"
certificates=${PIP_CERT:-$("$python" -m pip config get global.cert 2> /dev/null || true)}
{
  echo "[global]"
  for name in index-url extra-index-url trusted-host; do
    value=$("$python" -m pip config get "global.$name" 2> /dev/null) && echo "$name = $value"
  done
  [ -z "$certificates" ] || echo "cert = /run/secrets/ca.crt"
} > "$secrets/pip.conf" || true
[ -z "$certificates" ] || cp "$certificates" "$secrets/ca.crt"
for name in worker server trainer; do
  start=$SECONDS
  make --no-print-directory image NAME=$name IMAGE=rejoinder-$name:test PIP_SECRETS="$secrets" \
    ARGS="--network host --progress plain" > "$folder/build-$name.log" 2>&1 ||
    { tail -n 20 "$folder/build-$name.log" >&2; fail "the image $name cannot be built"; }
  size=$(docker image inspect --format '{{.Size}}' rejoinder-$name:test)
  packages=$(docker run --rm --network none --entrypoint python rejoinder-$name:test -c \
    'import importlib.metadata as m; print(len({d.name for d in m.distributions()}))')
  say "image $name: built in $((SECONDS - start)) s, $((size / 1000000)) MB, $packages packages"
  # Neither a configuration of pip nor the address of a registry is left in the image.
  left=$(docker run --rm --network none --user 0 --entrypoint sh rejoinder-$name:test -c \
    'find / -xdev \( -name "pip.conf" -o -name "ca.crt" \) -size +0 2> /dev/null; env | grep -iE "^pip_|proxy|index_url" || true')
  [ -z "$left" ] || fail "the image $name holds $left"
  ! docker history --no-trunc --format '{{.CreatedBy}}' rejoinder-$name:test | grep -E "index-url|://[^ ]*simple" ||
    fail "the image $name names a registry"
done

docker run --rm --network none --entrypoint python rejoinder-server:test -c \
  'import gcsfs, openvino, s3fs, tokenizers' ||
  fail "the image server lacks what versions in buckets or OpenVINO need"

chmod 755 "$work"
mkdir -p "$work/dumps" "$work/here" "$work/alone" "$work/two" "$work/killed" "$work/model"
"$python" - "$work/dumps/RC_2020-01.zst" << 'EOF'
import pathlib, sys
from rejoinder.quickstart.sample import write_dump
write_dump(pathlib.Path(sys.argv[1]), threads=2500)
EOF
.venv/bin/rejoinder vocab --input "$work/dumps/RC_2020-01.zst" --field body --size 2000 \
  --output "$work/tokenizer" > /dev/null
chown -R 1000:1000 "$work"

say "this machine preprocesses"
.venv/bin/rejoinder preprocess --input "$work/dumps/RC_*" --output "$work/here/corpus" \
  --tokenizer "$work/tokenizer" --keep-text --quiet
# same_shards CORPUS: compares the shards with this machine's.
same_shards() {
  (cd "$work/here/corpus" && find . -name '*.tfrecord*' | sort | xargs sha256sum) > "$work/expected"
  (cd "$1" && sha256sum --quiet -c "$work/expected") || fail "$1: other shards than this machine's"
  say "$(wc -l < "$work/expected") shards are equal: $1"
}

limits=(--rm --read-only --tmpfs /tmp --user 1000:1000 --cap-drop ALL --security-opt no-new-privileges)
start=$SECONDS
docker run "${limits[@]}" --network none -e HOME=/tmp -v "$work:/work" --entrypoint rejoinder \
  rejoinder-worker:test preprocess --input '/work/dumps/RC_*' --output /work/alone/corpus \
  --tokenizer /work/tokenizer --keep-text --quiet
say "worker image, alone: $((SECONDS - start)) s"
same_shards "$work/alone/corpus"

export IMAGE=rejoinder-worker:test DUMPS=$work/dumps TOKENIZER=$work/tokenizer
compose=(docker-compose --file deploy/preprocessing/compose.yaml --file "$here/keep-text.yaml")
start=$SECONDS
OUT=$work/two "${compose[@]}" up --exit-code-from driver > "$work/two.log" 2>&1 ||
  { tail -n 20 "$work/two.log" >&2; fail "the driver and the worker pool failed"; }
OUT=$work/two "${compose[@]}" down > /dev/null 2>&1
say "driver and worker pool in two containers: $((SECONDS - start)) s"
same_shards "$work/two/corpus"

# `docker kill` of the worker in mid-run ends the driver with one line and publishes nothing.
OUT=$work/killed "${compose[@]}" up -d > /dev/null 2>&1
driver=$(docker ps -aq --filter label=com.docker.compose.service=driver)
worker=$(docker ps -q --filter label=com.docker.compose.service=worker)
for _ in $(seq 600); do # the title, init and the pool; a fourth line is a worker
  [ "$(docker top "$worker" | wc -l)" -lt 4 ] || break
  sleep 0.2
done
sleep 2
docker kill "$worker" > /dev/null
start=$SECONDS
status=$(timeout 120 docker wait "$driver" || echo "none within 120 s")
docker logs "$driver" > "$work/killed.out" 2> "$work/killed.err"
lines=$(grep -c . "$work/killed.err" || true)
OUT=$work/killed "${compose[@]}" down > /dev/null 2>&1
[ "$status" = 1 ] || fail "docker kill of the worker: the driver's status is $status"
[ ! -e "$work/killed/corpus/COMPLETED" ] || fail "docker kill of the worker: a corpus was published"
[ "$(grep -c '^error: ' "$work/killed.err")" = 1 ] && ! grep -q Traceback "$work/killed.err" ||
  { head -n 20 "$work/killed.err" >&2; fail "docker kill of the worker: $lines lines instead of one error"; }
say "docker kill of the worker: after $((SECONDS - start)) s status $status, $(grep '^error: ' "$work/killed.err")"

start=$SECONDS
docker run "${limits[@]}" --network none -v "$work:/work" rejoinder-trainer:test train --config quickstart \
  --corpus /work/alone/corpus --model-dir /work/model/run --mode train --params-override trainer.train_steps=20,trainer.checkpoint_interval=20 \
  > "$work/train.log" 2>&1 || { tail -n 20 "$work/train.log" >&2; fail "the trainer image failed"; }
say "trainer image, 20 steps: $((SECONDS - start)) s; $(grep -oE 'loss +[0-9.]+ -> [0-9.]+' "$work/train.log" | tail -n 1 || true)"
docker run "${limits[@]}" --network none -v "$work:/work" rejoinder-trainer:test export \
  --model /work/model/run --output /work/model/export/encoder > "$work/export.log" 2>&1 ||
  { tail -n 20 "$work/export.log" >&2; fail "the export in the trainer image failed"; }

start=$SECONDS
# The vectors are compared in float32; by itself the server takes bfloat16 where the processor has it.
read -ra command < <(docker inspect --format '{{join .Config.Cmd " "}}' rejoinder-server:test)
server=$(docker run --detach --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
  --network none -v "$work/model/export/encoder:/models/encoder:ro" rejoinder-server:test \
  "${command[@]}" --precision=float32)
# This machine's Python in the network of the container.
nsenter --target "$(docker inspect --format '{{.State.Pid}}' "$server")" --net \
  "$python" "$here/vectors.py" "$work/model/export/encoder" http://127.0.0.1:8501 ||
  { docker logs "$server" 2>&1 | tail -n 20 >&2; fail "the server image failed"; }
for _ in $(seq 60); do
  health=$(docker inspect --format '{{.State.Health.Status}}' "$server")
  [ "$health" = starting ] || break
  sleep 1
done
[ "$health" = healthy ] || fail "the server is $health"
memory=$(docker stats --no-stream --format '{{.MemUsage}}' "$server")
say "server image: $health, user $(docker exec "$server" id -u), memory ${memory%% /*}, $((SECONDS - start)) s"
docker stop --time 60 "$server" > /dev/null
[ "$(docker inspect --format '{{.State.ExitCode}}' "$server")" = 0 ] || fail "the server did not stop with status 0"
docker rm "$server" > /dev/null
say "all images work"
