{{/* Pod template of a workload, the same for every role; takes {"root", "role"}. */}}
{{- define "plumbline.pod" -}}
{{- $role := .role }}
{{- $pod := get .root.Values.pods .role }}
{{- with .root }}
metadata:
  annotations:
    # pods read the configuration only at their start, so a change must roll them
    checksum/config: {{ include "plumbline.config" . | sha256sum }}
    {{- with .Values.credentials.inline }}
    checksum/credentials: {{ toYaml . | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  # without the chart's version, which would roll the pods at every upgrade of the chart
  labels:
    {{- include "plumbline.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "plumbline.serviceAccountName" . | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds | int }}
  securityContext:
    runAsNonRoot: true
    {{- with .Values.podSecurity.runAsUser }}
    runAsUser: {{ . | int }}
    runAsGroup: {{ . | int }}
    {{- end }}
    {{- if not (kindIs "invalid" .Values.podSecurity.fsGroup) }}
    fsGroup: {{ .Values.podSecurity.fsGroup | int }}
    {{- end }}
    seccompProfile: {type: RuntimeDefault}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  containers:
    - name: plumbline
      image: {{ include "plumbline.image" (dict "root" . "role" $role) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - run
        - --config=/etc/plumbline/plumbline.yaml
        {{- if ne $role "together" }}
        - --roles={{ $role }}
        {{- end }}
      {{- $statefulSet := eq .Values.workload "StatefulSet" }}
      {{- if or $statefulSet .Values.extraEnv }}
      env:
        {{- if $statefulSet }}
        - name: PLUMBLINE__KAFKA__INSTANCE
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.credentials.environmentSecret }}
      envFrom:
        - secretRef: {name: {{ . | quote }}}
      {{- end }}
      ports:
        - name: http
          containerPort: {{ .Values.config.http.port }}
      # Five minutes: references are read from files before the first loop iteration.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 60
      # Heartbeats of the loops, which continue during a long restore.
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 20
        timeoutSeconds: 5
        failureThreshold: 3
      # Consumer groups joined and state restored.
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      resources:
        {{- toYaml $pod.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
        readOnlyRootFilesystem: true
      volumeMounts:
        - {name: config, mountPath: /etc/plumbline/plumbline.yaml, subPath: plumbline.yaml, readOnly: true}
        {{- if include "plumbline.secretName" . }}
        - {name: credentials, mountPath: /etc/plumbline/credentials, readOnly: true}
        {{- end }}
        {{- if .Values.references.existingClaim }}
        - {name: references, mountPath: /var/lib/plumbline/references, readOnly: true}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "plumbline.fullname" . | quote }}}
    {{- with include "plumbline.secretName" . }}
    - name: credentials
      secret: {secretName: {{ . | quote }}, defaultMode: 0440}
    {{- end }}
    {{- with .Values.references.existingClaim }}
    - name: references
      persistentVolumeClaim: {claimName: {{ . | quote }}, readOnly: true}
    {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.topologySpread.keys }}
  topologySpreadConstraints:
    {{- range . }}
    - maxSkew: 1
      topologyKey: {{ . | quote }}
      whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "plumbline.selectorLabels" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $role }}
    {{- end }}
  {{- end }}
  {{- with $pod.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with $pod.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}
