{{/*
(list root arguments variables): the Pod of one call of `python -m pipeline` with the release's configuration, as the
Pod Security Standard "restricted" has it. It sees what planning needs: the store's credentials and the models.
*/}}
{{- define "i2p.podSpec" -}}
{{- $root := index . 0 -}}
{{- $kubernetes := $root.Values.kubernetes | default dict -}}
{{- $controller := $root.Values.chart.controller -}}
{{- $nodes := merge (dict) ($controller.node_selector | default dict) ($kubernetes.node_selector | default dict) -}}
{{- $tolerations := concat ($kubernetes.tolerations | default list) ($controller.tolerations | default list) | uniq -}}
restartPolicy: Never
serviceAccountName: {{ include "i2p.controllerAccount" $root }}
automountServiceAccountToken: true
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $controller.priority_class | default $kubernetes.priority_class }}
priorityClassName: {{ . }}
{{- end }}
{{- with $nodes }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $kubernetes.image_pull_secrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
containers:
  - name: controller
    image: {{ ($kubernetes.images | default dict).controller | quote }}
    imagePullPolicy: {{ $kubernetes.image_pull_policy | default "IfNotPresent" }}
    args:
      {{- toYaml (index . 1) | nindent 6 }}
    env:
      {{- range $name, $value := $kubernetes.env }}
      - name: {{ $name }}
        value: {{ $value | quote }}
      {{- end }}
      {{- with index . 2 }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with $kubernetes.credentials }}
    envFrom:
      - secretRef:
          name: {{ . }}
    {{- end }}
    resources:
      requests:
        cpu: {{ $controller.cpus | quote }}
        memory: {{ $controller.memory | quote }}
        ephemeral-storage: {{ $controller.scratch | quote }}
      limits:
        memory: {{ $controller.memory | quote }}
        ephemeral-storage: {{ $controller.scratch | quote }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
      - name: config
        mountPath: /etc/image-to-prompts
        readOnly: true
      - name: tmp
        mountPath: /tmp
      - name: cache
        mountPath: /cache
      {{- if $kubernetes.models }}
      - name: models
        mountPath: {{ $kubernetes.models_path | default "/models" }}
        readOnly: true
      {{- end }}
volumes:
  - name: config
    configMap:
      name: {{ $root.Release.Name }}
  - name: tmp
    emptyDir:
      sizeLimit: {{ $controller.scratch | quote }}
  - name: cache
    {{- with $kubernetes.cache }}
    persistentVolumeClaim:
      claimName: {{ . }}
    {{- else }}
    emptyDir:
      sizeLimit: {{ $controller.scratch | quote }}
    {{- end }}
  {{- with $kubernetes.models }}
  - name: models
    persistentVolumeClaim:
      claimName: {{ . }}
      readOnly: true
  {{- end }}
{{- end -}}
