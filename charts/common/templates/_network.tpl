{{/* Stage Pods of the release, whatever run they are of. */}}
{{- define "i2p.stagePods" -}}
matchLabels:
  app.kubernetes.io/name: image-to-prompts
  app.kubernetes.io/instance: {{ .Release.Name | quote }}
matchExpressions:
  - {key: app.kubernetes.io/component, operator: NotIn, values: [controller, doctor]}
{{- end -}}

{{/*
(list root inside): who may talk to whom, where the cluster's network enforces it; `inside` is true when stage Pods talk
to each other.
*/}}
{{- define "i2p.networkPolicies" -}}
{{- $root := index . 0 -}}
{{- $stages := include "i2p.stagePods" $root -}}
{{- $inside := index . 1 -}}
{{- if $root.Values.chart.network_policy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "i2p.name" (list $root "-stages" 63) }}
  labels:
    {{- include "i2p.labels" (list $root "stages") | nindent 4 }}
spec:
  podSelector:
    {{- $stages | nindent 4 }}
  policyTypes: [Ingress, Egress]
  {{- if $inside }}
  ingress:
    - from:  # on every port: a training world meets at 29400, then NCCL and gloo choose ports of their own
        - podSelector:
            {{- $stages | nindent 12 }}
  {{- else }}
  ingress: []
  {{- end }}
  egress:
    {{- if $inside }}
    - to:
        - podSelector:
            {{- $stages | nindent 12 }}
    {{- end }}
    {{- include "i2p.egress" (list $root list) | nindent 4 }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "i2p.name" (list $root "-controller" 63) }}
  labels:
    {{- include "i2p.labels" (list $root "controller") | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: image-to-prompts
      app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: [controller, doctor]}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress:
    {{- include "i2p.egress" (list $root $root.Values.chart.network_policy.api_server_ports) | nindent 4 }}
{{- end }}
{{- end -}}

{{/*
(list root ports): names, the store, the hub, and the ports given. Addresses are not limited, because those of a
bucket's service change; a URL in kubernetes.env adds its port.
*/}}
{{- define "i2p.egress" -}}
{{- $policy := (index . 0).Values.chart.network_policy -}}
{{- $ports := list -}}
{{- range concat $policy.ports (index . 1) -}}
{{- $ports = append $ports (int .) -}}
{{- end -}}
{{- range ((index . 0).Values.kubernetes | default dict).env -}}
{{- if regexMatch "^https?://" . -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- $ports = append $ports (int $port) -}}
{{- end -}}
{{- end -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
- ports:
    {{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- with $policy.extra_egress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
