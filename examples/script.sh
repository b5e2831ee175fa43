#!/usr/bin/env bash
# One command from a shell, a table at the end: the GMFA peaks of every recording named.
#   examples/script.sh fixtures/demo/demo.vhdr
set -euo pipefail
stimkit=${STIMKIT:-stimkit}
"$stimkit" tep "$@" --table peaks --quiet |
  awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; print "recording", "component", "latency_ms", "amplitude_uv", "p_signflip"; next }
           $at["kind"] == "gmfa" { print $at["recording"], $at["component"], $at["latency_ms"], $at["amplitude_uv"], $at["p_signflip"] }' |
  column -t
