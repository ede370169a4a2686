{{/* Written by `make charts` from pipeline/executors/kubernetes/pod.py and pipeline/charts/pod_template.py. */}}

{{/*
(list root arguments variables): the Pod of one call of `python -m pipeline` with the release's configuration, as the
Pod Security Standard "restricted" has it. It sees what planning needs: the store's credentials and the models.
*/}}
{{- define "i2p.podSpec" -}}
{{- $root := index . 0 -}}
{{- $arguments := index . 1 -}}
{{- $variables := index . 2 -}}
{{- $kubernetes := $root.Values.kubernetes | default dict -}}
{{- $controller := $root.Values.chart.controller -}}
restartPolicy: "Never"
serviceAccountName: {{ toJson (include "i2p.controllerAccount" $root) }}
automountServiceAccountToken: true
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: "OnRootMismatch"
  seccompProfile:
    type: "RuntimeDefault"
{{- with ($controller.priority_class | default $kubernetes.priority_class) }}
priorityClassName: {{ toJson . }}
{{- end }}
{{- with (merge (dict) ($controller.node_selector | default dict) ($kubernetes.node_selector | default dict)) }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with (concat ($kubernetes.tolerations | default list) ($controller.tolerations | default list) | uniq) }}
tolerations: {{ toJson . }}
{{- end }}
{{- if ($kubernetes.image_pull_secrets | default list) }}
imagePullSecrets:
  {{- range ($kubernetes.image_pull_secrets | default list) }}
  - name: {{ toJson . }}
  {{- end }}
{{- end }}
containers:
  - name: "controller"
    image: {{ toJson ($kubernetes.images | default dict).controller }}
    imagePullPolicy: {{ toJson (dig "image_pull_policy" "IfNotPresent" $kubernetes) }}
    env:
      {{- range $name, $value := ($kubernetes.env | default dict) }}
      - name: {{ toJson $name }}
        value: {{ toJson $value }}
      {{- end }}
      {{- range $variables }}
      - {{ toJson . }}
      {{- end }}
    {{- if $kubernetes.credentials }}
    envFrom:
      - secretRef:
          name: {{ toJson $kubernetes.credentials }}
    {{- end }}
    resources:
      requests:
        cpu: {{ toJson $controller.cpus }}
        memory: {{ toJson $controller.memory }}
        ephemeral-storage: {{ toJson $controller.scratch }}
      limits:
        memory: {{ toJson $controller.memory }}
        ephemeral-storage: {{ toJson $controller.scratch }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - "ALL"
    terminationMessagePolicy: "FallbackToLogsOnError"
    volumeMounts:
      - name: "tmp"
        mountPath: "/tmp"
      - name: "cache"
        mountPath: "/cache"
      - name: "config"
        mountPath: "/etc/image-to-prompts"
        readOnly: true
      {{- if $kubernetes.models }}
      - name: "models"
        mountPath: {{ toJson (dig "models_path" "/models" $kubernetes) }}
        readOnly: true
      {{- end }}
    args: {{ toJson $arguments }}
volumes:
  - name: "tmp"
    emptyDir:
      sizeLimit: {{ toJson $controller.scratch }}
  - name: "cache"
    {{- if $kubernetes.cache }}
    persistentVolumeClaim:
      claimName: {{ toJson $kubernetes.cache }}
    {{- end }}
    {{- if not $kubernetes.cache }}
    emptyDir:
      sizeLimit: {{ toJson $controller.scratch }}
    {{- end }}
  - name: "config"
    configMap:
      name: {{ toJson $root.Release.Name }}
  {{- if $kubernetes.models }}
  - name: "models"
    persistentVolumeClaim:
      claimName: {{ toJson $kubernetes.models }}
      readOnly: true
  {{- end }}
{{- end -}}

{{/* By which the controller finds its own Job. */}}
{{- define "i2p.ownVariables" -}}
- name: "I2P_INVOCATION"
  valueFrom:
    fieldRef:
      fieldPath: "metadata.labels['batch.kubernetes.io/controller-uid']"
- name: "I2P_JOB_NAME"
  valueFrom:
    fieldRef:
      fieldPath: "metadata.labels['batch.kubernetes.io/job-name']"
{{- end -}}

{{/* By which it finds the ConfigMap that owns the stages' Jobs. */}}
{{- define "i2p.ownerVariables" -}}
- name: "I2P_OWNER_CONFIG_MAP"
  value: {{ toJson .Release.Name }}
{{- end -}}

{{/*
A controller may be killed at any moment and goes on where it was, so its Job starts it again unless its exit code
(jobs/errors.py) says that a retry cannot help.
*/}}
{{- define "i2p.podFailurePolicy" -}}
rules:
  - action: "Ignore"
    onPodConditions:
      - type: "DisruptionTarget"
        status: "True"
  - action: "FailJob"
    onExitCodes:
      containerName: "controller"
      operator: "In"
      values:
        - 65
        - 78
{{- end -}}
