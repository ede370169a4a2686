{{/*
(list root command variables): the specification of a controller's Job.
*/}}
{{- define "i2p.controllerJobSpec" -}}
backoffLimit: 6
podReplacementPolicy: Failed
podFailurePolicy:
  {{- include "i2p.podFailurePolicy" . | nindent 2 }}
template:
  metadata:
    labels:
      {{- include "i2p.selectorLabels" (list (index . 0) "controller") | nindent 6 }}
  spec:
    {{- $arguments := list (index . 1) "--preset" "/etc/image-to-prompts/run.yaml" }}
    {{- $own := include "i2p.ownVariables" . | fromYamlArray }}
    {{- include "i2p.podSpec" (list (index . 0) $arguments (concat $own (index . 2))) | nindent 4 }}
{{- end -}}

{{/*
The Pod behind `helm test --logs`: doctor, with the controller's configuration and account. Helm shows what it printed,
without --logs when it failed, and deletes it, since an uninstall leaves hooks behind.
*/}}
{{- define "i2p.doctor" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "i2p.name" (list . "-doctor" 63) }}
  labels:
    {{- include "i2p.labels" (list . "doctor") | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
    helm.sh/hook-output-log-policy: hook-failed
spec:
  {{- $arguments := list "doctor" "--preset" "/etc/image-to-prompts/run.yaml" }}
  {{- include "i2p.podSpec" (list . $arguments list) | nindent 2 }}
{{- end -}}
