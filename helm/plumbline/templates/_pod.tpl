{{/* Pod template of a workload, the same for every role; takes {"root", "role"}. */}}
{{- define "plumbline.pod" -}}
{{- $role := .role }}
{{- $component := include "plumbline.component" .role }}
{{- $nightly := eq .role "nightly" }}
{{- $job := or $nightly (eq .role "replayJob") }}
{{- $replaying := include "plumbline.replaying" . }}
{{- $joining := include "plumbline.joining" . }}
{{- $pod := get .root.Values.pods (ternary "judge" .role $nightly) }}
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
    app.kubernetes.io/component: {{ $component }}
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "plumbline.serviceAccountName" . | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if $job }}
  restartPolicy: Never
  {{- end }}
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
  {{- if include "plumbline.upgrading" (dict "root" . "role" $role) }}
  initContainers:
    # one pod at a time upgrades; the others wait and find nothing to do
    - name: upgrade-store
      image: {{ include "plumbline.image" (dict "root" . "role" $role) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [db, upgrade, --config=/etc/plumbline/plumbline.yaml]
      {{- with .Values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.credentials.environmentSecret }}
      envFrom:
        - secretRef: {name: {{ . | quote }}}
      {{- end }}
      resources:
        requests: {cpu: 100m, memory: 256Mi}
        limits: {memory: 512Mi}
      securityContext:
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
        readOnlyRootFilesystem: true
      volumeMounts:
        - {name: config, mountPath: /etc/plumbline/plumbline.yaml, subPath: plumbline.yaml, readOnly: true}
        {{- if include "plumbline.secretName" . }}
        - {name: credentials, mountPath: /etc/plumbline/credentials, readOnly: true}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  {{- end }}
  containers:
    - name: plumbline
      image: {{ include "plumbline.image" (dict "root" . "role" $role) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- if $nightly }}
        - judge
        - nightly
        - --work=/var/lib/plumbline/nightly
        {{- with .Values.nightly.model }}
        - {{ printf "--model=%s" . | quote }}
        {{- end }}
        - --config=/etc/plumbline/plumbline.yaml
        {{- else if $job }}
        - replay
        - work
        - --once
        - --config=/etc/plumbline/plumbline.yaml
        {{- else }}
        - run
        - --config=/etc/plumbline/plumbline.yaml
        {{- if ne $role "together" }}
        - --roles={{ $role }}
        {{- else if include "plumbline.web" . }}
        - --roles=ingest,detect,judge,experiment,join,replay,notify
        {{- end }}
        {{- end }}
      {{- $statefulSet := and (eq .Values.workload "StatefulSet") (not $job) }}
      {{- if or $statefulSet $replaying $nightly .Values.extraEnv }}
      env:
        {{- if $nightly }}
        # the ledger of the budget, which must outlive the pod
        - {name: XDG_STATE_HOME, value: /var/lib/plumbline/nightly}
        {{- end }}
        {{- if $replaying }}
        {{- if not (default dict .Values.config.replay).directory }}
        - {name: PLUMBLINE__REPLAY__DIRECTORY, value: /var/lib/plumbline/replay}
        {{- end }}
        {{- if and .Values.replay.jobs.enabled (not $job) }}
        # the jobs do the replays
        - {name: PLUMBLINE__REPLAY__WORKERS, value: "0"}
        {{- end }}
        {{- end }}
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
      {{- if not $job }}
      ports:
        - name: http
          containerPort: {{ .Values.config.http.port }}
        {{- if eq $role "web" }}
        - name: web
          containerPort: {{ include "plumbline.webPort" . | int }}
        {{- end }}
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
      {{- end }}
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
        {{- if $replaying }}
        - {name: replay, mountPath: /var/lib/plumbline/replay}
        {{- if .Values.replay.storeClaim }}
        - {name: store, mountPath: /var/lib/plumbline/store}
        {{- end }}
        {{- if .Values.replay.modelsClaim }}
        - {name: models, mountPath: /var/lib/plumbline/models, readOnly: true}
        {{- end }}
        {{- end }}
        {{- if and (eq $role "web") .Values.web.setsClaim }}
        - {name: evalsets, mountPath: /var/lib/plumbline/evalsets}
        {{- end }}
        {{- if $nightly }}
        - {name: nightly, mountPath: /var/lib/plumbline/nightly}
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
    {{- if $replaying }}
    - name: replay
      emptyDir: {sizeLimit: {{ .Values.replay.scratch | quote }}}
    {{- with .Values.replay.storeClaim }}
    - name: store
      persistentVolumeClaim: {claimName: {{ . | quote }}}
    {{- end }}
    {{- with .Values.replay.modelsClaim }}
    - name: models
      persistentVolumeClaim: {claimName: {{ . | quote }}, readOnly: true}
    {{- end }}
    {{- end }}
    {{- if eq $role "web" }}
    {{- with .Values.web.setsClaim }}
    - name: evalsets
      persistentVolumeClaim: {claimName: {{ . | quote }}}
    {{- end }}
    {{- end }}
    {{- if $nightly }}
    - name: nightly
      persistentVolumeClaim: {claimName: {{ .Values.nightly.claim | quote }}}
    {{- end }}
    - name: tmp
      {{- /* Ids that do not fit into memory are in files of the pods that join feedback. */}}
      emptyDir: {sizeLimit: {{ if $joining }}8Gi{{ else }}64Mi{{ end }}}
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
          app.kubernetes.io/component: {{ $component }}
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
