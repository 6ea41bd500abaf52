{{/* Checks of config.replay and config.store: image, models, store, jobs and secrets. */}}

{{- define "plumbline.checkReplay" -}}
{{- if and .Values.image.digest (not .Values.image.replayDigest) }}
{{- fail "image.digest is set and config.replay has a model, but image.replayDigest is not: pods that replay run another image, so set its digest, or use image.tag" }}
{{- end }}
{{- if and .Values.image.replayDigest (not .Values.image.digest) }}
{{- fail "image.replayDigest is set, but image.digest is not: set both, or use image.tag for both images" }}
{{- end }}
{{- $of := dict "root" . "role" "together" }}
{{- if and (eq .Values.mode "together") (include "plumbline.judges" .) (eq (include "plumbline.replayImage" $of) "replay-gpu") }}
{{- fail "replay.image is replay-gpu, which has no judges, but mode is together and config.judges is set: set mode to split, or replay.jobs.enabled to true and image.tag instead of digests" }}
{{- end }}
{{- include "plumbline.checkReplayModels" . }}
{{- include "plumbline.checkReplaySecrets" . }}
{{- include "plumbline.checkStore" . }}
{{- if .Values.replay.jobs.enabled }}
{{- include "plumbline.checkReplayJobs" . }}
{{- end }}
{{- end }}

{{/* Whether the pods that do the replays can load or reach each model. */}}
{{- define "plumbline.checkReplayModels" -}}
{{- $section := include "plumbline.replayPods" . }}
{{- $limits := default dict (get .Values.pods $section).resources.limits }}
{{- $gpu := false }}
{{- range $name, $_ := $limits }}
{{- if contains "/" $name }}{{ $gpu = true }}{{ end }}
{{- end }}
{{- $image := .Values.replay.image }}
{{- range $key, $model := include "plumbline.replayModels" . | fromJson }}
{{- $kind := default "local-chat-completions" $model.kind }}
{{- if regexMatch "^[a-z]+://(localhost|127\\.[0-9.]+|\\[::1\\])(:|/|$)" (default "" $model.base_url) }}
{{- fail (printf "config.replay.%s.base_url is %s, which in a pod is the pod itself: set an address of the endpoint that the cluster can reach" $key $model.base_url) }}
{{- end }}
{{- if eq $kind "vllm" }}
{{- fail (printf "config.replay.%s.kind is vllm, which no image contains: serve the model and set kind to local-completions or local-chat-completions, or load it with kind hf" $key) }}
{{- end }}
{{- if and (eq $kind "hf") (ne $image "replay-gpu") }}
{{- fail (printf "config.replay.%s.kind is hf, which loads weights by torch, but replay.image is %s: set it to replay-gpu" $key $image) }}
{{- end }}
{{- if and (eq $kind "hf") (ne (default "" $model.device) "cpu") (not $gpu) }}
{{- fail (printf "config.replay.%s is loaded on a GPU, but pods.%s.resources.limits has none: set for instance nvidia.com/gpu: 1 there, or device: cpu" $key $section) }}
{{- end }}
{{- end }}
{{- if and $gpu (ne $image "replay-gpu") }}
{{- fail (printf "pods.%s.resources.limits has a GPU, which the image %s cannot use: set replay.image to replay-gpu, or remove the GPU" $section $image) }}
{{- end }}
{{- end }}

{{/* Keys come from the environment, other secrets from files or the environment. */}}
{{- define "plumbline.checkReplaySecrets" -}}
{{- $variables := list }}
{{- range .Values.extraEnv }}{{ $variables = append $variables .name }}{{ end }}
{{- range $key, $model := include "plumbline.replayModels" . | fromJson }}
{{- with $model.api_key_env }}
{{- if not (or (has . $variables) $.Values.credentials.environmentSecret) }}
{{- fail (printf "config.replay.%s.api_key_env is %s, which is not in the environment of the pods: put it into extraEnv with valueFrom.secretKeyRef, or into the Secret of credentials.environmentSecret" $key .) }}
{{- end }}
{{- end }}
{{- end }}
{{- $secrets := dict "store.password" (default dict .Values.config.store).password "replay.actions.secret" (default dict .Values.config.replay.actions).secret }}
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

