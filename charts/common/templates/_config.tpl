{{/*
The run's configuration: the values as they are, without what is only the chart's, and what the cluster decides.
A key that is null stays null, because no default of the chart's has the same name: Helm would drop both.
*/}}
{{- define "i2p.config" -}}
{{- $config := deepCopy (omit .Values "chart" "common" "global") -}}
{{- $kubernetes := $config.kubernetes | default dict -}}
{{- if not (hasPrefix "s3://" ($config.store | default "")) -}}
{{- fail "store: required here, s3://BUCKET/PREFIX; Pods share no folder" -}}
{{- end -}}
{{- if not ($kubernetes.images | default dict).controller -}}
{{- fail "kubernetes.images.controller: required; `make images REGISTRY=…` builds all images: add -f images/built.yaml" -}}
{{- end -}}
{{- if ne ($kubernetes.namespace | default .Release.Namespace) .Release.Namespace -}}
{{- fail (printf "kubernetes.namespace: %s, but the release goes to %s; leave it out, or install with -n %s" $kubernetes.namespace .Release.Namespace $kubernetes.namespace) -}}
{{- end -}}
{{- $_ := set $kubernetes "namespace" .Release.Namespace -}}
{{- $_ := set $kubernetes "service_account" (include "i2p.stageAccount" .) -}}
{{- $labels := merge (dict "app.kubernetes.io/instance" .Release.Name) ($kubernetes.labels | default dict) -}}
{{- $_ := set $kubernetes "labels" $labels -}}
{{- $_ := set $config "kubernetes" $kubernetes -}}
{{- $_ := set $config "executor" "kubernetes" -}}
{{- $_ := set $config "run" (include "i2p.run" .) -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "i2p.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels:
    {{- include "i2p.labels" (list . "controller") | nindent 4 }}
data:
  run.yaml: |
    {{- include "i2p.config" . | nindent 4 }}
{{- end -}}
