{{/* Stage Jobs belong to the release's ConfigMap: an upgrade keeps them, an uninstall ends them with all their Pods. */}}
{{- define "training-run.jobSpec" -}}
{{- include "i2p.controllerJobSpec" (list . "run" (include "i2p.ownerVariables" . | fromYamlArray)) -}}
{{- end -}}

{{/* A Job cannot be edited: when anything of it or of the configuration changes, it is another Job. */}}
{{- define "training-run.jobName" -}}
{{- $all := list (include "i2p.config" .) (include "training-run.jobSpec" .) (int .Values.chart.attempt) -}}
{{- include "i2p.name" (list . (printf "-%s" (toJson $all | sha256sum | trunc 8)) 63) -}}
{{- end -}}