{{- define "plumbline.checkStore" -}}
{{- $url := include "plumbline.storeUrl" . }}
{{- if regexMatch "^[a-z+]+://[^/@]*:[^/@]*@" $url }}
{{- fail "config.store.url contains a password, and would be in a ConfigMap: remove it, store it in a Secret, and set config.store.password to {file: /etc/plumbline/credentials/KEY}" }}
{{- end }}
{{- if include "plumbline.postgresql" . }}
{{- $parts := include "plumbline.postgresqlParts" . | fromJson }}
{{- if regexMatch "^(localhost|127\\.[0-9.]+|\\[::1\\]|)$" $parts.host }}
{{- fail (printf "config.store.url is %s, which in a pod is the pod itself: set a host of PostgreSQL that the cluster can reach" $url) }}
{{- end }}
{{- if .Values.replay.storeClaim }}
{{- fail "replay.storeClaim is set, but config.store.url is PostgreSQL: remove the claim, which is for a file of SQLite" }}
{{- end }}
{{- else }}
{{- include "plumbline.checkSqlite" . }}
{{- end }}
{{- end }}

{{- define "plumbline.checkSqlite" -}}
{{- $url := include "plumbline.storeUrl" . }}
{{- $reason := "" }}
{{- $section := ternary "together" "replay" (eq .Values.mode "together") }}
{{- if .Values.replay.jobs.enabled }}
{{- $reason = "replay.jobs is enabled" }}
{{- else if and .Values.autoscaling.enabled (eq .Values.mode "together") }}
{{- $reason = "autoscaling is enabled and mode is together" }}
{{- else if gt (int (get .Values.pods $section).replicas) 1 }}
{{- $reason = printf "pods.%s.replicas is %d" $section (int (get .Values.pods $section).replicas) }}
{{- end }}
{{- if $reason }}
{{- fail (printf "config.store.url is %s, a file of SQLite that serves one process, but %s: set config.store.url to postgresql://USER@HOST/DATABASE, or run one pod" $url $reason) }}
{{- end }}
{{- if or (not .Values.replay.storeClaim) (not (hasPrefix "sqlite:////var/lib/plumbline/store/" $url)) }}
{{- fail (printf "config.store.url is %s, which a pod would lose with its end: set replay.storeClaim to a PersistentVolumeClaim and the URL to sqlite:////var/lib/plumbline/store/plumbline.db, or use PostgreSQL" $url) }}
{{- end }}
{{- end }}

{{- define "plumbline.checkReplayJobs" -}}
{{- $jobs := .Values.replay.jobs }}
{{- $minutes := .Values.config.replay.deadline_minutes | default 60 | float64 }}
{{- $least := addf 900 (mulf 60 $minutes) }}
{{- if lt (float64 $jobs.deadlineSeconds) $least }}
{{- fail (printf "replay.jobs.deadlineSeconds is %d, but config.replay.deadline_minutes is %v: set at least %v seconds, so that a replay ends itself, with a result, before its pod is ended" (int $jobs.deadlineSeconds) $minutes $least) }}
{{- end }}
{{- if gt (int (default 0 .Values.config.replay.workers)) 0 }}
{{- fail (printf "config.replay.workers is %d, but replay.jobs is enabled: remove it, because the jobs do the replays" (int .Values.config.replay.workers)) }}
{{- end }}
{{- if not (or $jobs.authenticationRef (and (include "plumbline.storePasswordKey" .) .Values.credentials.existingSecret)) }}
{{- fail "replay.jobs is enabled, but KEDA has no password of PostgreSQL: set config.store.password to {file: /etc/plumbline/credentials/KEY} and credentials.existingSecret, or replay.jobs.authenticationRef to a TriggerAuthentication" }}
{{- end }}
{{- include "plumbline.checkPods" (dict "root" . "role" "replayJob") }}
{{- end }}
