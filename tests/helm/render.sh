#!/usr/bin/env bash
# Renders the chart into rendered/ beside this file, after it has changed. It needs helm 3: HELM=/path/to/helm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
helm=${HELM:-helm}
render() {
    "$helm" template trunkline deploy/helm/trunkline --namespace telephony --kube-version 1.33.0 \
        --set-file config=tests/helm/trunkline.yaml "${@:2}" >"${RENDERED:-tests/helm/rendered}/$1.yaml"
}
render host_network --set monitoring.serviceMonitor=true --set monitoring.labels.release=prometheus
render load_balancer --set hostNetwork=false --set 'pullSecrets={registry}'
find deploy/helm/trunkline -type f | LC_ALL=C sort | xargs sha256sum >"${RENDERED:-tests/helm/rendered}/inputs.sha256"
sha256sum tests/helm/trunkline.yaml >>"${RENDERED:-tests/helm/rendered}/inputs.sha256"
