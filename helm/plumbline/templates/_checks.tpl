{{/* Checks that a schema cannot express. Each error says what is wrong and how to fix it. */}}

{{- define "plumbline.checks" -}}
{{- $kafka := .Values.config.kafka }}
{{- $http := .Values.config.http }}
{{- $credentials := .Values.credentials }}
{{- include "plumbline.checkNames" . }}

{{- if not .Values.image.repository }}
{{- fail "image.repository is empty: build the image, push it to a registry that your cluster can pull from, and set its name" }}
{{- end }}

{{- if not (trim $kafka.bootstrap_servers) }}
{{- fail "config.kafka.bootstrap_servers is empty: give your brokers, for instance kafka-1:9092,kafka-2:9092" }}
{{- end }}
{{- range splitList "," $kafka.bootstrap_servers }}
{{- if not (trim .) }}
{{- fail (printf "config.kafka.bootstrap_servers is %q: remove the comma without a broker next to it" $kafka.bootstrap_servers) }}
{{- end }}
{{- include "plumbline.checkFormat" (list "broker" "a broker of config.kafka.bootstrap_servers" (trim .)) }}
{{- if regexMatch "^([A-Za-z_]+://)?(localhost|127\\.[0-9.]+|\\[::1\\])(:|$)" (trim .) }}
{{- fail (printf "config.kafka.bootstrap_servers contains %s, which in a pod is the pod itself: set an address of the broker that the cluster can reach" (trim .)) }}
{{- end }}
{{- end }}

{{- if regexMatch "^(localhost|127\\.[0-9.]+|::1)$" $http.host }}
{{- fail (printf "config.http.host is %s, which probes and Prometheus cannot reach: set 0.0.0.0, or :: for IPv6" $http.host) }}
{{- end }}
{{- if eq (int $http.port) 0 }}
{{- fail "config.http.port is 0, which selects a different port at each start: set a fixed port, for instance 9464" }}
{{- end }}

{{- if lt (int .Values.terminationGracePeriodSeconds) 420 }}
{{- fail (printf "terminationGracePeriodSeconds is %d, less than a pod may need to write its checkpoint and release its partitions: set 420 or more" (int .Values.terminationGracePeriodSeconds)) }}
{{- end }}
{{- if eq (toString .Values.podSecurity.runAsUser) "0" }}
{{- fail "podSecurity.runAsUser is 0, which is root: set another user, or null if the platform assigns one" }}
{{- end }}

{{- if and $credentials.existingSecret $credentials.inline }}
{{- fail "credentials.existingSecret and credentials.inline are both given: keep existingSecret, name the keys of that Secret in credentials.keys, and remove inline" }}
{{- end }}
{{- if and $credentials.keys (not $credentials.existingSecret) }}
{{- fail "credentials.keys is set, but credentials.existingSecret is not: set it to the name of the Secret that contains these keys" }}
{{- end }}
{{- range $setting, $value := default dict $kafka.client }}
{{- if or (hasKey $credentials.keys $setting) (hasKey $credentials.inline $setting) }}
{{- fail (printf "%s is set both in config.kafka.client and in credentials: remove one of them" $setting) }}
{{- end }}
{{- if and (not (kindIs "map" $value)) (regexMatch "(^|\\.)(password|passwd|passphrase|secret|jaas)(\\.|$)|(key\\.pem|ssl\\.key|oauthbearer\\.config|\\.token)$" (replace "_" "." $setting)) }}
{{- fail (printf "config.kafka.client.%s is a secret and must not be in a ConfigMap: store it in a Secret, and set credentials.existingSecret to its name and credentials.keys to its key" $setting) }}
{{- end }}
{{- end }}

{{- range $name, $experiment := default dict .Values.config.experiments }}
{{- if kindIs "map" $experiment.variants }}
{{- fail (printf "config.experiments.%s.variants is a mapping, whose order Helm does not keep, and the first variant is the control: write a list, for instance [{control: 0.5}, {treatment: 0.5}]" $name) }}
{{- end }}
{{- end }}

{{- $reference := default dict .Values.config.reference }}
{{- $source := default "warmup" $reference.source }}
{{- if ne $source "warmup" }}
{{- $key := ternary "path" "directory" (eq $source "file") }}
{{- if not .Values.references.existingClaim }}
{{- fail (printf "config.reference.source is %s, but no volume with references is mounted: set references.existingClaim to a PersistentVolumeClaim" $source) }}
{{- end }}
{{- if not (hasPrefix "/var/lib/plumbline/references" (default "" (get $reference $key))) }}
{{- fail (printf "config.reference.%s is outside the mounted volume: set a path that begins with /var/lib/plumbline/references" $key) }}
{{- end }}
{{- end }}

{{- if and .Values.podDisruptionBudget.enabled (eq (toString .Values.podDisruptionBudget.maxUnavailable) "0") }}
{{- fail "podDisruptionBudget.maxUnavailable is 0, so no pod may be evicted and no node can be drained: set 1 or more, or a percentage from 1% to 100%" }}
{{- end }}
{{- $ports := list }}
{{- range .Values.networkPolicy.kafkaPorts }}{{ $ports = append $ports (toString .) }}{{ end }}
{{- include "plumbline.checkUnique" (list "networkPolicy.kafkaPorts" $ports) }}

{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled }}
{{- fail "monitoring.podMonitor and monitoring.serviceMonitor are both enabled, so every pod would be scraped twice: disable one of them" }}
{{- end }}

