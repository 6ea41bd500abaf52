{{/* Names, labels and other definitions that several templates share. Names are quoted where they are
     used, because 1e3 and on are names too. */}}

{{- define "plumbline.name" -}}
{{- default .Chart.Name .Values.nameOverride }}
{{- end }}

{{- define "plumbline.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains (include "plumbline.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimAll "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "plumbline.name" .) | trunc 40 | trimAll "-" }}
{{- end }}
{{- end }}

{{- define "plumbline.selectorLabels" -}}
app.kubernetes.io/name: {{ include "plumbline.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "plumbline.labels" -}}
{{ include "plumbline.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The workloads to create, as {"names": [...]}. To add a role, add its name here, and its pods in
     values.yaml and values.schema.json. */}}
{{- define "plumbline.workloads" -}}
{{- $names := list "ingest" "detect" }}
{{- if include "plumbline.judges" . }}{{ $names = append $names "judge" }}{{ end }}
{{- if .Values.config.experiments }}{{ $names = append $names "experiment" }}{{ end }}
{{- if include "plumbline.joins" . }}{{ $names = append $names "join" }}{{ end }}
{{- if include "plumbline.replays" . }}{{ $names = append $names "replay" }}{{ end }}
{{- if include "plumbline.targets" . }}{{ $names = append $names "notify" }}{{ end }}
{{- if eq .Values.mode "together" }}{{ $names = list "together" }}{{ end }}
{{- if include "plumbline.web" . }}{{ $names = append $names "web" }}{{ end }}
{{- dict "names" $names | toJson }}
{{- end }}

{{/* Not empty if feedback is read; the section may be empty. */}}
{{- define "plumbline.joins" -}}
{{- if kindIs "map" .Values.config.feedback }}yes{{ end }}
{{- end }}

{{/* Not empty if rubrics, RAGAS metrics or checks are configured. Without them the role judge does not start. */}}
{{- define "plumbline.judges" -}}
{{- with .Values.config.judges }}{{ if or .rubrics .ragas .checks }}yes{{ end }}{{ end }}
{{- end }}

{{/* Not empty if the pods of a workload join feedback; takes {"root", "role"}. */}}
{{- define "plumbline.joining" -}}
{{- if has .role (list "together" "join") }}{{ include "plumbline.joins" .root }}{{ end }}
{{- end }}

{{/* Not empty if a provider of judges is called: checks alone need none. */}}
{{- define "plumbline.callsJudges" -}}
{{- with .Values.config.judges }}{{ if or .rubrics .ragas }}yes{{ end }}{{ end }}
{{- end }}

{{/* Not empty if the web application runs. It has a workload of its own in either mode: people reach its
     pods, and not those that read the logs. */}}
{{- define "plumbline.web" -}}
{{- with .Values.config.web }}{{ if .enabled }}yes{{ end }}{{ end }}
{{- end }}

{{- define "plumbline.webPort" -}}
{{- (default dict .Values.config.web).port | default 9465 | int }}
{{- end }}

{{/* Not empty if a workload uses PostgreSQL; takes {"root", "role"}. */}}
{{- define "plumbline.upgrading" -}}
{{- if include "plumbline.postgresql" .root }}
{{- if and (include "plumbline.replaying" .) (ne .role "replayJob") .root.Values.replay.upgradeStore }}yes{{ end }}
{{- if and (eq .role "web") .root.Values.web.upgradeStore }}yes{{ end }}
{{- end }}
{{- end }}

{{/* Not empty if answers of replays are scored by a judge. */}}
{{- define "plumbline.judgesReplays" -}}
{{- with .Values.config.replay }}{{ if .rubric }}yes{{ end }}{{ end }}
{{- end }}

{{/* Not empty if the pods of a workload judge; takes {"root", "role"}. */}}
{{- define "plumbline.judging" -}}
{{- if has .role (list "together" "judge" "nightly") }}{{ include "plumbline.judges" .root }}{{ end }}
{{- end }}

{{/* The names of the notification targets. Without targets the role notify does not start. */}}
{{- define "plumbline.targets" -}}
{{- (.Values.config.notifications | default dict).targets | default dict | keys | join " " }}
{{- end }}

{{/* Not empty if the lag of its topics scales a workload; takes {"root", "role"}. Notify needs no scaling,
     and the work of replay is in the queue of the store: see replayjob.yaml. */}}
{{- define "plumbline.scaled" -}}
{{- if and .root.Values.autoscaling.enabled (not (has .role (list "notify" "replay" "web"))) }}yes{{ end }}
{{- end }}

{{/* Label of the pods of a role. */}}
{{- define "plumbline.component" -}}
{{- ternary "replay-job" . (eq . "replayJob") }}
{{- end }}

{{/* Name of a workload; takes {"root", "role"}. */}}
{{- define "plumbline.workloadName" -}}
{{- $fullname := include "plumbline.fullname" .root -}}
{{- if eq .role "together" }}{{ $fullname }}{{ else }}{{ $fullname }}-{{ include "plumbline.component" .role }}{{ end }}
{{- end }}

{{- define "plumbline.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "plumbline.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Image of a workload; takes {"root", "role"}. Pods that judge or replay need one with more
     dependencies; that of replays also has those of judges. */}}
{{- define "plumbline.image" -}}
{{- $suffix := "" }}
{{- if include "plumbline.judging" . }}{{ $suffix = "judge" }}{{ end }}
{{- if include "plumbline.replaying" . }}{{ $suffix = include "plumbline.replayImage" . }}{{ end }}
{{- if eq .role "web" }}{{ $suffix = "web" }}{{ end }}
{{- $version := .root.Chart.AppVersion }}
{{- with .root.Values.image }}
{{- if and .digest (hasPrefix "replay" $suffix) }}{{ .repository }}@{{ .replayDigest }}
{{- else if and .digest (eq $suffix "web") }}{{ .repository }}@{{ .webDigest }}
{{- else if .digest }}{{ .repository }}@{{ ternary .judgeDigest .digest (eq $suffix "judge") }}
{{- else }}{{ .repository }}:{{ default $version .tag }}{{ with $suffix }}-{{ . }}{{ end }}{{ end }}
{{- end }}
{{- end }}

{{/* Name of the mounted Secret, or empty. */}}
{{- define "plumbline.secretName" -}}
{{- with .Values.credentials }}
{{- if .existingSecret }}{{ .existingSecret }}
{{- else if .inline }}{{ include "plumbline.fullname" $ }}{{ end }}
{{- end }}
{{- end }}

{{/* plumbline.yaml: the configuration, with each credential as a reference to its file. */}}
{{- define "plumbline.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $client := default dict $config.kafka.client }}
{{- $files := .Values.credentials.keys }}
{{- range $setting, $_ := .Values.credentials.inline }}
{{- $files = set (deepCopy $files) $setting $setting }}
{{- end }}
{{- range $setting, $key := $files }}
{{- $client = set $client $setting (dict "file" (printf "/etc/plumbline/credentials/%s" $key)) }}
{{- end }}
{{- if $client }}{{ $_ := set $config.kafka "client" $client }}{{ end }}
{{- toYaml $config }}
{{- end }}

{{/* The ports of the brokers, as {"ports": [...]}. */}}
{{- define "plumbline.kafkaPorts" -}}
{{- $ports := list }}
{{- range splitList "," .Values.config.kafka.bootstrap_servers }}
{{- $ports = append $ports (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (trim .)) | default "9092" | int) }}
{{- end }}
{{- dict "ports" (default ($ports | uniq) .Values.networkPolicy.kafkaPorts) | toYaml }}
{{- end }}

{{/* The port of the judges' provider: that of its URL, or 443. */}}
{{- define "plumbline.judgePort" -}}
{{- $url := (default dict (default dict .Values.config.judges).client).base_url | default "" }}
{{- $host := regexFind "^[a-z]+://[^/]*" $url }}
{{- regexFind ":[0-9]+$" $host | trimPrefix ":" | default "443" }}
{{- end }}

{{/* The number of pods of a workload that can get partitions, as {"most": N}, 0 if unknown; takes
     {"root", "role"}. */}}
{{- define "plumbline.mostPods" -}}
{{- if eq .role "ingest" }}most: {{ default 0 .root.Values.logPartitions | int }}
{{- else if eq .role "web" }}most: 0
{{- else }}most: {{ .root.Values.config.kafka.partitions | int }}{{ end }}
{{- end }}
