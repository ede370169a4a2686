{{/* Names and labels. A release's name may have 53 letters and dots; an object's here has 63 at most. */}}

{{/* (list root suffix longest): the release's name and a suffix; a name that is too long ends in digits of itself. */}}
{{- define "i2p.name" -}}
{{- $release := (index . 0).Release.Name -}}
{{- $suffix := index . 1 -}}
{{- $room := int (sub (index . 2) (len $suffix)) -}}
{{- if gt (len $release) $room -}}
{{- $release = printf "%s-%s" (trunc (int (sub $room 9)) $release | trimAll "-.") (sha256sum $release | trunc 8) -}}
{{- end -}}
{{- print $release $suffix -}}
{{- end -}}

{{/* The run's name: the one given, or the release's: without dots, and 32 letters, so that 48 hold a batch's too. */}}
{{- define "i2p.run" -}}
{{- $release := .Release.Name -}}
{{- $plain := $release | replace "." "-" -}}
{{- if .Values.run -}}
{{- .Values.run -}}
{{- else if and (eq $plain $release) (le (len $release) 32) -}}
{{- $release -}}
{{- else -}}
{{- printf "%s-%s" (trunc 23 $plain | trimAll "-") (sha256sum $release | trunc 8) -}}
{{- end -}}
{{- end -}}

{{- define "i2p.controllerAccount" -}}
{{- .Values.chart.controller.service_account | default (include "i2p.name" (list . "-controller" 63)) -}}
{{- end -}}

{{- define "i2p.stageAccount" -}}
{{- (.Values.kubernetes | default dict).service_account | default (include "i2p.name" (list . "-stages" 63)) -}}
{{- end -}}

{{/* (list root component): what a selector or an immutable template may hold. */}}
{{- define "i2p.selectorLabels" -}}
app.kubernetes.io/name: image-to-prompts
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* (list root component) */}}
{{- define "i2p.labels" -}}
{{ include "i2p.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end -}}
