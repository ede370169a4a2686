{{/* Not empty when a stage works as one world of several Pods. */}}
{{- define "training-run.hasGang" -}}
{{- range omit .Values "chart" "common" "global" -}}
{{- if kindIs "map" . -}}
{{- if gt (int ((.resources | default dict).pods | default 1)) 1 -}}yes{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
