{{/* Names, labels and the small pieces that several templates share. */}}

{{- define "plumbline.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "plumbline.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "plumbline.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "plumbline.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "plumbline.selectorLabels" -}}
app.kubernetes.io/name: {{ include "plumbline.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "plumbline.labels" -}}
{{ include "plumbline.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The workloads to make, as {"names": [...]}. To add a role: its name here, its pods in values.yaml
     and in values.schema.json. */}}
{{- define "plumbline.workloads" -}}
{{- if eq .Values.mode "together" }}names: [together]
{{- else if (include "plumbline.targets" .) }}names: [ingest, detect, notify]
{{- else }}names: [ingest, detect]{{ end }}
{{- end }}

{{/* Not empty where somebody is to be told; without them the role notify would not start. */}}
{{- define "plumbline.targets" -}}
{{- (.Values.config.notifications | default dict).targets | default dict | keys | join " " }}
{{- end }}

{{/* Not empty where KEDA scales a workload; takes {"root", "role"}. Notifying is never behind. */}}
{{- define "plumbline.scaled" -}}
{{- if and .root.Values.autoscaling.enabled (ne .role "notify") }}yes{{ end }}
{{- end }}

{{/* Name of one workload; takes {"root", "role"}. */}}
{{- define "plumbline.workloadName" -}}
{{- $fullname := include "plumbline.fullname" .root -}}
{{- if eq .role "together" }}{{ $fullname }}{{ else }}{{ $fullname }}-{{ .role }}{{ end }}
{{- end }}

{{- define "plumbline.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "plumbline.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "plumbline.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* The Secret that is mounted, if any. */}}
{{- define "plumbline.secretName" -}}
{{- with .Values.credentials }}
{{- if .existingSecret }}{{ .existingSecret }}
{{- else if .inline }}{{ include "plumbline.fullname" $ }}{{ end }}
{{- end }}
{{- end }}

{{/* plumbline.yaml: the configuration, with each credential as the file that holds it. */}}
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

{{/* The most pods of a workload that find work, as {"most": N}, 0 where it is not known; takes
     {"root", "role"}. */}}
{{- define "plumbline.mostPods" -}}
{{- if eq .role "ingest" }}most: {{ default 0 .root.Values.logPartitions | int }}
{{- else }}most: {{ .root.Values.config.kafka.partitions | int }}{{ end }}
{{- end }}
