# Sourced by the long proofs; not a script of its own. Usage:  . "$here/proof.sh"; prove NAME "$@"
#
#   STIMKIT_SHARED   the folder with peers/gen_tms.py and peers/peer_mne_tep.py; default: shared/ beside the repository
#   STIMKIT_PYTHON   a Python with MNE 1.13.2, mne-connectivity, SciPy and pandas; default python3. Where MNE is missing, a venv is made once
#   STIMKIT_BIN      the program; default: built from this tree
#   recordings, venv and tables are kept in ${TMPDIR:-/tmp}/stimkit-proof and may be deleted at any time
#
# Exit codes: 0 every bound holds, 1 one is missed, 77 skipped (nothing was proved).

top=$(cd "$here/../.." && pwd)
export STIMKIT_SHARED=${STIMKIT_SHARED:-$top/../shared}
export STIMKIT_CACHE=${TMPDIR:-/tmp}/stimkit-proof
mkdir -p "$STIMKIT_CACHE"

need_shared() {
    [ -f "$STIMKIT_SHARED/peers/gen_tms.py" ] && [ -f "$STIMKIT_SHARED/peers/peer_mne_tep.py" ] && return
    printf '\nSKIPPED: %s proves nothing: no peers/gen_tms.py and peers/peer_mne_tep.py in %s; set STIMKIT_SHARED\n\n' \
        "$(basename "$0")" "$STIMKIT_SHARED" >&2
    exit 77
}

need_python() {
    python=${STIMKIT_PYTHON:-python3}
    local wanted='import sys, mne, mne_connectivity, scipy, pandas; sys.exit(mne.__version__ != "1.13.2")'
    "$python" -c "$wanted" 2>/dev/null && return
    local venv=$STIMKIT_CACHE/venv
    if ! "$venv/bin/python" -c "$wanted" 2>/dev/null; then
        echo "no MNE 1.13.2 in $python: installing it into $venv" >&2
        "$python" -m venv "$venv" && "$venv/bin/pip" install --quiet mne==1.13.2 mne-connectivity==0.9.0 tensorpac scipy pandas >&2 || {
            printf '\nSKIPPED: %s proves nothing: MNE 1.13.2 cannot be installed\n\n' "$(basename "$0")" >&2
            exit 77
        }
    fi
    python=$venv/bin/python
}

need_program() {
    [ -n "${STIMKIT_BIN:-}" ] || (cd "$top" && cargo build --release --locked --quiet)
    export STIMKIT_BIN=${STIMKIT_BIN:-${CARGO_TARGET_DIR:-$top/target}/release/stimkit}
}

# Runs NAME.py beside this file.
prove() {
    local name=$1
    shift
    need_program
    "$python" -B "$here/$name.py" "$@"
}
