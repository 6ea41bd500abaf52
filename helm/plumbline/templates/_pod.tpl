{{/* The pod of a workload, which is the same for every role; takes {"root", "role"}. */}}
{{- define "plumbline.pod" -}}
{{- $role := .role }}
{{- $pod := get .root.Values.pods .role }}
{{- with .root }}
metadata:
  annotations:
    # a changed configuration is read by new pods only
    checksum/config: {{ include "plumbline.config" . | sha256sum }}
    {{- with .Values.credentials.inline }}
    checksum/credentials: {{ toYaml . | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  # without the chart's version: a chart that changes nothing here does not roll the pods
  labels:
    {{- include "plumbline.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "plumbline.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    {{- with .Values.podSecurity.runAsUser }}
    runAsUser: {{ . | int }}
    runAsGroup: {{ . | int }}
    {{- end }}
    {{- with .Values.podSecurity.fsGroup }}
    fsGroup: {{ . | int }}
    {{- end }}
    seccompProfile: {type: RuntimeDefault}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  containers:
    - name: plumbline
      image: {{ include "plumbline.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - run
        - --config=/etc/plumbline/plumbline.yaml
        {{- if ne $role "together" }}
        - --roles={{ $role }}
        {{- end }}
      {{- if eq .Values.workload "StatefulSet" }}
      env:
        - name: PLUMBLINE__KAFKA__INSTANCE
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
      {{- end }}
      {{- with .Values.credentials.environmentSecret }}
      envFrom:
        - secretRef: {name: {{ . }}}
      {{- end }}
      ports:
        - name: http
          containerPort: {{ .Values.config.http.port }}
      # Five minutes: references are read from files before a loop turns.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 60
      # The heartbeat of the loops, which go on turning during a long restore.
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 20
        timeoutSeconds: 5
        failureThreshold: 3
      # Joined and restored.
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
  volumes:
    - name: config
      configMap: {name: {{ include "plumbline.fullname" . }}}
    {{- with include "plumbline.secretName" . }}
    - name: credentials
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
    {{- with .Values.references.existingClaim }}
    - name: references
      persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
    {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
  topologySpreadConstraints:
    {{- range .Values.topologySpread.keys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "plumbline.selectorLabels" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $role }}
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
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $pod.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
