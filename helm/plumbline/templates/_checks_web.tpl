{{/* Checks of config.web: image, address, sign-in, database, secrets and ingress. */}}

{{- define "plumbline.checkWeb" -}}
{{- $web := .Values.config.web }}
{{- if and .Values.image.digest (not .Values.image.webDigest) }}
{{- fail "image.digest is set and config.web is enabled, but image.webDigest is not: the pods of the web application run another image, so set its digest, or use image.tag" }}
{{- end }}
{{- if and .Values.image.webDigest (not .Values.image.digest) }}
{{- fail "image.webDigest is set, but image.digest is not: set both, or use image.tag for both images" }}
{{- end }}
{{- if regexMatch "^(localhost|127\\.[0-9.]+|::1)$" ($web.host | default "127.0.0.1") }}
{{- fail "config.web.host is an address of the pod itself, which nobody reaches: set it to 0.0.0.0 and config.web.sign_in to required" }}
{{- end }}
{{- if not (include "plumbline.postgresql" .) }}
{{- fail (printf "config.web is enabled, but config.store.url is %s, a file of SQLite that serves one process: set it to postgresql://USER@HOST/DATABASE" (include "plumbline.storeUrl" .)) }}
{{- end }}
{{- if not (include "plumbline.replays" .) }}
{{- include "plumbline.checkStore" . }}
{{- end }}
{{- if not $web.allowed_hosts }}
{{- fail "config.web is enabled, but config.web.allowed_hosts is empty, so that every request is refused: list the names under which people reach the pages" }}
{{- end }}
{{- include "plumbline.checkEvaluationSets" . }}
{{- include "plumbline.checkWebSecrets" . }}
{{- include "plumbline.checkIngress" . }}
{{- end }}

{{/* Whether the folder of evaluation sets is a volume that outlives the pods. */}}
{{- define "plumbline.checkEvaluationSets" -}}
{{- $folder := .Values.config.web.evaluation_sets }}
{{- $mounted := ternary (list "/var/lib/plumbline/evalsets") list (ne .Values.web.setsClaim "") }}
{{- if and .Values.web.setsClaim (not $folder) }}
{{- fail "web.setsClaim is set, but config.web.evaluation_sets is not: set it to /var/lib/plumbline/evalsets" }}
{{- end }}
{{- if $folder }}
{{- range .Values.extraVolumeMounts }}{{ $mounted = append $mounted .mountPath }}{{ end }}
{{- $kept := false }}
{{- range $mounted }}
{{- if or (eq $folder .) (hasPrefix (printf "%s/" .) $folder) }}{{ $kept = true }}{{ end }}
{{- end }}
{{- if not $kept }}
{{- fail (printf "config.web.evaluation_sets is %s, which is on no volume that pods can write to: set web.setsClaim to a PersistentVolumeClaim and config.web.evaluation_sets to /var/lib/plumbline/evalsets, or mount a volume with extraVolumeMounts" $folder) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "plumbline.checkWebSecrets" -}}
{{- $secrets := dict "store.password" (default dict .Values.config.store).password "web.proxy.secret" (default dict .Values.config.web.proxy).secret }}
{{- range $key, $secret := $secrets }}
{{- if kindIs "string" $secret }}
{{- fail (printf "config.%s is a secret and must not be in a ConfigMap: store it in a Secret, set credentials.existingSecret to its name and config.%s to {file: /etc/plumbline/credentials/KEY}" $key $key) }}
{{- end }}
{{- $file := get (default dict $secret) "file" }}
{{- if and (hasPrefix "/etc/plumbline/credentials/" (default "" $file)) (not (include "plumbline.secretName" $)) }}
{{- fail (printf "config.%s is in the file %s, but no Secret is mounted: set credentials.existingSecret to the name of the Secret that contains it" $key $file) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "plumbline.checkIngress" -}}
{{- $ingress := .Values.web.ingress }}
{{- if $ingress.enabled }}
{{- if not $ingress.host }}
{{- fail "web.ingress is enabled, but web.ingress.host is empty: set the name under which people reach the pages" }}
{{- end }}
{{- if not (has $ingress.host .Values.config.web.allowed_hosts) }}
{{- fail (printf "web.ingress.host is %s, which config.web.allowed_hosts does not list: add it, because requests for other hosts are refused" $ingress.host) }}
{{- end }}
{{- end }}
{{- end }}
