#!/usr/bin/env bash
# Makes sure that the programs which the tests talk to are there: installs what is missing as root, else says how.
set -euo pipefail

# command:package, as Debian 12 names them
wanted=(
    chromium:chromium
    sipp:sip-tester
    baresip:baresip-core
    kamailio:kamailio
    turnserver:coturn
    ip:iproute2
    iptables:iptables
    rtpengine:rtpengine-daemon
    espeak-ng:espeak-ng
    promtool:prometheus
    node:nodejs
    npm:npm
    systemd-analyze:systemd
)

# file:package, for what is no command
files=(
    "/usr/lib/*/kamailio/modules/tls.so:kamailio-tls-modules"
)

missing=()
for pair in "${wanted[@]}"; do
    PATH="$PATH:/usr/sbin" command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
for pair in "${files[@]}"; do
    compgen -G "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
    echo "The tests need ${missing[*]} (names of Debian's packages); install them and run this again." >&2
    exit 1
fi

options=(-o DPkg::Lock::Timeout=900 -y --no-install-recommends)
if [[ $(id -u) -ne 0 ]]; then
    echo "The tests need Debian packages that are missing: ${missing[*]}" >&2
    echo "Install them with:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

echo "==> Installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# RUNLEVEL=1 keeps packages from starting their servers: the tests start their own.
export RUNLEVEL=1
apt-get -o DPkg::Lock::Timeout=900 update -qq
apt-get "${options[@]}" install -qq "${missing[@]}"
