#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The direction of dependencies (CONTRIBUTING.md), read from the #include lines and from names.
set -eu
bad=0
forbid() { # message, pattern, files...
    message=$1 pattern=$2
    shift 2
    [ $# -gt 0 ] && [ -e "$1" ] || return 0
    if grep -nE "$pattern" "$@" /dev/null; then
        echo "error: $message" >&2
        bad=1
    fi
}
forbid "the command line sees sluice.h and its own headers only" \
    '^#include "(base|engine|store|accel|fabric|validate|card|cache|bench|sched|sl_abi|sl_core)' host/cli/*.[ch]
forbid "the engine never names a job, a record or a register" \
    'struct sl_(job|record|caps)\b|SL_(OP|AT|STATUS|ARG)_|"(card/|accel/(device|csim)|fabric/joblist)' host/engine/*.[ch]
forbid "a device knows nothing of who uses it" '^#include "(fabric|validate|cache|bench|cli)/' host/accel/*.[ch]
forbid "the store knows slabs, not jobs" 'struct sl_(job|record)\b|SL_(OP|STATUS)_|"(accel|fabric|card)/' host/store/*.[ch]
forbid "base depends on nothing but sluice.h" '^#include "(engine|store|accel|fabric|card|cache|sched|cli|sl_abi)' host/base/*.[ch]
forbid "policies know traces, nothing of models or devices" '^#include "(engine|store|accel|fabric|card|cli|sl_abi)' host/cache/*.[ch]
forbid "the model of the core knows the contract and the geometry of slabs" \
    '^#include "(engine|accel|fabric|card|cache|cli|store/[^s]|store/s[^l])' host/sched/tlm*.[ch]
forbid "hls/ includes the contract and itself only" \
    '^#include "(base|engine|store|accel|card|cli|sluice|tests|\.\.)' hls/*.[ch]
forbid "nothing depends on tests" '^#include "(tests/|test_|core_rig|ref/)' host/*/*.[ch] hls/*.[ch] tools/*.c
forbid "the independent reference shares only the contract" \
    '^#include "(base|engine|store|accel|card|cli|expert_ffn|router_topk|kv_pack|hls_port|primitives)' tests/ref/*.[ch]
# Every file of the core is in the list that synthesis reads, and in the OpenCL form but for the tops.
core=$(ls hls/*.c | sed 's,.*/,,' | grep -vx 'native.c\|steps.c')
if [ "$core" != "$(cat hls/hls.f)" ] || [ "$(echo "$core" | grep -vx tops.c)" != "$(sed -n 's/^#include "\(.*\.c\)"$/\1/p' hls/core.cl)" ]; then
    echo "error: hls/hls.f and hls/core.cl do not name the files of hls/ in their order" >&2
    bad=1
fi
exit $bad
