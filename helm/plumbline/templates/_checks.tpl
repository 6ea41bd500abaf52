{{/* What a schema cannot say. Each refusal is a sentence that says what to mend. */}}

{{- define "plumbline.checks" -}}
{{- $kafka := .Values.config.kafka }}
{{- $http := .Values.config.http }}
{{- $credentials := .Values.credentials }}

{{- if not .Values.image.repository }}
{{- fail "image.repository is empty: build the image, push it where your cluster pulls from, and give its name" }}
{{- end }}

{{- if not (trim $kafka.bootstrap_servers) }}
{{- fail "config.kafka.bootstrap_servers is empty: give your brokers, for instance kafka-1:9092,kafka-2:9092" }}
{{- end }}
{{- range splitList "," $kafka.bootstrap_servers }}
{{- if not (trim .) }}
{{- fail (printf "config.kafka.bootstrap_servers is %q: remove the comma with no broker beside it" $kafka.bootstrap_servers) }}
{{- end }}
{{- if regexMatch "^(localhost|127\\.[0-9.]+|\\[::1\\])(:|$)" (trim .) }}
{{- fail (printf "config.kafka.bootstrap_servers names %s, which within a pod is the pod itself: give an address of the broker that the cluster can reach" (trim .)) }}
{{- end }}
{{- end }}

{{- if regexMatch "^(localhost|127\\.[0-9.]+|::1)$" $http.host }}
{{- fail (printf "config.http.host is %s, where neither probes nor Prometheus reach it: set 0.0.0.0, or :: on IPv6" $http.host) }}
{{- end }}
{{- if eq (int $http.port) 0 }}
{{- fail "config.http.port is 0, which would be another port at each start: set a fixed one, for instance 9464" }}
{{- end }}

{{- if lt (int .Values.terminationGracePeriodSeconds) 150 }}
{{- fail (printf "terminationGracePeriodSeconds is %d, less than a pod may need to write its checkpoint and give its partitions away: set 150 or more" (int .Values.terminationGracePeriodSeconds)) }}
{{- end }}
{{- if eq (toString .Values.podSecurity.runAsUser) "0" }}
{{- fail "podSecurity.runAsUser is 0, which is root: give another user, or null to let the platform choose one" }}
{{- end }}

{{- if and $credentials.existingSecret $credentials.inline }}
{{- fail "credentials.existingSecret and credentials.inline are both given: keep existingSecret, name the keys of that Secret in credentials.keys, and remove inline" }}
{{- end }}
{{- if and $credentials.keys (not $credentials.existingSecret) }}
{{- fail "credentials.keys is given without a Secret: name the one that holds these keys in credentials.existingSecret" }}
{{- end }}
{{- range $setting, $value := default dict $kafka.client }}
{{- if or (hasKey $credentials.keys $setting) (hasKey $credentials.inline $setting) }}
{{- fail (printf "%s is given both in config.kafka.client and in credentials: remove one of them" $setting) }}
{{- end }}
{{- if and (not (kindIs "map" $value)) (regexMatch "(^|\\.)(password|passwd|passphrase|secret|jaas)(\\.|$)|(key\\.pem|ssl\\.key|oauthbearer\\.config|\\.token)$" (replace "_" "." $setting)) }}
{{- fail (printf "config.kafka.client.%s is a secret and does not belong into a ConfigMap: keep it in a Secret, and name that in credentials.existingSecret and its key in credentials.keys" $setting) }}
{{- end }}
{{- end }}

{{- $reference := default dict .Values.config.reference }}
{{- $source := default "warmup" $reference.source }}
{{- if ne $source "warmup" }}
{{- $key := ternary "path" "directory" (eq $source "file") }}
{{- if not .Values.references.existingClaim }}
{{- fail (printf "config.reference.source is %s, but no volume holds references: name a PersistentVolumeClaim in references.existingClaim" $source) }}
{{- end }}
{{- if not (hasPrefix "/var/lib/plumbline/references" (default "" (get $reference $key))) }}
{{- fail (printf "config.reference.%s is outside the mounted volume: set a path that begins with /var/lib/plumbline/references" $key) }}
{{- end }}
{{- end }}

{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled }}
{{- fail "monitoring.podMonitor and monitoring.serviceMonitor are both enabled, so every pod would be counted twice: disable one of them" }}
{{- end }}

{{- range (include "plumbline.workloads" . | fromYaml).names }}
{{- include "plumbline.checkPods" (dict "root" $ "role" .) }}
{{- end }}
{{- end }}

{{/* Takes {"root", "role"}. */}}
{{- define "plumbline.checkPods" -}}
{{- $most := int (include "plumbline.mostPods" . | fromYaml).most }}
{{- $limit := ternary "logPartitions" "config.kafka.partitions" (eq .role "ingest") }}
{{- $scaling := .root.Values.autoscaling }}
{{- $least := int (get .root.Values.pods .role).replicas }}
{{- $key := printf "pods.%s.replicas" .role }}
{{- if include "plumbline.scaled" . }}
{{- $least = int $scaling.minReplicas }}
{{- $key = "autoscaling.minReplicas" }}
{{- if not $most }}
{{- fail (printf "autoscaling is enabled, but %s is not given, beyond which pods find no work: set it to the number of partitions of all your log topics" $limit) }}
{{- end }}
{{- $protocol := default "plaintext" (get (default dict .root.Values.config.kafka.client) "security.protocol") }}
{{- if and (ne (lower $protocol) "plaintext") (not $scaling.authenticationRef) }}
{{- fail (printf "autoscaling is enabled, but KEDA cannot reach a Kafka that speaks %s: name a TriggerAuthentication in autoscaling.authenticationRef" $protocol) }}
{{- end }}
{{- end }}
{{- if and $most (gt $least $most) }}
{{- fail (printf "%s is %d, but %s is %d: more pods than partitions find no work, so lower the first or raise the second" $key $least $limit $most) }}
{{- end }}
{{- end }}
