{{/* Definitions of replays: whether there are any, the store, its queue, and the models. */}}

{{/* Not empty if a model is configured to be replayed. Without one the role replay does not start. */}}
{{- define "plumbline.replays" -}}
{{- with .Values.config.replay }}{{ if or .model .models }}yes{{ end }}{{ end }}
{{- end }}

{{/* Not empty if the pods of a workload need the packages of replays; takes {"root", "role"}. */}}
{{- define "plumbline.replaying" -}}
{{- if has .role (list "together" "replay" "replayJob") }}{{ include "plumbline.replays" .root }}{{ end }}
{{- end }}

{{/* The section of pods whose pods do the replays. */}}
{{- define "plumbline.replayPods" -}}
{{- if .Values.replay.jobs.enabled }}replayJob
{{- else if eq .Values.mode "together" }}together
{{- else }}replay{{ end }}
{{- end }}

{{/* The target of the image of a workload that replays; takes {"root", "role"}. Where jobs load the
     weights, the role needs no torch; a digest is that of one image for both. */}}
{{- define "plumbline.replayImage" -}}
{{- $values := .root.Values }}
{{- if and $values.replay.jobs.enabled (ne .role "replayJob") (not $values.image.digest) }}replay
{{- else }}{{ $values.replay.image }}{{ end }}
{{- end }}

{{- define "plumbline.storeUrl" -}}
{{- (default dict .Values.config.store).url | default "sqlite:///plumbline.db" }}
{{- end }}

{{/* Not empty if the store is PostgreSQL. */}}
{{- define "plumbline.postgresql" -}}
{{- if regexMatch "^postgresql(\\+psycopg)?://" (include "plumbline.storeUrl" .) }}yes{{ end }}
{{- end }}

{{/* The parts of the URL of PostgreSQL, as {"user", "host", "port", "database", "sslmode"}. */}}
{{- define "plumbline.postgresqlParts" -}}
{{- $url := include "plumbline.storeUrl" . | replace "postgresql+psycopg:" "postgresql:" }}
{{- $rest := trimPrefix "postgresql://" $url }}
{{- $main := regexReplaceAll "[?].*$" $rest "" }}
{{- $authority := regexReplaceAll "/.*$" $main "" }}
{{- $hostPort := regexReplaceAll "^.*@" $authority "" }}
{{- $user := "" }}
{{- if contains "@" $authority }}{{ $user = regexReplaceAll "@.*$" $authority "" }}{{ end }}
{{- $port := regexFind ":[0-9]+$" $hostPort | trimPrefix ":" | default "5432" }}
{{- $host := regexReplaceAll ":[0-9]+$" $hostPort "" }}
{{- $sslmode := regexFind "[?&]sslmode=[a-z-]+" $url | regexFind "[a-z-]+$" | default "prefer" }}
{{- dict "user" $user "host" $host "port" $port "database" (trimPrefix $authority $main | trimPrefix "/") "sslmode" $sslmode | toJson }}
{{- end }}

{{/* The key of the mounted Secret that has the password of the store, or empty. */}}
{{- define "plumbline.storePasswordKey" -}}
{{- $password := (default dict .Values.config.store).password }}
{{- if kindIs "map" $password }}
{{- if hasPrefix "/etc/plumbline/credentials/" (default "" $password.file) }}
{{- trimPrefix "/etc/plumbline/credentials/" $password.file }}
{{- end }}
{{- end }}
{{- end }}

{{/* The number of replays that are due or running. Running ones count, because KEDA subtracts the running
     jobs: a replay whose pod was killed then gets another one. When the GPU time of the day is spent,
     replays that need a GPU are not due. */}}
{{- define "plumbline.queueQuery" -}}
{{- $hours := (default dict (default dict .Values.config.replay).budget).gpu_hours_per_day -}}
SELECT count(*) FROM runs WHERE cancel_at IS NULL AND (state = 'running' OR (state = 'queued' AND not_before <= extract(epoch FROM now())
{{- if $hours }} AND (NOT gpu OR (SELECT coalesce(sum(seconds), 0) FROM gpu_usage WHERE day = to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')) < {{ mulf 3600 $hours }}){{ end }}))
{{- end }}

{{/* The models that are replayed, by their key, as {KEY: model}. */}}
{{- define "plumbline.replayModels" -}}
{{- $models := dict }}
{{- $replay := default dict .Values.config.replay }}
{{- range $key := list "model" "baseline_model" }}
{{- with get $replay $key }}{{ $_ := set $models $key . }}{{ end }}
{{- end }}
{{- range $name, $model := default dict $replay.models }}
{{- $_ := set $models (printf "models.%s" $name) $model }}
{{- end }}
{{- toJson $models }}
{{- end }}

{{/* The ports of the URLs of a list, as {"ports": [...]}. */}}
{{- define "plumbline.portsOf" -}}
{{- $ports := list }}
{{- range . }}
{{- $origin := regexFind "^[a-z]+://[^/]*" . }}
{{- $standard := ternary "80" "443" (hasPrefix "http:" .) }}
{{- $ports = append $ports (regexFind ":[0-9]+$" $origin | trimPrefix ":" | default $standard | int) }}
{{- end }}
{{- dict "ports" ($ports | uniq | sortAlpha) | toJson }}
{{- end }}

{{/* The ports that replays need, as {"models": [...], "actions": [...]}. */}}
{{- define "plumbline.replayPorts" -}}
{{- $endpoints := list }}
{{- range include "plumbline.replayModels" . | fromJson }}
{{- with .base_url }}{{ $endpoints = append $endpoints . }}{{ end }}
{{- end }}
{{- $actions := list }}
{{- $replay := default dict .Values.config.replay }}
{{- if $replay.online }}{{ $actions = append $actions "https://hub" }}{{ end }}
{{- range $name := list "promote" "roll_back" "retrain" }}
{{- with get (default dict $replay.actions) $name }}{{ $actions = append $actions .url }}{{ end }}
{{- end }}
{{- dict "models" (include "plumbline.portsOf" $endpoints | fromJson).ports "actions" (include "plumbline.portsOf" $actions | fromJson).ports | toJson }}
{{- end }}
