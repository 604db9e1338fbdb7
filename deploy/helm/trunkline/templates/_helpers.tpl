{{- define "trunkline.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "trunkline.labels" -}}
{{ include "trunkline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/*
What the chart has to know of the configuration, with Trunkline's own defaults, as JSON: ports and times stand in one
place. Refuses a configuration that cannot work in a pod.
*/}}
{{- define "trunkline.facts" -}}
{{- if not .Values.config }}{{ fail "Give the configuration: --set-file config=trunkline.yaml" }}{{ end }}
{{- $config := fromYaml .Values.config }}
{{- with $config.Error }}{{ fail (printf "The configuration is no YAML: %s" .) }}{{ end }}
{{- $appservice := $config.appservice | default dict }}
{{- $ops := $config.ops | default dict }}
{{- $sip := $config.sip | default dict }}
{{- $media := $config.media | default dict }}
{{- $calls := $config.calls | default dict }}
{{- $store := $config.store | default dict }}
{{- $homeserverSide := $appservice.listen | default "127.0.0.1:29330" }}
{{- $opsSide := $ops.listen | default "127.0.0.1:9464" }}
{{- $records := dig "call_records" "call-records.jsonl" $ops }}
{{- if hasPrefix "127." $homeserverSide }}
{{- fail (printf "appservice.listen is %s, where the homeserver does not reach it: set it to 0.0.0.0:29330" $homeserverSide) }}
{{- end }}
{{- if and (hasPrefix "127." $opsSide) (or (not .Values.hostNetwork) .Values.monitoring.serviceMonitor) }}
{{- fail (printf "ops.listen is %s, where nobody else reaches it: set it to 0.0.0.0:9464" $opsSide) }}
{{- end }}
{{- if not (hasPrefix "/data/" ($store.path | default "")) }}
{{- fail "store.path has to lie below /data, as /data/trunkline.sqlite3: nothing else outlives the pod" }}
{{- end }}
{{- if and $records (not (hasPrefix "/data/" $records)) }}
{{- fail "ops.call_records has to lie below /data, as /data/call-records.jsonl, or be \"\"" }}
{{- end }}
{{- $opsHost := regexReplaceAll ":[0-9]+$" $opsSide "" | trimAll "[]" }}
{{- $drain := dig "drain_timeout_s" 600 $calls }}
{{- dict
      "appservice" (splitList ":" $homeserverSide | last | int)
      "ops" (splitList ":" $opsSide | last | int)
      "opsHost" (has $opsHost (list "0.0.0.0" "::") | ternary "" $opsHost)
      "sip" ($sip.listen | default (list "udp:127.0.0.1:5060" "tcp:127.0.0.1:5060"))
      "media" (eq ($media.engine | default "auto") "rtpengine" | ternary "" ($media.ports | default "20000-29999"))
      "grace" (add (ceil $drain) 20)
    | toJson }}
{{- end }}

{{/* The name and protocol of a listener of SIP: udp:0.0.0.0:5060. */}}
{{- define "trunkline.listener" -}}
name: sip-{{ splitList ":" . | first }}-{{ splitList ":" . | last }}, protocol: {{ hasPrefix "udp:" . | ternary "UDP" "TCP" }}
{{- end }}
