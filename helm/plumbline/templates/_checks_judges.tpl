{{/* Checks of config.judges: image, provider and key. */}}

{{- define "plumbline.checkJudges" -}}
{{- if and .Values.image.digest (not .Values.image.judgeDigest) }}
{{- fail "image.digest is set and config.judges is, but image.judgeDigest is not: pods that judge run another image, so set its digest, or use image.tag" }}
{{- end }}
{{- if and .Values.image.judgeDigest (not .Values.image.digest) }}
{{- fail "image.judgeDigest is set, but image.digest is not: set both, or use image.tag for both images" }}
{{- end }}
{{- if include "plumbline.callsJudges" . }}
{{- include "plumbline.checkProvider" . }}
{{- end }}
{{- end }}

{{- define "plumbline.checkNightly" -}}
{{- if not (default dict .Values.config.judges).rubrics }}
{{- fail "nightly is enabled, but config.judges.rubrics is empty: set the rubrics that the samples of the day before are judged by" }}
{{- end }}
{{- if not .Values.nightly.claim }}
{{- fail "nightly is enabled, but nightly.claim is empty: set it to a PersistentVolumeClaim, because a run whose journal is lost pays for its batch again" }}
{{- end }}
{{- $prices := default dict .Values.config.judges.prices }}
{{- with .Values.nightly.model }}
{{- if and $prices (not (hasKey $prices .)) }}
{{- fail (printf "nightly.model is %s, which has no price: add it to config.judges.prices" .) }}
{{- end }}
{{- end }}
{{- if not (regexMatch "^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|\\S+( \\S+){4})$" .Values.nightly.schedule) }}
{{- fail (printf "nightly.schedule is %q: write five fields, minute, hour, day, month and weekday, such as 0 2 * * *" .Values.nightly.schedule) }}
{{- end }}
{{- if not (hasPrefix "@" .Values.nightly.schedule) }}
{{- $fields := splitList " " .Values.nightly.schedule }}
{{- range $i, $field := include "plumbline.cronFields" . | fromYamlArray }}
{{- if not (regexMatch (printf "^%s(,%s)*$" $field.item $field.item) (index $fields $i)) }}
{{- fail (printf "nightly.schedule is %q, whose %s is %q: use %s, *, ranges such as 1-5, steps such as */2, or several of them with commas" $.Values.nightly.schedule $field.name (index $fields $i) $field.values) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Fields of a schedule as Kubernetes reads them: name, values, and a pattern for one of a list. */}}
{{- define "plumbline.cronFields" -}}
{{- range list
  (list "minute" "0 to 59" "[0-5]?[0-9]")
  (list "hour" "0 to 23" "([01]?[0-9]|2[0-3])")
  (list "day" "1 to 31" "(0?[1-9]|[12][0-9]|3[01])")
  (list "month" "1 to 12" "(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))")
  (list "weekday" "0 (Sunday) to 6" "([0-6]|(?i:sun|mon|tue|wed|thu|fri|sat))") }}
- name: {{ index . 0 }}
  values: {{ index . 1 }}
  item: {{ printf "([*?]|%s(-%s)?)(/[1-9][0-9]*)?" (index . 2) (index . 2) | squote }}
{{- end }}
{{- end }}

{{- define "plumbline.checkProvider" -}}
{{- $client := default dict (default dict .Values.config.judges).client }}
{{- $url := default "" $client.base_url }}
{{- if regexMatch "^[a-z]+://(localhost|127\\.[0-9.]+|\\[::1\\])(:|/|$)" $url }}
{{- fail (printf "config.judges.client.base_url is %s, which in a pod is the pod itself: set an address of the judge that the cluster can reach" $url) }}
{{- end }}
{{- if kindIs "string" $client.api_key }}
{{- fail "config.judges.client.api_key is a secret and must not be in a ConfigMap: store it in a Secret, set credentials.existingSecret to its name and api_key to {file: /etc/plumbline/credentials/KEY}" }}
{{- end }}
{{- $file := get (default dict $client.api_key) "file" }}
{{- if and (hasPrefix "/etc/plumbline/credentials/" (default "" $file)) (not (include "plumbline.secretName" .)) }}
{{- fail (printf "config.judges.client.api_key is in the file %s, but no Secret is mounted: set credentials.existingSecret to the name of the Secret that contains it" $file) }}
{{- end }}
{{- $variables := list }}
{{- range .Values.extraEnv }}{{ $variables = append $variables .name }}{{ end }}
{{- if not (or $file .Values.credentials.environmentSecret (has "PLUMBLINE__JUDGES__CLIENT__API_KEY" $variables) (has "PLUMBLINE__JUDGES__CLIENT__API_KEY__FILE" $variables)) }}
{{- fail "a judge is configured, but the key of the judges' provider is not: set config.judges.client.api_key to {file: /etc/plumbline/credentials/KEY} and credentials.existingSecret, or put PLUMBLINE__JUDGES__CLIENT__API_KEY into credentials.environmentSecret" }}
{{- end }}
{{- end }}
