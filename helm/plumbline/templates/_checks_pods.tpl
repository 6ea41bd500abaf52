{{/* Checks of the pods: number, resources, scheduling, variables, volumes and mounts. */}}

{{/* Takes {"root", "role"}. */}}
{{- define "plumbline.checkPods" -}}
{{- $pod := get .root.Values.pods .role }}
{{- $key := printf "pods.%s" .role }}
{{- include "plumbline.checkReplicas" . }}
{{- include "plumbline.checkResources" (list (printf "%s.resources" $key) $pod.resources) }}
{{- include "plumbline.checkLabels" (list (printf "%s.nodeSelector" $key) $pod.nodeSelector list) }}
{{- include "plumbline.checkFields" (list (printf "%s.affinity" $key) $pod.affinity) }}
{{- range $i, $each := $pod.tolerations }}
{{- include "plumbline.checkToleration" (list (printf "%s.tolerations[%d]" $key $i) $each) }}
{{- end }}
{{- range $name := list "priorityClassName" "runtimeClassName" }}
{{- with get $pod $name }}
{{- include "plumbline.checkFormat" (list "object" (printf "%s.%s" $key $name) .) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes {"root", "role"}. */}}
{{- define "plumbline.checkReplicas" -}}
{{- $most := int (include "plumbline.mostPods" . | fromYaml).most }}
{{- $limit := ternary "logPartitions" "config.kafka.partitions" (eq .role "ingest") }}
{{- $scaling := .root.Values.autoscaling }}
{{- $least := int (get .root.Values.pods .role).replicas }}
{{- $key := printf "pods.%s.replicas" .role }}
{{- if include "plumbline.scaled" . }}
{{- $least = int $scaling.minReplicas }}
{{- $key = "autoscaling.minReplicas" }}
{{- if not $most }}
{{- fail (printf "autoscaling is enabled, but %s, the maximum number of pods, is not set: set it to the total number of partitions of your log topics" $limit) }}
{{- end }}
{{- $protocol := default "plaintext" (get (default dict .root.Values.config.kafka.client) "security.protocol") }}
{{- if and (ne (lower $protocol) "plaintext") (not $scaling.authenticationRef) }}
{{- fail (printf "autoscaling is enabled, but KEDA has no credentials for security.protocol %s: set autoscaling.authenticationRef to a TriggerAuthentication" $protocol) }}
{{- end }}
{{- end }}
{{- if and $most (gt $least $most) }}
{{- fail (printf "%s is %d, but %s is %d: more pods than partitions find no work, so lower the first or raise the second" $key $least $limit $most) }}
{{- end }}
{{- end }}

{{/* Fails if several pods would have the same kafka.instance: the broker then fences all but one. */}}
{{- define "plumbline.checkInstance" -}}
{{- $reason := "" }}
{{- if eq .Values.workload "StatefulSet" }}
{{- $reason = "workload is StatefulSet, which gives each pod a name of its own: remove config.kafka.instance" }}
{{- else if eq .Values.mode "split" }}
{{- $reason = "mode is split" }}
{{- else if .Values.autoscaling.enabled }}
{{- $reason = "autoscaling is enabled" }}
{{- else if gt (int .Values.pods.together.replicas) 1 }}
{{- $reason = printf "pods.together.replicas is %d" (int .Values.pods.together.replicas) }}
{{- end }}
{{- if and .Values.config.kafka.instance $reason }}
{{- if ne .Values.workload "StatefulSet" }}
{{- $reason = printf "%s, and several pods must not have the same name: remove config.kafka.instance and set workload to StatefulSet, which gives each pod a name of its own" $reason }}
{{- end }}
{{- fail (printf "config.kafka.instance is %s, but %s" .Values.config.kafka.instance $reason) }}
{{- end }}
{{- end }}

