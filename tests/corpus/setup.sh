#!/usr/bin/env bash
# The nasty images that the engine is tortured with, and what Pillow makes of them, into target/corpus: Pillow's own test
# images from its source package, and those that come with the packages named in crates/Cargo.toml. Both are fetched by
# pip and cargo from the registries they are set up for, at one version each, with its digest checked. Quick when it is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly here=tests/corpus corpus=$PWD/target/corpus
readonly log=$corpus.log

fetch_pillow() {
    local archive
    python3 -m venv "$corpus/.venv" &&
        "$corpus/.venv/bin/python" -m pip download -q --no-deps --no-binary :all: --require-hashes -r "$here/pillow.txt" -d "$corpus/.cache" &&
        archive=("$corpus"/.cache/pillow-*.tar.gz) && mkdir "$corpus/pillow" &&
        tar -xzf "${archive[0]}" -C "$corpus/pillow" --strip-components 3 --wildcards '*/Tests/images'
}

fetch_crates() {
    local name
    cargo vendor -q --locked --manifest-path "$here/crates/Cargo.toml" "$corpus/.cache/crates" || return
    for name in $(sed -n '/^\[dependencies\]/,$s/^\([a-z-]*\) *=.*/\1/p' "$here/crates/Cargo.toml"); do
        mkdir -p "$corpus/crates/$name"
        (cd "$corpus/.cache/crates/$name" && find . -type f -iregex '.*\.\(jpe?g\|png\|webp\|gif\|bmp\|tiff?\)' \
            -exec cp --parents -t "$corpus/crates/$name" {} +) || return
    done
}

make_reference() {
    "$corpus/.venv/bin/python" -m pip install -q --no-deps --only-binary :all: "$(sed -n 's/^\(pillow==[^ ]*\) .*/\1/p' "$here/pillow.txt")" &&
        "$corpus/.venv/bin/python" "$here/pillow_reference.py" "$corpus"
}

stamp=$(cat "$here"/*.* "$here"/crates/* | sha256sum)
mkdir -p target
exec 9>"$corpus.lock"
flock 9 # two runs at once wait for each other
if [[ -f $corpus/.complete && $(<"$corpus/.complete") == "$stamp" ]]; then exit 0; fi

for try in 1 2 3; do
    echo "setup: fetching the corpus of images (a minute)" >&2
    rm -rf "$corpus"
    mkdir -p "$corpus/.cache"
    if { fetch_pillow && fetch_crates && make_reference; } >"$log" 2>&1; then
        rm -rf "$corpus/.cache" "$corpus/.venv" "$log"
        printf '%s\n' "$stamp" >"$corpus/.complete"
        exit 0
    fi
    tail -n 20 "$log" >&2
    [[ $try -eq 3 ]] || sleep $((try * 5))
done
echo "setup: could not fetch the corpus of images; what is above says why, all of it is in $log" >&2
exit 1
