{{/* The accounts of the controller and of stage Pods, each unless an existing one is named. Neither mounts a token by
itself: the controller's Pod asks for its own, stage Pods have none. */}}
{{- define "i2p.serviceAccounts" -}}
{{- if not .Values.chart.controller.service_account }}
---
{{ include "i2p.serviceAccount" (list . "controller" (include "i2p.controllerAccount" .)) }}
{{- end }}
{{- if not (.Values.kubernetes | default dict).service_account }}
---
{{ include "i2p.serviceAccount" (list . "stages" (include "i2p.stageAccount" .)) }}
{{- end }}
{{- end -}}

{{/* (list root component name) */}}
{{- define "i2p.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ index . 2 }}
  labels:
    {{- include "i2p.labels" . | nindent 4 }}
  {{- with (index . 0).Values.chart.service_account_annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}

{{/* (list root rules): what every controller asks of the API server, and the rules of what only this chart's does. */}}
{{- define "i2p.role" -}}
{{- $root := index . 0 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ include "i2p.name" (list $root "-controller" 63) }}
  labels:
    {{- include "i2p.labels" (list $root "controller") | nindent 4 }}
rules:
  - apiGroups: [batch]
    resources: [jobs]
    verbs: [create, delete, list, patch, watch]
  - apiGroups: [""]
    resources: [pods]
    verbs: [list]
  {{- with index . 1 }}
  {{- . | nindent 2 }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ include "i2p.name" (list $root "-controller" 63) }}
  labels:
    {{- include "i2p.labels" (list $root "controller") | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "i2p.name" (list $root "-controller" 63) }}
subjects:
  - kind: ServiceAccount
    name: {{ include "i2p.controllerAccount" $root }}
    namespace: {{ $root.Release.Namespace }}
{{- end -}}