{{- range (include "plumbline.workloads" . | fromYaml).names }}
{{- include "plumbline.checkPods" (dict "root" $ "role" .) }}
{{- end }}
{{- include "plumbline.checkInstance" . }}
{{- include "plumbline.checkNetwork" . }}
{{- if include "plumbline.judges" . }}
{{- include "plumbline.checkJudges" . }}
{{- end }}
{{- if .Values.nightly.enabled }}
{{- include "plumbline.checkNightly" . }}
{{- end }}
{{- if include "plumbline.replays" . }}
{{- include "plumbline.checkReplay" . }}
{{- if include "plumbline.judgesReplays" . }}
{{- include "plumbline.checkProvider" . }}
{{- end }}
{{- end }}
{{- if include "plumbline.web" . }}
{{- include "plumbline.checkWeb" . }}
{{- end }}
{{- include "plumbline.checkExtra" . }}
{{- end }}

{{/* Values with a format. A question mark means that the value may be empty. */}}
{{- define "plumbline.valueFormats" -}}
nameOverride: serviceName?
fullnameOverride: serviceName?
image.repository: image?
image.tag: tag?
image.digest: digest?
image.judgeDigest: digest?
image.replayDigest: digest?
image.webDigest: digest?
replay.scratch: quantity
replay.modelsClaim: object?
replay.storeClaim: object?
web.setsClaim: object?
replay.jobs.authenticationRef: object?
credentials.existingSecret: object?
credentials.environmentSecret: object?
references.existingClaim: object?
autoscaling.authenticationRef: object?
serviceAccount.name: object?
monitoring.podMonitor.interval: duration
monitoring.serviceMonitor.interval: duration
podDisruptionBudget.maxUnavailable: percentage
{{- end }}

{{/* Checks names, labels and keys, which the API server rejects if they are malformed. */}}
{{- define "plumbline.checkNames" -}}
{{- range $key, $kind := include "plumbline.valueFormats" . | fromYaml }}
{{- $value := $.Values }}
{{- range splitList "." $key }}{{ $value = get $value . }}{{ end }}
{{- if and (kindIs "string" $value) (or $value (not (hasSuffix "?" $kind))) }}
{{- include "plumbline.checkFormat" (list (trimSuffix "?" $kind) $key $value) }}
{{- end }}
{{- end }}
{{- if hasSuffix "-" .Release.Name }}
{{- fail (printf "the release name is %q: use a name that ends with a letter or digit, because it becomes a label" .Release.Name) }}
{{- end }}
{{- if not (regexMatch "^[a-z][-a-z0-9]*$" (include "plumbline.fullname" .)) }}
{{- fail (printf "the release name is %q, and a Service cannot be named %s: begin the name with a letter and use no dots, or set fullnameOverride" .Release.Name (include "plumbline.fullname" .)) }}
{{- end }}
{{- if and .Values.serviceAccount.create (eq .Values.serviceAccount.name "default") }}
{{- fail "serviceAccount.name is default, which exists in every namespace: choose another name, or set serviceAccount.create to false" }}
{{- end }}

{{- range $i, $name := .Values.image.pullSecrets }}
{{- include "plumbline.checkFormat" (list "object" (printf "image.pullSecrets[%d]" $i) $name) }}
{{- end }}
{{- include "plumbline.checkUnique" (list "image.pullSecrets" .Values.image.pullSecrets) }}
{{- range $i, $name := .Values.topologySpread.keys }}
{{- include "plumbline.checkFormat" (list "labelKey" (printf "topologySpread.keys[%d]" $i) $name) }}
{{- end }}
{{- include "plumbline.checkUnique" (list "topologySpread.keys" .Values.topologySpread.keys) }}
{{- range $setting, $key := .Values.credentials.keys }}
{{- include "plumbline.checkFormat" (list "dataKey" "a setting in credentials.keys" $setting) }}
{{- include "plumbline.checkFormat" (list "dataKey" (printf "credentials.keys, setting %s," $setting) $key) }}
{{- end }}
{{- range $setting, $_ := .Values.credentials.inline }}
{{- include "plumbline.checkFormat" (list "dataKey" "a setting in credentials.inline" $setting) }}
{{- end }}

{{- $own := append (include "plumbline.labels" . | fromYaml | keys) "app.kubernetes.io/component" }}
{{- include "plumbline.checkLabels" (list "podLabels" .Values.podLabels (without $own "helm.sh/chart" "app.kubernetes.io/managed-by")) }}
{{- include "plumbline.checkAnnotations" (list "podAnnotations" .Values.podAnnotations (list "checksum/config" "checksum/credentials")) }}
{{- range $name, $_ := .Values.podAnnotations }}
{{- if regexMatch "^((container\\.)?(seccomp\\.security\\.alpha|apparmor\\.security\\.beta)\\.kubernetes\\.io/|kubernetes\\.io/config\\.)" $name }}
{{- fail (printf "podAnnotations contains %s, which is deprecated or reserved for the kubelet: remove it; the chart sets the security context of the pods" $name) }}
{{- end }}
{{- end }}
{{- include "plumbline.checkAnnotations" (list "serviceAccount.annotations" .Values.serviceAccount.annotations list) }}
{{- range $name := list "podMonitor" "serviceMonitor" "prometheusRule" "dashboards" }}
{{- $section := get $.Values.monitoring $name }}
{{- include "plumbline.checkLabels" (list (printf "monitoring.%s.labels" $name) $section.labels (append $own "grafana_dashboard")) }}
{{- include "plumbline.checkAnnotations" (list (printf "monitoring.%s.annotations" $name) (default dict $section.annotations) list) }}
{{- end }}
{{- end }}