{{/* Takes [key, toleration]. */}}
{{- define "plumbline.checkToleration" -}}
{{- $key := index . 0 }}
{{- if and (not (index . 1).key) (ne (default "Equal" (index . 1).operator) "Exists") }}
{{- fail (printf "%s has no key: set key, or operator: Exists to tolerate every taint" $key) }}
{{- end }}
{{- with index . 1 }}
{{- if .key }}
{{- include "plumbline.checkFormat" (list "labelKey" (printf "%s.key" $key) .key) }}
{{- end }}
{{- if and .value (eq (default "Equal" .operator) "Exists") }}
{{- fail (printf "%s has a value, but the operator Exists takes none: remove value, or set operator: Equal" $key) }}
{{- end }}
{{- include "plumbline.checkFormat" (list "labelValue" (printf "%s.value" $key) (default "" .value)) }}
{{- if and (hasKey . "tolerationSeconds") (ne (default "" .effect) "NoExecute") }}
{{- fail (printf "%s has tolerationSeconds, which requires effect: NoExecute: set the effect or remove tolerationSeconds" $key) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes [key, resources]. */}}
{{- define "plumbline.checkResources" -}}
{{- $key := index . 0 }}
{{- $requests := default dict (index . 1).requests }}
{{- $limits := default dict (index . 1).limits }}
{{- include "plumbline.checkQuantities" (list (printf "%s.requests" $key) $requests) }}
{{- include "plumbline.checkQuantities" (list (printf "%s.limits" $key) $limits) }}
{{- range $name, $request := $requests }}
{{- $limit := get $limits $name }}
{{- $device := and (contains "/" $name) (not (contains "kubernetes.io/" $name)) }}
{{- if and $device (not (hasKey $limits $name)) }}
{{- fail (printf "%s.requests.%s has no limit, which Kubernetes requires of such a resource: set %s.limits.%s" $key $name $key $name) }}
{{- end }}
{{- if hasKey $limits $name }}
{{- $asked := include "plumbline.number" $request | float64 }}
{{- $most := include "plumbline.number" $limit | float64 }}
{{- if gt $asked $most }}
{{- fail (printf "%s.requests.%s is %v, more than limits.%s, which is %v: lower the request or raise the limit" $key $name $request $name $limit) }}
{{- end }}
{{- if and $device (ne $asked $most) }}
{{- fail (printf "%s.requests.%s is %v, but limits.%s is %v: Kubernetes requires the same number for such a resource" $key $name $request $name $limit) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes [key, quantities]. */}}
{{- define "plumbline.checkQuantities" -}}
{{- $key := index . 0 }}
{{- range $name, $quantity := index . 1 }}
{{- $inner := printf "%s.%s" $key $name }}
{{- if contains "/" $name }}
{{- include "plumbline.checkFormat" (list "labelKey" (printf "a key of %s" $key) $name) }}
{{- end }}
{{- if or (hasPrefix "requests." $name) (not (or (contains "/" $name) (has $name (list "cpu" "memory" "ephemeral-storage")))) }}
{{- fail (printf "%s contains %q: use cpu, memory, ephemeral-storage, or a resource of a device plugin such as nvidia.com/gpu" $key $name) }}
{{- end }}
{{- include "plumbline.checkFormat" (list "quantity" $inner (toString $quantity)) }}
{{- $number := include "plumbline.number" $quantity | float64 }}
{{- if and (ne $name "cpu") (ne $number (floor $number)) }}
{{- fail (printf "%s is %v, which is not a whole number (m means a thousandth): use for instance 512Mi of memory, or 1 device" $inner $quantity) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The number that a quantity stands for. */}}
{{- define "plumbline.number" -}}
{{- $text := toString . | trimPrefix "+" }}
{{- $unit := regexFind "([numkMGTPE]|[KMGTPE]i)$" $text }}
{{- $factors := dict "" 1 "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 }}
{{- mulf (trimSuffix $unit $text | float64) (get $factors $unit) }}
{{- end }}
